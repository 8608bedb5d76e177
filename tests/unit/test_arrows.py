"""Which part of the package may import which: data flow one way, and nothing goes in a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import logdepth

ROOT = Path(logdepth.__file__).parent
# Anybody may have these.
BASE = {"errors", "files", "canonical"}
# What each part imports besides, at the top of a module or within a function.
ARROWS = {
    "errors": set(),
    "files": set(),
    "canonical": set(),
    "devices": set(),
    "settings": set(),
    "optimizers": set(),
    "tables": set(),
    "tasks": {"settings"},
    "models": {"settings", "tasks"},
    "recipes": {"settings", "tasks", "models", "optimizers"},
    "config": {"settings", "tasks", "models", "recipes"},
    "provenance": set(),
    "audit": {"provenance"},
    "training": {"config", "tasks", "models"},
    "released": {"config", "settings", "models"},
    "evaluation": {"config", "tasks", "models", "recipes"},
    "fitting": {"config", "evaluation"},
    "figures": {"config", "fitting"},
    "theory": {"config", "tasks", "models", "recipes", "training", "evaluation"},
    "planning": {"settings", "config", "tasks", "models", "recipes", "training", "provenance"},
    "resolved": {"settings", "config", "tasks", "figures"},
    "jobs": {"config", "tasks", "models", "figures", "theory", "provenance", "resolved"},
    "expected": {"config", "audit", "provenance", "jobs", "resolved"},
}
# Commands put everything together.
FREE = {"cli", "__main__"}


def parts_imported() -> dict[str, set[str]]:
    """Return, for each package or module right below the root, which others it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        imports = found.setdefault(part, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module == "logdepth":
                names = [f"logdepth.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            imports |= {name.split(".")[1] for name in names if name.startswith("logdepth.")}
        imports.discard(part)
    return found


def test_each_part_imports_what_it_may():
    found = parts_imported()
    wrong = {
        part: sorted(imports - ARROWS.get(part, set()) - BASE)
        for part, imports in found.items()
        if part not in FREE and imports - ARROWS.get(part, set()) - BASE
    }
    assert wrong == {}
    assert set(found) - FREE == set(ARROWS)


def test_no_arrow_is_listed_in_vain():
    found = parts_imported()
    assert {
        part: sorted(arrows - found[part])
        for part, arrows in ARROWS.items()
        if arrows - found[part]
    } == {}


def test_nothing_goes_in_a_circle():
    found = {part: imports for part, imports in parts_imported().items() if part not in FREE}
    list(TopologicalSorter(found).static_order())
