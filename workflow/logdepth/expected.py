"""The definitions that the jobs of a study should have now. Needs the whole package."""

from collections.abc import Callable
from pathlib import Path

from audit_trail.records import Record
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder
from logdepth.config.study import load_study
from logdepth.jobs import jobs_of
from logdepth.provenance.format import PROVENANCE
from logdepth.resolved import resolve_in


def expected_definitions(
    study: StudyFolder, repository: Repository
) -> Callable[[Record], str | None] | None:
    """Return what gives the definition that a job of the study should have now.

    The function returns "" for a job that the configuration does not have any more, and None for
    imports, which no configuration asks for.

    Args:
        study: its name is that of its file in config/.
        repository: with that file.

    Returns:
        None where there is no such file, or where the code that runs here is not the
        repository's, so that it cannot say what the definitions should be.

    Raises:
        UserError: the file is no study, or a run.json is damaged.
    """
    config = repository.folder / "config" / f"{study.name}.yaml"
    own = Path(__file__).resolve().is_relative_to(repository.folder.resolve())
    if not config.is_file() or not own:
        return None
    loaded = load_study(config)
    jobs = jobs_of(resolve_in(loaded, study.folder))

    def definition(record: Record) -> str | None:
        if record.stage == "import":
            return None
        job = jobs.get(record.name.removeprefix(f"{PROVENANCE}/").removesuffix(".json"))
        return job.definition(record.image.sha256 if record.image else None) if job else ""

    return definition
