"""The definition of an output: its configuration and the source that can change its bytes.

Snakemake compares parameters as a set of values without their names and never looks at imported
code, so that each rule passes one named hash of everything that decides its outputs instead.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from logdepth.canonical import canonical_json, digest

_PACKAGE = "logdepth"
# None of it changes a result: what reads the user's wishes (settings are hashed by value), what
# writes or reads records, checks of columns, and what tells the user how far a training is.
_WITHOUT_EFFECT = tuple(
    f"{_PACKAGE}.{name}"
    for name in (
        *("audit", "cli", "config", "errors", "planning", "provenance", "settings", "tables"),
        "training.progress",
    )
)


def definition(modules: tuple[str, ...], settings: Any) -> str:
    """Return the sha256 over settings and source, as 64 hexadecimal digits.

    Args:
        modules: where the computation starts; whatever of the package they import, directly or
            not, at the top or within a function, is found in the source and counts as well.
        settings: the slice of the configuration that matters, as plain JSON values.
    """
    return digest({"settings": settings, "source": source(modules)})


def hash_of(definition: str) -> str:
    """Return a definition without its count of altered outputs (see integrity.py)."""
    return definition.partition("+")[0]


@cache
def source(modules: tuple[str, ...]) -> dict[str, str]:
    """Return the hash of the code of each module in the closure of imports, by its name.

    Raises:
        ModuleNotFoundError: a module of the package that does not exist.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or f"{name}.".startswith(tuple(f"{m}." for m in _WITHOUT_EFFECT)):
            continue
        path = _path(name)
        if path is None:
            raise ModuleNotFoundError(f"{name} is not a module of {_PACKAGE}")
        found[name], imports = _read(path)
        waiting += [parent for i in imports for parent in _with_parents(i) if _path(parent)]
    return dict(sorted(found.items()))


def code_hash(text: str, *, with_messages: bool = False) -> str:
    """Return the sha256 of Python code without comments, docstrings, layout and error messages.

    The hash is over the syntax tree, written in a way of our own because ``ast.dump`` varies
    between versions of Python.

    Args:
        text: the code.
        with_messages: whether error messages count, and texts that are no docstrings of modules,
            classes and functions: so it was when the first results were published.

    Raises:
        SyntaxError: not Python.
    """
    return _tree_hash(ast.parse(text), with_messages)


def _tree_hash(tree: ast.AST, with_messages: bool = False) -> str:
    return hashlib.sha256(canonical_json(_plain(tree, with_messages)).encode()).hexdigest()


@cache
def _read(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the hash of a file's code and the package's modules it may import."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported may be a module itself.
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    ours = tuple(sorted(i for i in imports if i.split(".")[0] == _PACKAGE))
    return _tree_hash(tree), ours


def _plain(node: Any, with_messages: bool) -> Any:
    if isinstance(node, list):
        return [_plain(item, with_messages) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Raise) and not with_messages:
        # A job that fails writes nothing, whatever it says.
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return {"Raise": _plain(raised, with_messages)}
    fields = {}
    for name, value in ast.iter_fields(node):
        if name in ("body", "orelse", "finalbody") and isinstance(value, list):
            value = _without_texts(node, value, with_messages)
        if value is not None and value != []:
            fields[name] = _plain(value, with_messages)
    return {type(node).__name__: fields}


def _without_texts(node: ast.AST, body: list[Any], with_messages: bool) -> list[Any]:
    if not with_messages:
        return [item for item in body if not _is_text(item)]
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return body[1:] if isinstance(node, documented) and body and _is_text(body[0]) else body


def _is_text(node: ast.AST) -> bool:
    """Return whether a statement is a text alone, as docstrings of all kinds are."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


@cache
def _path(name: str) -> Path | None:
    root = importlib.util.find_spec(_PACKAGE)
    if root is None or root.origin is None:
        return None
    base = Path(root.origin).parent.parent.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None
