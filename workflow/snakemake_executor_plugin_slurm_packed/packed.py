"""Several Snakemake jobs with the face of one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Resources(dict[str, Any]):
    """Resources by name, also as attributes, as the slurm executor reads them."""

    __getattr__ = dict.get


@dataclass(frozen=True)
class Packed:
    """Jobs that share a Slurm job, with the face of one job that the slurm executor submits.

    Attributes:
        jobs: the Snakemake jobs, longest first.
        threads: CPUs of the Slurm job.
        at_once: jobs running at the same time.
        resources: of the Slurm job.
        folder: absolute path of their scripts, logs and outcomes.
    """

    jobs: tuple[Any, ...]
    threads: int
    at_once: int
    resources: Resources
    folder: Path

    @property
    def name(self) -> str:
        """Names of the rules."""
        return "+".join(sorted({job.rule.name for job in self.jobs}))

    @property
    def rule(self) -> Any:
        """The rule of its first job."""
        return self.jobs[0].rule

    @property
    def jobid(self) -> str:
        """The numbers that Snakemake gave the jobs."""
        return ",".join(str(job.jobid) for job in self.jobs)

    @property
    def wildcards(self) -> list[str]:
        """Part of the comment and of the log's path in Slurm."""
        return [self.folder.name]

    def is_group(self) -> bool:
        """Whether it is a job group of Snakemake."""
        return False
