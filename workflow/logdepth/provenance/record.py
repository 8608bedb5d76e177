"""The record of a job of ours: what ``audit_trail.writer`` has to be told of it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit_trail import writer
from audit_trail.integrity import hash_of
from audit_trail.mark import Mark
from logdepth.provenance.definition import source
from logdepth.provenance.image import running_image
from logdepth.provenance.job import Job

logger = logging.getLogger(__name__)
# The package lies in workflow/ of its clone.
_ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def recorded(
    job: Job,
    *,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    record: Path | None,
    definition: str,
    device: str = "",
    study: Path | None = None,
) -> Iterator[Mark]:
    """Run the block as the job; write its record when it succeeds, after its outputs.

    Args:
        job: as declared.
        inputs: files it reads.
        outputs: files it writes.
        record: where its record goes, below <study>/provenance/; None writes none.
        definition: that the workflow asked for; empty when run by hand. Recorded is the job's own,
            with the count of the given one (see ``audit_trail.integrity``).
        device: that it runs on.
        study: the study.json that it read parameters from; a copy is kept.

    Yields:
        The mark for the metadata of its outputs.

    Raises:
        AuditError: the record would not lie below a folder named provenance, or an output outside
            of the folder that holds it.
        FileNotFoundError: an input is missing, or the block left an output unwritten.
    """
    image = running_image()
    own = job.definition(image[1] if image else None) if definition else ""
    if own != hash_of(definition):
        logger.warning("the code or study.json changed since the workflow started: run it again")
    work = writer.Work(
        project="logdepth",
        stage=job.stage,
        parameters=job.parameters | ({"device": device} if device else {}),
        seeds=job.seeds,
        definition=definition.replace(hash_of(definition), own, 1) if definition else "",
        source=source(job.modules) if record is not None else {},
        root=_ROOT,
        image=image,
    )
    with writer.recorded(work, inputs=inputs, outputs=outputs, record=record, study=study) as mark:
        yield mark
