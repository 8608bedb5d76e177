"""The mark in a figure's metadata, by which the record of a figure is found wherever it lies.

It is known before the figure is drawn and the same in every clone: the definition of the job, and a
hash over the digests of its inputs.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from audit_trail.files import digest

_PATTERN = re.compile(rb"logdepth definition=([0-9a-f]{64}|none) inputs=([0-9a-f]{64})")


@dataclass(frozen=True)
class Mark:
    """What identifies the job that drew a figure.

    Attributes:
        definition: of the job, without its count; None for a figure drawn by hand.
        inputs: sha256 over the digests of its inputs.
    """

    definition: str | None
    inputs: str

    def __str__(self) -> str:
        return f"logdepth definition={self.definition or 'none'} inputs={self.inputs}"


def inputs_hash(digests: Iterable[str]) -> str:
    """Return the sha256 over the sha256 of each input, in no particular order."""
    return digest(sorted(digests))


def read_mark(content: bytes) -> Mark | None:
    """Return the mark in the bytes of a PDF or PNG; None if there is none."""
    found = _PATTERN.search(content)
    if found is None:
        return None
    definition, inputs = (part.decode() for part in found.groups())
    return Mark(None if definition == "none" else definition, inputs)
