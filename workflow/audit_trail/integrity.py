"""What a finished output says of its job: whether it is as it was written, and a figure's mark.

Snakemake does not look at the bytes of outputs, but it does rerun a job whose parameters changed.
So the definition that a rule passes carries a count of how often its outputs had to be made again
for being altered: ``<hash>``, then ``<hash>+1``, ``<hash>+2``. The record keeps the count.

The mark in a figure's metadata finds its record wherever it lies. It is known before the figure is
drawn and the same in every clone: the job's definition, and a hash over the digests of its inputs.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import digest, read_json, sha256_of
from audit_trail.format import PROVENANCE

_MARK = re.compile(rb"logdepth definition=(?:[0-9a-f]{64}|none) inputs=[0-9a-f]{64}")


def hash_of(definition: str) -> str:
    """Return a definition without its count of altered outputs."""
    return definition.partition("+")[0]


def definition_or_retry(definition: str, record: Path) -> str:
    """Return the definition to pass for a job: as recorded while its outputs are untouched.

    It is the recorded one where its hash is the given one, of today's configuration and source, and
    no output differs from its recorded sha256; the next count where one does; the plain hash
    otherwise, also without a record. Missing outputs are left to Snakemake.
    """
    if not record.is_file():
        return definition
    try:
        statement = read_json(record)
        made: str = statement["predicate"]["buildDefinition"]["internalParameters"]["definition"]
        base, _, count = made.partition("+")
        if base != definition:
            return definition
        study = study_folder(record)
        files = {study / s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
        if all(sha256_of(p) == sha256 for p, sha256 in files.items() if p.is_file()):
            return made
        return f"{definition}+{int(count or 0) + 1}"
    except (BadFileError, ValueError, KeyError, TypeError, AttributeError):
        # A record that cannot be read is an altered output, too.
        return f"{definition}+1"


def study_folder(record: Path) -> Path:
    """Return the folder of the study that a record belongs to.

    Raises:
        AuditError: the record does not lie below a folder named provenance.
    """
    for parent in record.parents:
        if parent.name == PROVENANCE:
            return parent.parent
    raise AuditError(f"{record}: a record lies below <study>/{PROVENANCE}/, not elsewhere")


def mark_of(definition: str, inputs: Iterable[str]) -> str:
    """Return the mark of a job, by its definition (empty: by hand) and the sha256 of its inputs."""
    return f"logdepth definition={hash_of(definition) or 'none'} inputs={digest(sorted(inputs))}"


def read_mark(content: bytes) -> str:
    """Return the mark in the bytes of a PDF or PNG; empty if there is none."""
    found = _MARK.search(content)
    return found[0].decode() if found else ""
