# What the rules of all stages need.
from functools import cache

from snakemake.io import apply_wildcards

from audit_trail import tracing
from audit_trail.files import sha256_of
from logdepth.figures import KINDS
from audit_trail.writer import definition_or_retry


def record_of(stage, name):
    """Path of a job's record."""
    return f"{RESULTS}/provenance/{stage}/{name}.json"


def files_of(runs, *names):
    """The named files of runs."""
    return [f"{RESULTS}/runs/{run}/{name}" for run in runs for name in names]


def table_files(*names):
    """Paths of tables."""
    return [f"{RESULTS}/tables/{name}.csv" for name in names]


def figure_tables(figure):
    """The tables that a figure is drawn from."""
    if not KINDS[figure.draws].options:
        return table_files(*KINDS[figure.draws].tables)
    return [f"{RESULTS}/runs/{run}/{name}.csv" for run, name in tables_of_model(figure)]


def tables_of_model(figure):
    """Run and name of the tables that a figure of one model is drawn from."""
    model = RESOLVED.model_of(figure)
    names = {"attention": f"attention-k{figure.k}"}
    return [(model, names.get(table, table)) for table in KINDS[figure.draws].tables]


def records(*names):
    """Records, such as that of tabulate/tables."""
    return [f"{RESULTS}/provenance/{name}.json" for name in names]


def traced_records():
    """All records, which pages follow; imported models have one if they were taken over here."""
    targets = [*DATA_TARGETS, *RUN_TARGETS, *TABLE_TARGETS, *FIGURE_TARGETS]
    found = [path for path in targets if path.startswith(f"{RESULTS}/provenance/")]
    for figure in FIGURES.values():
        if KINDS[figure.draws].options:
            for run, name in tables_of_model(figure):
                stage, dash, k = name.partition("-")
                found += records(f"{stage}/{run}{dash}{k}")
    imported = records(*(f"import/{run}" for run in RUNS))
    return [*dict.fromkeys(found), *filter(os.path.exists, imported)]


def data_of(wildcards):
    """The frozen set of the task of a run."""
    return f"{RESULTS}/data/{data_name(RUNS[wildcards.run].task)}.safetensors"


def one_of(runs):
    """Regular expression of the names of runs, by the hashes that they end in.

    Snakemake searches it for wildcards with every job and compiles it with every rule: with whole
    names, a study of 1000 runs takes 40 % longer to plan.
    """
    return f"[^/]+-(?:{'|'.join(run[-8:] for run in runs)})" if runs else "(?!)"


wildcard_constraints:
    run=one_of(RUNS | TRIALS),


@cache
def definition_of(name):
    """Definition of a job, by the name of its record: with a count if its outputs were altered."""
    path = Path(RESULTS, "provenance", f"{name}.json")
    return definition_or_retry(JOBS[name].definition(IMAGE_SHA256), path)


def forced_if_stale(record):
    """An input function of no inputs, which has a job run again if its record is of another job.

    Snakemake would not, where its own notes on the outputs were lost or never came along.
    """

    def inputs(wildcards):
        path = Path(apply_wildcards(record, wildcards))
        name = path.relative_to(RESULTS, "provenance").with_suffix("").as_posix()
        if path.is_file() and definition_of(name).encode() not in path.read_bytes():
            workflow.dag.forcefiles.add(str(path))
        return []

    return inputs


def params_of(record):
    """The parameters of a rule: the options of its job, and the job's definition.

    The definition changes when settings, source or finished outputs of the job do. It takes the
    wildcards alone: Snakemake does not compare parameters that take the outputs.
    """

    def job(wildcards):
        return JOBS[record.format(**wildcards)]

    def definition(wildcards):
        return DEFINITION_FROM_SUBMITTER or definition_of(record.format(**wildcards))

    return {
        "options": lambda wildcards: job(wildcards).options,
        "definition": definition,
        "study": lambda wildcards: STUDY_FILE,
        "runs": lambda wildcards: f"{RESULTS}/runs",
        "tables": lambda wildcards: f"{RESULTS}/tables",
        "figures": lambda wildcards: f"{RESULTS}/figures",
    }


def repeated(name, values):
    """An option of the command line once for each value."""
    return shlex.join(word for value in values for word in (f"--{name}", str(value)))


def code_of_pages(wildcards):
    """Hash of what traces figures: definitions leave it out, for it makes no results."""
    folder = Path(tracing.__file__).parent
    return digest({path.name: sha256_of(path) for path in folder.glob("*.*")})
