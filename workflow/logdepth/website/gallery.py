"""Studies as the pages show them: figures, what is claimed of them, and where they come from."""

import csv
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from docutils.core import publish_parts
from markupsafe import Markup

from audit_trail.records import Record
from audit_trail.study import StudyFolder, is_study, open_study
from logdepth.config.study import load_study
from logdepth.errors import UserError
from logdepth.figures import KINDS

# Kinds of figure that a published record has under a former name.
_FORMERLY = {"error_by_hops": "error_by_k"}
# A PDF as the only thing on a page of its size.
_PAGE = b"#set page(width: auto, height: auto, margin: 0pt)\n#image(sys.inputs.file)"


@dataclass(frozen=True)
class Figure:
    """A figure of finished results: a picture, beside it a PDF and the CSV of what it shows."""

    study: "Study"
    picture: Path  # PNG

    @property
    def name(self) -> str:
        """Name of its files."""
        return self.picture.stem

    @property
    def address(self) -> str:
        """Its files in the site, without a suffix. A folder named figures would be a study's."""
        return f"figure/{self.study.slug}/{self.name}"

    @cached_property
    def record(self) -> Record | None:
        """The record of the job that drew it, if there is one."""
        name = self.picture.relative_to(self.study.folder).as_posix()
        return self.study.records.makers.get(name)

    @cached_property
    def caption(self) -> Markup:
        """What it shows, as HTML; empty where no kind of figure is known."""
        drawn = self.record.parameters["figure"]["draws"] if self.record else ""
        kind = KINDS.get(_FORMERLY.get(drawn, drawn))
        return _as_html(kind.caption if kind else "")

    @cached_property
    def summary(self) -> str:
        """The first sentence of its caption, or else its name, as plain text."""
        text = " ".join(Markup(str(self.caption).replace("<sup>", "^")).striptags().split())
        return re.split(r"[.:](?: |$)", text)[0] or self.name.replace("_", " ").capitalize()

    @property
    def commands(self) -> list[str]:
        """What makes it again: by the code of now, and by its record."""
        commands = ["make bench"] if self.study.name == "bench" else []
        if self.name in self.study.drawn:
            commands = [f"make figure STUDY={self.study.name} FIG={self.name}"]
        if self.record:
            commands.append(f"logdepth audit reproduce {self.picture.with_suffix('.pdf')}")
        return commands

    @property
    def drawing(self) -> bytes:
        """Its PDF as SVG, as large as the PNG.

        Raises:
            UserError: there is no PDF, or no Typst to turn it with.
        """
        path = self.picture.with_suffix(".pdf")
        try:
            import typst
        except ModuleNotFoundError as error:
            raise UserError("typst is not installed; expected make site, which does") from error
        options: dict[str, Any] = {"root": path.parent, "sys_inputs": {"file": f"/{path.name}"}}
        try:
            page = typst.compile(_PAGE, format="svg", ignore_system_fonts=True, **options)
        except typst.TypstError as error:
            raise UserError(f"{path}: no PDF that can be shown ({error.message})") from error
        # Within the page it is a data address, a third larger.
        inner = b64decode(re.findall(rb'"data:image/svg\+xml;base64,([^"]+)"', page)[0])
        return re.sub(rb'(?<= )(width|height)="([0-9.]+)"', _in_dots, inner, count=2)

    @property
    def table(self) -> dict[str, list[object]]:
        """Columns and rows of its CSV, as text.

        Raises:
            UserError: it is missing, or no CSV file.
        """
        path = self.picture.with_suffix(".csv")
        try:
            columns, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines(), strict=True)
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such file; expected the table of the figure") from error
        except (ValueError, csv.Error) as error:
            raise UserError(f"{path}: not a CSV file ({error})") from error
        return {"columns": list(columns), "rows": list(rows)}


@dataclass(frozen=True)
class Claim:
    """A row of docs/claims.md, its cells in Markdown."""

    claim: str
    command: str
    expected: str
    measured: str

    @property
    def study(self) -> str:
        """Name of the study that its command makes; empty for none."""
        if found := re.search(r"STUDY=(\w+)", self.command):
            return found[1]
        made = re.match(r"`make(?: (theory|bench))?`", self.command)
        return (made[1] or "laptop") if made else ""


@dataclass(eq=False)
class Study:
    """A folder of results with figures.

    Attributes:
        folder: where they lie.
        slug: its name on the site.
    """

    folder: Path
    slug: str

    def __post_init__(self) -> None:
        """Read what its configuration says now; a folder without one is shown under its name."""
        self.name = self.folder.name
        path = Path("config", f"{self.name}.yaml")
        known = load_study(path) if path.is_file() else None
        self.title = (known.title if known else "") or self.name.capitalize()
        self.drawn = {*known.figures} if known else set()
        self.figures = [Figure(self, path) for path in sorted(self.folder.rglob("*.png"))]

    @cached_property
    def records(self) -> StudyFolder:
        """What its records say; nothing where it has none."""
        return open_study(self.folder) if is_study(self.folder) else StudyFolder(self.folder)

    def shown(self, claim: Claim) -> list[Figure]:
        """Return the figures drawn from what the job that made a claim's table wrote."""
        names = re.findall(r"[\w/]+\.csv", claim.command)
        jobs = [self.records.makers[name] for name in names if name in self.records.makers]
        made = {output.name for job in jobs for output in job.outputs}
        return [
            figure
            for figure in self.figures
            if (figure.record and made & {resource.name for resource in figure.record.inputs})
            or (not figure.record and any(f"/{figure.name}_" in name for name in names))
        ]


def _in_dots(size: re.Match[bytes]) -> bytes:
    """Return a size in points as one in dots of the PNG, 200 an inch."""
    return b'%b="%d"' % (size[1], round(float(size[2]) / 72 * 200))


@cache
def _as_html(text: str) -> Markup:
    settings = {"report_level": 5, "file_insertion_enabled": False, "raw_enabled": False}
    parts = publish_parts(text, writer="html5", settings_overrides=settings)
    return Markup(parts["fragment"])


def read_studies(published: Path, own: Sequence[Path]) -> list[Study]:
    """Return what is published, and then studies that were made here.

    Raises:
        UserError: no such folder, no figure in it, or two of the same name.
    """
    if not published.is_dir():
        raise UserError(f"{published}: no such folder; expected to be called in a clone")
    studies = [Study(path, path.name) for path in sorted(published.iterdir()) if path.is_dir()]
    studies += [Study(path, f"own-{path.name}") for path in own]
    for number, study in enumerate(studies):
        if not study.figures:
            raise UserError(f"{study.folder}: no figure in it; expected a finished study")
        if study.slug in [other.slug for other in studies[:number]]:
            raise UserError(f"{study.folder}: expected studies of different names")
    return studies


def read_claims(path: Path) -> list[Claim]:
    """Return the rows of the page of claims.

    Raises:
        UserError: no such file, or no table of four columns in it.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [line[2:-2].split(" | ") for line in lines if line.startswith("| ")][1:]
    if {*map(len, rows)} != {4}:
        raise UserError(f"{path}: expected a table of claim, command, expected and measured")
    return [Claim(*row) for row in rows]
