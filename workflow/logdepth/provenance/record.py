"""The record of a job of ours: what ``audit_trail.writer`` has to be told of it."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from audit_trail import writer
from audit_trail.writer import hash_of
from logdepth.provenance.definition import source
from logdepth.provenance.image import running_image
from logdepth.provenance.job import Job

logger = logging.getLogger(__name__)
# The package lies in workflow/ of its clone.
_ROOT = Path(__file__).resolve().parents[3]


def recorded(
    job: Job,
    *,
    inputs: Sequence[Path],
    outputs: Sequence[Path],
    record: Path | None,
    definition: str,
    device: str = "",
    checkpoint: Mapping[str, Any] | None = None,
    study: Path | None = None,
) -> AbstractContextManager[str]:
    """Return the context in which a job runs: ``audit_trail.writer.recorded``, told of ours.

    ``definition`` is what the workflow asked for, and empty when run by hand. Recorded is the job's
    own, with the count of the given one (see ``audit_trail.writer``). ``device`` is where it
    runs, ``checkpoint`` the note of what a training went on from, and ``study`` the study.json that
    it reads parameters from.
    """
    image = running_image()
    own = job.definition(image[1] if image else None) if definition else ""
    if own != hash_of(definition):
        logger.warning("the code or study.json changed since the workflow started: run it again")
    known = {"device": device, "checkpoint": checkpoint}
    work = writer.Work(
        project="logdepth",
        stage=job.stage,
        parameters=job.parameters | {name: value for name, value in known.items() if value},
        seeds=job.seeds,
        definition=definition.replace(hash_of(definition), own, 1) if definition else "",
        source=source(job.modules) if record is not None else {},
        root=_ROOT,
        image=image,
    )
    return writer.recorded(work, inputs=inputs, outputs=outputs, record=record, study=study)
