"""Figures: each a module with ``prepare``, from tables to tidy data, and ``draw``, to a figure.

A module is all that makes a kind of figure: ``TABLES`` names what it is drawn from, its docstring
is the caption, but for the first line. Where a figure looks into one model, ``OPTIONS`` names the
settings that say which and what of it; ``EXPERIMENTS`` is how many experiments it must name, and
``USES`` what it shows besides its tables. All this is read without importing a module, which would
import matplotlib.
"""

import ast
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """A kind of figure.

    Attributes:
        tables: that it is drawn from.
        caption: what it shows.
        options: settings that say which model it looks into; empty for figures of all of them.
        experiments: how many it must name; 0 for any number.
        uses: what it shows besides tables: "reach", the bound that the theory gives.
    """

    tables: tuple[str, ...]
    caption: str
    options: tuple[str, ...] = ()
    experiments: int = 0
    uses: tuple[str, ...] = ()


def _kind(path: Path) -> Kind | None:
    """Return the kind of figure that a module draws; None for a module that is no figure."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    constants = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        and target.id in ("TABLES", "OPTIONS", "EXPERIMENTS", "USES")
    }
    if "TABLES" not in constants:
        return None
    # The first line says what the module is.
    caption = (ast.get_docstring(tree) or "").partition("\n\n")[2]
    return Kind(caption=caption, **{name.lower(): value for name, value in constants.items()})


KINDS: dict[str, Kind] = {
    path.stem: kind
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if (kind := _kind(path)) is not None
}
"""Every kind of figure, by name."""
