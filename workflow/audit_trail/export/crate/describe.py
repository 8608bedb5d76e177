"""The description of a study in a crate: its files, jobs, workflow, people and paper."""

from audit_trail.export.committed import Committed, newest_record
from audit_trail.export.crate import actions
from audit_trail.export.crate.artefacts import Artefacts
from audit_trail.export.crate.graph import METADATA, PROFILES, Graph, Reference
from audit_trail.export.crate.people import add_licences, add_parties, add_works
from audit_trail.export.crate.software import Software
from audit_trail.export.people import FILE, read_citation
from audit_trail.study import StudyFolder
from logdepth.errors import UserError

_WORKFLOW = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"


def describe(graph: Graph, study: StudyFolder, committed: Committed) -> int:
    """Fill a crate with a study and return how many jobs it describes.

    Args:
        graph: empty.
        study: that was verified.
        committed: files of the code.

    Raises:
        UserError: the checkout lacks CITATION.cff or Snakefile, or the workflow ran no job.
    """
    content = _needed(committed, FILE)
    citation = read_citation(content, committed.repository.folder / FILE)
    agents = add_parties(graph, citation.authors)
    licences = add_licences(graph, citation.licences)
    artefacts = Artefacts(graph, study, committed)
    software = Software(graph, artefacts, study, licences, citation.repository)
    jobs = actions.add_jobs(graph, study, artefacts, software, agents)
    artefacts.add_shared()
    for name in committed.names("workflow/rules"):
        if rules := committed.read(name):
            artefacts.add_committed(name, rules, "Rules of the workflow")
    artefacts.add_committed(FILE, content, "People, licence and paper")
    if licence := committed.read("LICENSE"):
        artefacts.add_committed("LICENSE", licence, "Licence of the code")
    title = committed.study_title(study.name) or study.name
    graph.add_text("README.md", _readme(study, title), about={"@id": "./"})
    workflow = _add_workflow(graph, study, committed, software, jobs, licences)
    configuration = _add_configuration(study, committed, artefacts, software)
    whole = _add_run(graph, study, software, jobs, agents, workflow, configuration)
    newest = newest_record(study)
    graph.describe(
        name=title,
        description=f"The study '{study.name}', made with {citation.title}: results, the record "
        f"of each of the {len(jobs.actions)} jobs that made them, and their history.",
        datePublished=actions.moment(newest.finished, study, newest),
        license=licences,
        author=agents,
        citation=add_works(graph, citation.works),
        conformsTo=[{"@id": identifier} for identifier, _, _ in PROFILES],
        mentions=[*whole, *jobs.actions],
    )
    return len(jobs.actions)


def _add_workflow(
    graph: Graph,
    study: StudyFolder,
    committed: Committed,
    software: Software,
    jobs: actions.Jobs,
    licences: list[Reference],
) -> Reference:
    """Add the Snakefile, its steps, and the tools that they start."""
    graph.add(_WORKFLOW, "CreativeWork", name="ComputationalWorkflow", version="1.0-RELEASE")
    stages = sorted(jobs.tools)
    altered = any(record.uncommitted for record in study.records.values())
    changes = "; some jobs ran with uncommitted changes" if altered else ""
    return graph.add_workflow(
        "Snakefile",
        _needed(committed, "Snakefile"),
        description=f"The workflow, {committed.origin}{changes}",
        version=committed.recorded,
        conformsTo={"@id": _WORKFLOW},
        license=licences,
        hasPart=[tool for stage in stages for tool in jobs.tools[stage]],
        step=actions.add_steps(graph, study, jobs),
        input=software.configuration(),
        output=[slot for stage in stages for slot in software.outputs[stage]],
    )


def _add_configuration(
    study: StudyFolder, committed: Committed, artefacts: Artefacts, software: Software
) -> list[Reference]:
    """Add the file that configures the study, if the checkout has it."""
    name = f"config/{study.name}.yaml"
    content = committed.read(name)
    if content is None:
        return []
    about = f"Configuration of the study, {committed.origin}"
    return [artefacts.add_committed(name, content, about, [software.configuration()])]


def _add_run(
    graph: Graph,
    study: StudyFolder,
    software: Software,
    jobs: actions.Jobs,
    agents: list[Reference],
    workflow: Reference,
    configuration: list[Reference],
) -> list[Reference]:
    """Add the run of the workflow as a whole, and what Snakemake did for it."""
    records = study.records.values()
    first = min(records, key=lambda record: (record.started, record.name))
    newest = newest_record(study)
    common = {
        "startTime": actions.moment(first.started, study, first),
        "endTime": actions.moment(newest.finished, study, newest),
        "agent": agents,
        "actionStatus": actions.COMPLETED,
    }
    whole = graph.add(
        "#run",
        "CreateAction",
        name=f"The study {study.name}",
        description="All jobs, from the first that started to the last that finished.",
        instrument=workflow,
        object=[*configuration, *jobs.given],
        result=jobs.results,
        **common,
    )
    engine = graph.add(
        "#engine-run",
        "OrganizeAction",
        name=f"Snakemake makes the study {study.name}",
        instrument=software.engine(newest),
        object=jobs.controls,
        result=whole,
        **common,
    )
    return [whole, engine]


def _needed(committed: Committed, name: str) -> bytes:
    """Return a file of the code; as it is now if the commit does not have it."""
    content = committed.read(name)
    path = committed.repository.folder / name
    if content is None and path.is_file():
        content = path.read_bytes()
    if content is None:
        raise UserError(
            f"{path}: no such file; expected --repository with a checkout of the project"
        )
    return content


def _readme(study: StudyFolder, title: str) -> str:
    return (
        f"# {title}\n\n"
        f"The study `{study.name}` of logdepth as a Workflow Run RO-Crate (Provenance Run Crate "
        f"0.5). `{METADATA}` describes every job, file and tool.\n\n"
        f"`results/{study.name}` is the study as its workflow left it, so that "
        f"`logdepth audit verify results/{study.name}` checks it against its own records.\n"
    )
