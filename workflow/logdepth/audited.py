"""What the audit needs to know of us. What needs the whole package is imported when it is asked."""

from collections.abc import Callable
from pathlib import Path

from audit_trail.errors import AuditError
from audit_trail.files import read_json
from audit_trail.format import PROVENANCE
from audit_trail.project import Project
from audit_trail.records import Record
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder
from logdepth.narrowing import narrow
from logdepth.rebuilding import RULES


def expected_definitions(
    study: StudyFolder, repository: Repository
) -> Callable[[Record], str | None]:
    """Return what gives the definition that a job of the study should have now.

    That is "" for a job that the configuration does not have any more, and None for imports, which
    no configuration asks for.

    Raises:
        AuditError: the repository has no file of the study in config/, or is not that of the code
            that runs here; the file is no study; or what is read of the study's folder is damaged.
    """
    config = repository.folder / "config" / f"{study.name}.yaml"
    own = Path(__file__).resolve().is_relative_to(repository.folder.resolve())
    if not config.is_file() or not own:
        where = repository.folder
        raise AuditError(f"{where} is not the clone of the code that runs here, or has no settings")
    from logdepth.config.study import load_study
    from logdepth.errors import UserError
    from logdepth.jobs import jobs_of
    from logdepth.resolved import resolve_in

    # All that is read of the folder, before it is read by what trusts it.
    for pattern in ("runs/*/run.json", "selection/*.json"):
        for path in study.folder.glob(pattern):
            read_json(path, study.folder)
    try:
        jobs = jobs_of(resolve_in(load_study(config), study.folder))
    except UserError as error:
        raise AuditError(str(error)) from error

    def definition(record: Record) -> str | None:
        if record.stage == "import":
            return None
        job = jobs.get(record.name.removeprefix(f"{PROVENANCE}/").removesuffix(".json"))
        return job.definition(record.image.sha256 if record.image else None) if job else ""

    return definition


PROJECT = Project(
    name="logdepth",
    sources="workflow",
    expected=expected_definitions,
    # k and j are columns of today; in results that are published they have longer names.
    letters={"k": "hops", "j": "jumps", "L": "depth", "H": "heads", "m": "width"},
    withheld=("*.safetensors", "runs/*/attention-*.csv"),
    narrow=narrow,
    rebuilding=RULES,
)
