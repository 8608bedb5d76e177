"""Which part of the package may import which: data flow one way, and nothing goes in a circle."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import audit_trail
import logdepth

ROOT = Path(logdepth.__file__).parent
AUDIT = Path(audit_trail.__file__).parent
# Anybody may have these.
BASE = {"errors", "files", "canonical", "random"}
# What each part imports besides, at the top of a module or within a function.
ARROWS = {
    "errors": set(),
    "files": set(),
    "canonical": set(),
    "random": set(),
    "devices": set(),
    "environment": set(),
    "locking": set(),
    "settings": set(),
    "optimizers": set(),
    "tables": set(),
    "tasks": {"settings"},
    "models": {"settings", "tasks"},
    "recipes": {"settings", "tasks", "models", "optimizers"},
    "config": {"settings", "tasks", "models", "recipes"},
    "provenance": {"audit_trail"},
    "training": {"config", "tasks", "models"},
    "released": {"config", "settings", "models"},
    "evaluation": {"config", "tasks", "models", "recipes"},
    "fitting": {"config", "evaluation"},
    "figures": {"config", "fitting"},
    "theory": {"config", "tasks", "models", "recipes", "training", "evaluation"},
    "planning": {"settings", "config", "tasks", "models", "recipes", "training", "provenance"},
    "resolved": {"settings", "config", "tasks", "models", "figures"},
    "jobs": {"config", "tasks", "models", "figures", "theory", "provenance", "resolved"},
    "overview": {
        *("audit_trail", "config", "figures", "fitting", "jobs", "planning", "provenance"),
        "resolved",
    },
    # What the audit is told of us.
    "narrowing": {"audit_trail"},
    "audited": {"audit_trail", "narrowing"},
    "website": {
        *("audit_trail", "config", "figures", "models", "tables", "tasks", "theory", "training"),
    },
}
# Commands put everything together.
FREE = {"cli", "__main__"}
# Modules of the audit that are carried to other machines, where there is nothing but Python.
CARRIED = "audit_trail.__main__"


def imports_of(path: Path, within_functions: bool = True) -> set[str]:
    """Return the modules that a file imports, at its top or within a function."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if within_functions else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def parts_imported() -> dict[str, set[str]]:
    """Return, for each package or module right below the root, which others it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        imports = found.setdefault(part, set())
        for name in imports_of(path):
            package, _, inner = name.partition(".")
            if package == "logdepth" and inner:
                imports.add(inner.partition(".")[0])
            elif package == "audit_trail":
                imports.add(package)
        imports.discard(part)
    return {part: {i for i in imports if _is_part(i)} for part, imports in found.items()}


def _is_part(name: str) -> bool:
    return name == "audit_trail" or any((ROOT / n).exists() for n in (name, f"{name}.py"))


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


def test_the_audit_knows_no_science():
    wrong = {
        path.relative_to(AUDIT).as_posix(): sorted(names)
        for path in sorted(AUDIT.rglob("*.py"))
        if (names := {n for n in imports_of(path) if n.split(".")[0] in ("logdepth", "torch")})
    }
    # It asks a torch that a job has loaded for its threads, and imports none.
    assert wrong == {}


def test_the_verifier_needs_nothing_but_python():
    waiting, seen = [CARRIED], set()
    while waiting:
        name = waiting.pop()
        path = AUDIT.parent.joinpath(*name.split(".")).with_suffix(".py")
        if name in seen or not path.is_file():
            continue
        seen.add(name)
        # Commands that need more import it when they run.
        for other in imports_of(path, within_functions=False):
            if other.split(".")[0] == "audit_trail":
                waiting.append(other)
            else:
                assert other.split(".")[0] in sys.stdlib_module_names, f"{name} imports {other}"
    assert {"audit_trail.verify", "audit_trail.repository"} <= seen
