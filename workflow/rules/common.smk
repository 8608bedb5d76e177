# The study, the site, and what the rules of all stages need of them.
import math
import os
import shlex
import sys
from pathlib import Path

from logdepth.audit import tracing
from logdepth.canonical import canonical_json, digest
from logdepth.config.contents import Contents
from logdepth.config.figures import NEEDS
from logdepth.config.imported import imported_runs
from logdepth.config.run import Task
from logdepth.config.site import read_site
from logdepth.config.study import ConfigError, read_study
from logdepth.errors import UserError
from logdepth.figures.catalog import FIGURES
from logdepth.planning.requests import (
    attention_requests,
    evaluation_requests,
    theory_requests,
    training_requests,
)
from logdepth.provenance import image
from logdepth.provenance.definition import code_hash
from logdepth.provenance.ingredients import ingredients
from logdepth.provenance.integrity import settled
from logdepth.theory.catalog import CHECKS, JOBS, OF_MODELS

# Rules call `logdepth` by name: take the one beside this Snakemake.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
# Large pages for large tensors: 8 % of a training step, and nothing else changes.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")

# What the executor slurm-packed hands to each of its jobs.
HANDED = os.environ.get("LOGDEPTH_DEFINITION") if workflow.remote_exec else None
if HANDED:
    # Slurm's SIGTERM reaches every process of a job. The shell must outlive the training, for the
    # container ends with it.
    shell.prefix("set -euo pipefail; trap '' TERM; ")


# A profile or the command line names a study, or it is the one for a laptop.
if not workflow.overwrite_configfiles:

    configfile: "config/laptop.yaml"


try:
    STUDY = read_study(
        config, ", ".join(map(str, workflow.configfiles)) or "--configfile"
    )
    RESULTS = f"results/{STUDY.study}"
    CONTENTS = Contents(STUDY, imported_runs(STUDY, Path(RESULTS) / "runs"))
    # Snakemake does not miss an input while the output is there.
    for other in STUDY.beside:
        table = Path(other.results, "tables", "thresholds.csv")
        if not table.is_file():
            raise ConfigError(
                f"{', '.join(map(str, workflow.configfiles))}: beside: {table}: no such file; "
                "right would be the folder of a finished study"
            )
    SITE = read_site(Path("site.yaml"), os.environ)
    IN_IMAGE = any(
        method.name == "APPTAINER"
        for method in workflow.deployment_settings.deployment_method
    )
    # Once, by the process that was started by hand; its jobs take its word.
    if IN_IMAGE and not HANDED:
        os.environ[image.VARIABLE] = image.checked_image(Path(SITE.image))
except (ConfigError, UserError) as error:
    sys.exit(str(error))

# Libraries of the GPU are wanted in the image where Slurm gave the job one.
if IN_IMAGE and HANDED and os.environ.get("SLURM_JOB_GPUS"):
    os.environ.update(APPTAINER_NV="1", SINGULARITY_NV="1")

TRAINED = CONTENTS.trained
COMPILED = CONTENTS.compiled
RUNS = CONTENTS.runs
EXPERIMENTS = CONTENTS.experiments
PUBLISHED = "config/published_errors.csv"
TABLES = (
    "errors",
    "errors_by_run",
    "thresholds",
    "scaling",
    *(["training"] if TRAINED else []),
    *(["comparison", "comparison_summary"] if CONTENTS.compared else []),
    *(["solved_depths"] if CONTENTS.shows_depths else []),
    *([*JOBS, "claims"] if STUDY.theory else []),
)
# The paper's Tables 1 to 3: task, settings, models.
DESCRIPTIONS = ("table1", "table2", "table3")


def record_of(stage, name):
    """Path of a job's record."""
    return f"{RESULTS}/provenance/{stage}/{name}.json"


def tables_of(figure):
    """The tables that a figure is drawn from."""
    paths = {table: f"{RESULTS}/tables/{table}.csv" for table in FIGURES[figure.draws]}
    if figure.draws in NEEDS:
        folder = f"{RESULTS}/runs/{CONTENTS.model_of(figure)}"
        paths["alignment"] = f"{folder}/alignment.csv"
        if "attention" in paths:
            paths["attention"] = f"{folder}/attention-hops{figure.hops}.csv"
    return list(paths.values())


def model_records(figure):
    """The records of what a figure shows of a single model."""
    if figure.draws not in NEEDS:
        return []
    model = CONTENTS.model_of(figure)
    records = [record_of("alignment", model)]
    if "attention" in FIGURES[figure.draws]:
        records.append(record_of("attention", f"{model}-hops{figure.hops}"))
    return records


RUN_OUTPUTS = [
    *expand("{results}/runs/{run}/evaluation.csv", results=RESULTS, run=RUNS),
    *(record_of("evaluate", run) for run in RUNS),
    *expand(
        "{results}/runs/{run}/{name}",
        results=RESULTS,
        run=TRAINED,
        name=["model.safetensors", "run.json", "steps.csv", "hops.csv"],
    ),
    *(record_of("train", run) for run in TRAINED),
    *expand(
        "{results}/runs/{run}/{name}",
        results=RESULTS,
        run=COMPILED,
        name=["model.safetensors", "run.json"],
    ),
    *(record_of("compile", run) for run in COMPILED),
]
TABLE_OUTPUTS = [
    *expand("{results}/tables/{table}.csv", results=RESULTS, table=TABLES),
    *expand(
        "{results}/tables/{table}.{kind}",
        results=RESULTS,
        table=DESCRIPTIONS,
        kind=["csv", "md", "tex"],
    ),
    record_of("tabulate", "tables"),
    record_of("describe", "tables"),
    record_of("fit", "fits"),
    *([record_of("curves", "training")] if TRAINED else []),
    *([record_of("compare", "comparison")] if CONTENTS.compared else []),
    *([record_of("depths", "solved_depths")] if CONTENTS.shows_depths else []),
    *([record_of("theory", table) for table in JOBS] if STUDY.theory else []),
    *([record_of("claims", "claims")] if STUDY.theory else []),
]
FIGURE_OUTPUTS = [
    *expand(
        "{results}/figures/{figure}.{kind}",
        results=RESULTS,
        figure=CONTENTS.figures,
        kind=["pdf", "png", "csv"],
    ),
    *(record_of("figure", figure) for figure in CONTENTS.figures),
]
TRACES = {figure: f"{RESULTS}/traces/{figure}.html" for figure in CONTENTS.figures}
# Imported models have a record if `logdepth import` took them over into this very folder.
TRACED_RECORDS = [
    record_of("data", "evaluation"),
    *(
        path
        for path in [*RUN_OUTPUTS, *TABLE_OUTPUTS, *FIGURE_OUTPUTS]
        if path.startswith(f"{RESULTS}/provenance/")
    ),
    *dict.fromkeys(
        record for spec in CONTENTS.figures.values() for record in model_records(spec)
    ),
    *(path for run in RUNS if os.path.exists(path := record_of("import", run))),
]


# Used with --software-deployment-method apptainer only.
container: SITE.image


def one_of(runs):
    """Regular expression of the names of runs, by the hashes that they end in.

    Snakemake searches it for wildcards with every job and compiles it with every rule: with whole
    names, a study of 1000 runs takes 40 % longer to plan.
    """
    return f"[^/]+-(?:{'|'.join(run[-8:] for run in runs)})" if runs else "(?!)"


wildcard_constraints:
    run=one_of(RUNS),


INGREDIENTS = ingredients(CONTENTS, Path(PUBLISHED))


def defined_by(record):
    """Parameter that changes when a job's settings, its source or its finished outputs do.

    It takes the wildcards alone: Snakemake does not compare parameters that take the outputs.
    """

    def parameter(wildcards):
        if HANDED:
            return HANDED
        name = record.format(**wildcards)
        in_image = os.environ[image.VARIABLE] if IN_IMAGE else None
        path = Path(RESULTS, "provenance", f"{name}.json")
        return settled(INGREDIENTS[name].definition(in_image), path)

    return parameter


def options(name, values):
    """A repeated option of the command line, quoted."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for value in values)


def runs_folder(wildcards, input):
    """The folder of all runs, from the first file of the first run."""
    return os.path.dirname(os.path.dirname(input[0]))


def experiments_of(runs):
    """The options that name the runs of each experiment."""
    return options(
        "experiment", [f"{name}={','.join(ids)}" for name, ids in runs.items()]
    )


def code_of_pages(wildcards):
    """Hash of the code that traces figures: definitions leave it out, for it makes no results."""
    files = sorted(Path(tracing.__file__).parent.glob("*.py"))
    return digest({path.name: code_hash(path.read_text()) for path in files})


TRAINING = training_requests(TRAINED, SITE)
EVALUATION = evaluation_requests(RUNS, STUDY, SITE)
ATTENTION = attention_requests(RUNS, STUDY, SITE)
THEORY = theory_requests(JOBS, SITE)


def requested(requests, wildcard="run"):
    """Resources of a rule's jobs, more with each attempt: mem_mb, runtime, seconds, share.

    ``seconds`` and ``share`` (in millionths of a GPU, or of the cores of a Slurm job) decide which
    jobs share a Slurm job; ``runtime`` (minutes) counts where each has its own.
    """

    def of(value):
        return lambda wildcards, attempt: value(
            requests[getattr(wildcards, wildcard)], attempt
        )

    return {
        "mem_mb": of(lambda request, attempt: attempt * request.mem_mb),
        "runtime": of(
            lambda request, attempt: math.ceil(attempt * request.seconds / 30)
        ),
        "seconds": of(lambda request, attempt: math.ceil(attempt * request.seconds)),
        "share": of(lambda request, attempt: math.floor(1e6 * request.share)),
    }
