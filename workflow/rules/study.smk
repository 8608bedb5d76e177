# The study, the site and the image: what is known before any rule.
import math
import os
import shlex
import sys
from pathlib import Path

from snakemake.dag import DAG

from audit_trail.environment import commit
from audit_trail.errors import AuditError
from logdepth import environment, jobs
from logdepth.canonical import canonical_json, digest
from logdepth.config.study import load_study
from logdepth.errors import ConfigError, UserError
from logdepth.locking import hold, pass_on_signals
from logdepth.planning.site import read_site
from logdepth.provenance import image
from logdepth.resolved import data_name, of_any_length, resolve_in

environment.settle()


async def at_any_time(dag, job, outputs):
    """Take outputs that are older than inputs: a clock was set back, and times decide nothing."""


# Snakemake would fail each such job, and remove what it made, until the clock has passed.
DAG.check_output_mtime = at_any_time
# Rules call `logdepth` by name: take the one beside this Snakemake.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)
# Large pages for large tensors: 8 % of a training step, and nothing else changes.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")

# What the executor slurm-packed hands to each of its jobs.
DEFINITION_FROM_SUBMITTER = (
    os.environ.get("LOGDEPTH_DEFINITION") if workflow.remote_exec else None
)
if DEFINITION_FROM_SUBMITTER:
    # Slurm's SIGTERM reaches every process of a job. The shell must outlive the training, for the
    # container ends with it.
    shell.prefix("set -euo pipefail; trap '' TERM; ")


# A profile or the command line names a study, or it is the one for a laptop.
if not workflow.overwrite_configfiles:

    configfile: "config/laptop.yaml"


SOURCE = ", ".join(map(str, workflow.configfiles))
HERE = Path(workflow.basedir).resolve()
try:
    # In a copied clone, or with PYTHONPATH set, it may be the code of another.
    if HERE not in (code := Path(jobs.__file__).resolve()).parents:
        raise UserError(
            f"{code.parent}: of another clone; expected that of {HERE}: make setup"
        )
    # Snakemake's own dictionary has lost keys that stand twice, and is of an older YAML.
    STUDY = load_study(
        *map(Path, workflow.configfiles), options=workflow.config_settings.config_args
    )
    # Reports have the title.
    config["title"] = STUDY.title
    RESULTS = f"results/{STUDY.study}"
    try:
        RESOLVED = resolve_in(STUDY, Path(RESULTS))
    except ConfigError as error:
        raise ConfigError(f"{SOURCE}: {error}") from error
    # Snakemake does not miss an input while the output is there.
    for other in STUDY.beside:
        table = Path(other.results, "tables", "thresholds.csv")
        if not table.is_file():
            raise ConfigError(
                f"{SOURCE}: beside: {table}: no such file; expected the folder of a finished study"
            )
    SITE = read_site(Path("site.yaml"), os.environ)
    IN_IMAGE = any(
        method.name == "APPTAINER"
        for method in workflow.deployment_settings.deployment_method
    )
    # The image that jobs run in, or that Snakemake itself was started in. Found once, by the process
    # that was started by hand; its jobs take its word.
    IMAGE_SHA256 = None
    if DEFINITION_FROM_SUBMITTER:
        pass
    elif IN_IMAGE:
        IMAGE_SHA256 = image.checked_image(Path(SITE.image))
    elif within := image.running_image():
        _, IMAGE_SHA256 = within
    if IMAGE_SHA256:
        os.environ[image.VARIABLE] = IMAGE_SHA256
except (ConfigError, UserError) as error:
    sys.exit(str(error))

# Libraries of the GPU are wanted in the image where Slurm gave the job one.
if IN_IMAGE and DEFINITION_FROM_SUBMITTER and os.environ.get("SLURM_JOB_GPUS"):
    os.environ.update(APPTAINER_NV="1", SINGULARITY_NV="1")

# Commands about many runs read it.
STUDY_FILE = f"{RESULTS}/study.json"
if not DEFINITION_FROM_SUBMITTER:
    RESOLVED.summary.write(Path(STUDY_FILE))
RUNS = RESOLVED.runs
TRIALS = RESOLVED.trial_runs
JOBS = jobs.jobs_of(RESOLVED)
PUBLISHED = "config/published_errors.csv"


# Not by dry runs, nor by what it starts for its jobs, which run no hooks.
onstart:
    try:
        hold(STUDY.study, alone=workflow.local_exec)
        pass_on_signals()
    except UserError as error:
        sys.exit(str(error))
    try:
        reason = commit(HERE).uncommitted and (
            "this clone has what is not committed (git status); to publish it, stop, commit, and "
            "start again"
        )
    except AuditError as error:
        reason = f"nobody knows its commit: {error}"
    if reason:
        print(
            f"{RESULTS}: what is made now can never be published, for {reason}",
            file=sys.stderr,
        )


# Used with --software-deployment-method apptainer only.
container: SITE.image
