"""Executor ``slurm-packed``: the slurm executor of Snakemake, several small jobs to a Slurm job.

A GPU is wasted on one tiny model, and a Slurm job on one second of work; Snakemake's own job groups
run their members one after another and fail as a whole. Here jobs that are ready at the same time
share Slurm jobs as ``logdepth.planning.packs`` decides, and each keeps an outcome of its own: where
one of a pack fails, the others are finished, and it alone is tried again.

A rule takes part by the resources ``seconds`` (what a job takes at most) and ``share`` (of a GPU,
or of the cores of a Slurm job, in millionths), and by ``together``, the number of those of which
the first does the work of all. What is particular to a cluster comes from site.yaml
and the environment; a resource of the same name, as from ``--set-resources``, wins. Everything
else, from submission to status queries, is the slurm executor's.
"""

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as slurm
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from logdepth.errors import UserError
from logdepth.planning.packs import JobRequest, make_packs
from logdepth.planning.site import read_site
from snakemake_executor_plugin_slurm_packed.options import options_of, try_options
from snakemake_executor_plugin_slurm_packed.packed import Packed, Resources

common_settings = slurm.common_settings

# How long jobs wait for others to share a Slurm job with.
COLLECT_SECONDS = 1.0


@dataclass
class ExecutorSettings(slurm.ExecutorSettings):  # type: ignore[misc]
    """Those of the slurm executor, as ``--slurm-packed-…``."""


class Executor(slurm.Executor):  # type: ignore[misc]
    """Submits packs of jobs to Slurm."""

    def __post_init__(self, test_mode: bool = False) -> None:
        """Read the site, try its options, and ask ``squeue`` where accounting is switched off.

        Raises:
            SystemExit: Slurm would refuse every job, for instance for its partition.
        """
        super().__post_init__(test_mode)
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._waiting: list[Any] = []
        self._complete: set[Path] = set()
        self._packs = self.slurm_logdir.resolve() / "packs" / self.run_uuid
        self._site = read_site(Path("site.yaml"), os.environ)
        try:
            for gpu in {False, self._site.gpu_device is not None}:
                try_options(self._site, gpu=gpu)
        except UserError as error:
            # Snakemake would add to any other exception where in its code it was raised.
            sys.exit(str(error))
        settings = self.workflow.executor_settings
        # The slurm executor takes sacct if it is installed, and waits for ever if it does not work.
        if settings.status_command == "sacct" and not _answers("sacct", "-X", "-n", "--name=none"):
            self.logger.info("sacct does not answer (no accounting): asking squeue for the status.")
            settings.status_command = "squeue"

    def additional_general_args(self) -> str:
        """Run the job in the Slurm job itself: steps of a Slurm job would wait for each other."""
        return "--executor local"

    def get_job_exec_prefix(self, job: Any) -> str:
        """Hand the job its definition: on the node, its former outputs are already removed."""
        definition = job.params.get("definition") if hasattr(job, "params") else None
        return f"export LOGDEPTH_DEFINITION={shlex.quote(str(definition))}" if definition else ""

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """Name an account only if the site does: Slurm knows the user's own."""
        if job.resources.get("slurm_account"):
            yield from super().get_account_arg(job)
        else:
            yield ""

    def get_partition_arg(self, job: Any) -> str:
        """Name a partition only if the site does: Slurm knows its default."""
        return str(super().get_partition_arg(job)) if job.resources.get("slurm_partition") else ""

    def run_jobs(self, jobs: Sequence[Any]) -> None:
        """Submit jobs that are ready, packed with those that are ready within the same second.

        Jobs that wait for the jobs of one pack become ready one by one, in quick succession.
        """
        super().run_jobs([])  # notes the event loop
        for job in jobs:
            self.run_job_pre(job)
        with self._lock:
            if not self._waiting:
                threading.Timer(COLLECT_SECONDS, self._submit).start()
            self._waiting.extend(jobs)

    def cancel(self) -> None:
        """Cancel all jobs, and submit none of those that wait to be packed."""
        with self._lock:
            self._waiting.clear()
        super().cancel()

    def format_job_exec(self, job: Any) -> str:
        """Return the command of a Slurm job; for a pack, write the scripts that it runs."""
        if not isinstance(job, Packed):
            return str(super().format_job_exec(job))
        job.folder.mkdir(parents=True)
        for number, member in enumerate(job.jobs):
            script = job.folder / f"{number}.sh"
            script.write_text(f"{super().format_job_exec(member)}\n", encoding="utf-8")
        worker = Path(__file__).with_name("worker.py")
        command = [sys.executable, worker, job.folder, job.at_once]
        return shlex.join(map(str, command))

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        """Pass on that a job succeeded."""
        super().report_job_success(job_info)
        self._tidy(job_info)

    def report_job_error(
        self, job_info: SubmittedJobInfo, msg: str | None = None, **kw: Any
    ) -> None:
        """Pass on that a Slurm job failed, unless this job of its pack succeeded."""
        outcome: Path | None = (job_info.aux or {}).get("outcome")
        if outcome is None:
            super().report_job_error(job_info, msg=msg, **kw)
        # Listed, not looked up: network file systems remember for a while that a file was missing.
        elif outcome.parent in self._complete or outcome.name in _names(outcome.parent):
            self.report_job_success(job_info)
        else:
            kw["aux_logs"] = [str(outcome.with_suffix(".log")), *(kw.get("aux_logs") or [])]
            super().report_job_error(job_info, msg=msg, **kw)

    def _report_job_submission_threadsafe(self, job_info: SubmittedJobInfo) -> None:
        for member in _members(job_info):
            super()._report_job_submission_threadsafe(member)

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        for member in _members(job_info):
            super()._report_job_error_threadsafe(member, msg)

    def _submit(self) -> None:
        with self._lock:
            jobs, self._waiting = self._waiting, []
        try:
            for packed in self._pack(jobs):
                self._job_submission_executor.submit(self.run_job, packed)
        except Exception as error:  # whatever it is, Snakemake must not wait for these jobs
            for job in jobs:
                message = f"Could not be packed: {error}"
                self._report_job_error_threadsafe(SubmittedJobInfo(job), message)

    def _pack(self, jobs: Sequence[Any]) -> list[Packed]:
        """Return packs of jobs whose Slurm options are the same."""
        alike: dict[str, list[Any]] = {}
        for job in jobs:
            options = {n: v for n, v in job.resources.items() if isinstance(v, str) or n == "gpu"}
            # Temporary folders differ from job to job and are no option of sbatch.
            options.pop("tmpdir", None)
            alike.setdefault(str(sorted(options.items())), []).append(job)
        return [packed for same in alike.values() for packed in self._packs_of(same)]

    def _packs_of(self, jobs: list[Any]) -> list[Packed]:
        by_key = {str(job.jobid): job for job in jobs}
        members = [
            JobRequest(
                key,
                seconds=float(job.resources.get("seconds", 60 * job.resources.runtime)),
                share=job.resources.get("share", 1e6) / 1e6,
                mem_mb=job.resources.mem_mb,
                group=job.resources.get("together", 0),
            )
            for key, job in by_key.items()
        ]
        site = self._site
        packs = make_packs(members, most_at_once=site.cpus_per_gpu, max_minutes=site.max_minutes)
        result = []
        for pack in packs:
            packed = tuple(by_key[key] for key in pack.members)
            resources = Resources(packed[0].resources.items())
            resources.update(mem_mb=pack.mem_mb, runtime=pack.minutes)
            resources = Resources(options_of(site, gpu=bool(resources.get("gpu"))) | resources)
            threads = pack.at_once * max(job.threads for job in packed)
            folder = self._packs / str(next(self._numbers))
            result.append(Packed(packed, threads, pack.at_once, resources, folder))
        return result

    def _tidy(self, job_info: SubmittedJobInfo) -> None:
        """Remove the folder of a pack all of whose jobs succeeded."""
        outcome: Path | None = (job_info.aux or {}).get("outcome")
        if outcome is None or outcome.parent in self._complete:
            return
        names = _names(outcome.parent)
        if {f"{Path(name).stem}.done" for name in names if name.endswith(".sh")} <= names:
            self._complete.add(outcome.parent)
            shutil.rmtree(outcome.parent, ignore_errors=True)


def _members(job_info: SubmittedJobInfo) -> list[SubmittedJobInfo]:
    """Return the submitted jobs of a submitted pack, each with the place of its own outcome."""
    packed = job_info.job
    if not isinstance(packed, Packed):
        return [job_info]
    return [
        SubmittedJobInfo(
            job,
            external_jobid=job_info.external_jobid,
            aux={**(job_info.aux or {}), "outcome": packed.folder / f"{number}.done"},
        )
        for number, job in enumerate(packed.jobs)
    ]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _answers(*command: str) -> bool:
    """Return whether a command ends well within a minute."""
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
