"""The definition of an output: its configuration and the source that can change its bytes.

Snakemake compares parameters as a set of values without their names and never looks at imported
code, so that each rule passes one named hash of everything that decides its outputs instead.
"""

from functools import cache
from typing import Any

from audit_trail.source import closure
from audit_trail.source import code_hash as code_hash
from audit_trail.writer import hash_of as hash_of
from logdepth.canonical import digest

_PACKAGE = "logdepth"
# None of it changes a result: what reads the user's wishes (settings are hashed by value), what
# writes or reads records, checks of columns, and what tells the user how far a training is.
_WITHOUT_EFFECT = tuple(
    f"{_PACKAGE}.{name}"
    for name in (
        *("cli", "config", "errors", "planning", "provenance", "settings", "tables"),
        "training.progress",
    )
)


def definition(modules: tuple[str, ...], settings: Any) -> str:
    """Return the sha256 over settings and source, as 64 hexadecimal digits.

    Settings are the slice of the configuration that matters, as plain JSON values; the source is
    that of the modules where the computation starts, and of what they import (``closure``).
    """
    return digest({"settings": settings, "source": source(modules)})


@cache
def source(modules: tuple[str, ...]) -> dict[str, str]:
    """Return the hash of the code of each module in the closure of imports, by its name."""
    return closure(modules, _WITHOUT_EFFECT)
