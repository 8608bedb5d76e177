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

RESULTS = f"results/{STUDY.study}"
RUNS = STUDY.all_runs()
EXPERIMENTS = {
    name: [run.identifier for run in STUDY.runs(name)] for name in STUDY.experiments
}
TRAINED = ("model.safetensors", "run.json", "steps.csv", "hops.csv")
TABLES = ("errors", "errors_by_run", "training", "thresholds", "scaling")
OUTPUTS = [
    f"{RESULTS}/data/evaluation.safetensors",
    *(
        f"{RESULTS}/runs/{run}/{name}"
        for run in RUNS
        for name in (*TRAINED, "evaluation.csv")
    ),
    *(f"{RESULTS}/tables/{table}.csv" for table in TABLES),
    *(
        f"{RESULTS}/figures/{name}.{kind}"
        for name in FIGURES
        for kind in ("pdf", "png", "csv")
    ),
]


# Used with --software-deployment-method apptainer only.
container: "containers/logdepth.sif"


wildcard_constraints:
    run="|".join(RUNS),


def defined_by(stage, settings, *modules):
    """Parameter that changes when a job's settings, its source or its finished outputs do."""

    def parameter(wildcards, output):
        chosen = settings(wildcards) if callable(settings) else settings
        base = definition((f"logdepth.cli.{stage}", *modules), chosen)
        return settled(base, Path(output.record))

    return parameter


def options(name, values):
    """A repeated option of the command line, quoted."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for value in values)


def cost(run):
    """Relative cost of a training, to start the long ones first."""
    return (
        run.training.steps * run.training.batch * run.model.depth * run.model.width**2
    )
