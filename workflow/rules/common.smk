# The study, and what the rules of all stages need of it.
import os
import shlex
import sys
from pathlib import Path

from logdepth.config.run import canonical_json
from logdepth.config.study import ConfigError, read_study
from logdepth.figures.catalog import FIGURES
from logdepth.provenance.definition import definition
from logdepth.provenance.integrity import settled

# Rules call `logdepth` by name: take the one beside this Snakemake.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

try:
    STUDY = read_study(
        config, ", ".join(map(str, workflow.configfiles)) or "--configfile"
    )
except ConfigError as error:
    sys.exit(str(error))

IMAGE = "containers/logdepth.sif"
METHODS = {method.name for method in workflow.deployment_settings.deployment_method}
if "APPTAINER" in METHODS and not Path(IMAGE).is_file():
    sys.exit(f"{IMAGE}: no such image; build one there, or run without apptainer")

RESULTS = f"results/{STUDY.study}"
RUNS = STUDY.all_runs()
EXPERIMENTS = {
    name: [run.identifier for run in STUDY.runs(name)] for name in STUDY.experiments
}
TABLES = ("errors", "errors_by_run", "training", "thresholds", "scaling")


def record_of(stage, name):
    """Path of a job's record."""
    return f"{RESULTS}/provenance/{stage}/{name}.json"


RUN_OUTPUTS = [
    *expand(
        "{results}/runs/{run}/{name}",
        results=RESULTS,
        run=RUNS,
        name=[
            "model.safetensors",
            "run.json",
            "steps.csv",
            "hops.csv",
            "evaluation.csv",
        ],
    ),
    *(record_of(stage, run) for stage in ("train", "evaluate") for run in RUNS),
]
TABLE_OUTPUTS = [
    *expand("{results}/tables/{table}.csv", results=RESULTS, table=TABLES),
    record_of("tabulate", "tables"),
    record_of("fit", "fits"),
]
FIGURE_OUTPUTS = [
    *expand(
        "{results}/figures/{figure}.{kind}",
        results=RESULTS,
        figure=FIGURES,
        kind=["pdf", "png", "csv"],
    ),
    *(record_of("figure", figure) for figure in FIGURES),
]


# Used with --software-deployment-method apptainer only.
container: IMAGE


wildcard_constraints:
    run="|".join(RUNS),


def defined_by(stage, name, settings, *modules):
    """Parameter that changes when a job's settings, its source or its finished outputs do.

    It takes the wildcards alone: Snakemake does not compare parameters that take the outputs.
    """

    def parameter(wildcards):
        chosen = settings(wildcards) if callable(settings) else settings
        base = definition((f"logdepth.cli.{stage}", *modules), chosen)
        return settled(base, Path(record_of(stage, name).format(**wildcards)))

    return parameter


def options(name, values):
    """A repeated option of the command line, quoted."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for value in values)


def cost(run):
    """Relative cost of a training, to start the long ones first."""
    return (
        run.training.trained_steps * run.training.batch * run.model.depth * run.model.width**2
    )
