"""The code behind a result: which modules of a package it may have run, and a hash of each.

A hash is over the syntax tree, so that comments, docstrings, layout and the texts of errors, none
of which changes a result, do not count.
"""

import ast
import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from audit_trail.files import digest


def code_hash(text: str, *, with_messages: bool = False) -> str:
    """Return the sha256 of Python code without comments, docstrings, layout and error messages.

    The tree is written in a way of our own because ``ast.dump`` varies between versions of Python.
    With messages, they count, and texts that are no docstrings of modules, classes and functions:
    so it was when the first results were published.
    """
    return digest(_plain(ast.parse(text), with_messages))


def closure(modules: Sequence[str], without: tuple[str, ...]) -> dict[str, str]:
    """Return the hash of each module that a computation may run, by the module's name.

    It starts in modules of one package; whatever of that package they import, directly or not, at
    the top or within a function, counts as well, but for modules and packages without effect on
    results. A ModuleNotFoundError names a module that does not exist.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or f"{name}.".startswith(tuple(f"{module}." for module in without)):
            continue
        path = _path(name)
        if path is None:
            raise ModuleNotFoundError(f"{name} is not a module of {name.partition('.')[0]}")
        found[name], imports = _read(path, name.partition(".")[0])
        # With the packages that a module is in, for they are run before it.
        parts = [name.split(".") for name in imports]
        parents = {".".join(names[: i + 1]) for names in parts for i in range(len(names))}
        waiting += [parent for parent in parents if _path(parent)]
    return dict(sorted(found.items()))


@cache
def _read(path: Path, package: str) -> tuple[str, set[str]]:
    """Return the hash of a file's code and the package's modules that it may import."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported may be a module itself.
            imports |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    inner = {name for name in imports if name.split(".")[0] == package}
    return digest(_plain(tree, with_messages=False)), inner


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
    """Return statements without those that are a text alone, as docstrings of all kinds are."""
    if with_messages:
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        return body[1:] if isinstance(node, documented) and any(map(_text, body[:1])) else body
    return [statement for statement in body if not _text(statement)]


def _text(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def _path(name: str) -> Path | None:
    root = importlib.util.find_spec(name.partition(".")[0])
    if root is None or root.origin is None:
        return None
    base = Path(root.origin).parent.parent.joinpath(*name.split("."))
    paths = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in paths if path.is_file()), None)
