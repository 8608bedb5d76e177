"""A real Slurm on this machine, a real image, and checkouts whose Snakemake submits to it."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from checkout import Checkout, make_checkout

HERE = Path(__file__).parent
_SYS_RESOURCE = 1 << 24
# Against a hang alone: no test is to fail because the machine is busy.
HANG_SECONDS = 1500


def _skip_reason() -> str | None:
    if os.geteuid() != 0:
        return "needs root, to start a Slurm"
    if not Path("/etc/debian_version").exists():
        return "the scripts that start a Slurm are for Debian"
    if shutil.which("apptainer") is None:
        return "needs apptainer (tests/cluster/install-apptainer.sh)"
    return None


@dataclass
class Cluster:
    """A running Slurm.

    Attributes:
        accounting: whether it has slurmdbd.
    """

    accounting: bool

    def run(self, *command: str) -> str:
        """Return what a command of Slurm prints."""
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def jobs(self) -> dict[int, str]:
        """Return the state of every job so far, by number."""
        lines = self.run("squeue", "-h", "--states=all", "--format=%i %T").splitlines()
        return {int(number): state for number, state in (line.split() for line in lines)}

    def job(self, number: int) -> dict[str, str]:
        """Return what ``scontrol show job`` says of one."""
        shown = self.run("scontrol", "show", "job", str(number))
        return dict(word.split("=", 1) for word in shown.split() if "=" in word)


@dataclass
class Submitting:
    """A Snakemake that submits to the cluster.

    Attributes:
        process: of it.
        log: what it prints.
    """

    process: "subprocess.Popen[bytes]"
    log: Path

    def submitted(self) -> list[int]:
        """Return the numbers of the Slurm jobs so far."""
        return [int(n) for n in re.findall(r"SLURM jobid (\d+)", self.log.read_text())]

    def finish(self, *, ok: bool = True) -> str:
        """Wait for the end; return what was printed."""
        try:
            code = self.process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"still running:\n{self.log.read_text()}") from None
        text = self.log.read_text()
        assert (code == 0) == ok, text
        return text


@dataclass
class ClusterCheckout(Checkout):
    """A checkout on the cluster.

    Attributes:
        site: variables that describe the cluster to the workflow.
    """

    site: dict[str, str]

    def start(self, *arguments: str, study: str = "tiny", **site: str) -> Submitting:
        """Start ``snakemake --profile slurm``, with more variables of the site if need be."""
        _, environment = self.command()
        command = ["snakemake", "--profile", "slurm", "--configfile", f"config/{study}.yaml"]
        # A test has no use for polite polling, nor for waiting on a network file system.
        hasty = ["--slurm-packed-init-seconds-before-status-checks", "4", "--latency-wait", "5"]
        # Beside the checkout: within it, it would be an uncommitted change.
        log = self.folder.with_name(f"{self.folder.name}.log")
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, *hasty, *arguments],
                cwd=self.folder,
                env=environment | self.site | site,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Tests that a shell started in the background would hand on that it is ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return Submitting(process, log)

    def local(self, *arguments: str, study: str = "tiny") -> str:
        """Run Snakemake on this machine, in the same image."""
        _, environment = self.command()
        command = ["snakemake", "--configfile", f"config/{study}.yaml", "--cores", "2"]
        done = subprocess.run(
            [*command, "--software-deployment-method", "apptainer", *arguments],
            cwd=self.folder,
            env=environment | self.site,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the first true value of a condition.

    Raises:
        AssertionError: there was none in ``HANG_SECONDS``.
    """
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.3)
    raise AssertionError(f"{what}: not within {HANG_SECONDS} s")


@pytest.fixture(scope="session")
def image(root: Path) -> Path:
    """The image of ``make image``."""
    path = root / "containers" / "logdepth.sif"
    if not path.is_file():
        pytest.skip("no image (make image)")
    return path


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A Slurm with two nodes, with slurmdbd where the module sets ACCOUNTING."""
    if reason := _skip_reason():
        pytest.skip(reason)
    accounting = getattr(request.module, "ACCOUNTING", False)
    subprocess.run([HERE / "slurm-down.sh"], check=True)
    environment = os.environ | {"DBD": str(int(accounting))}
    subprocess.run([HERE / "slurm-up.sh"], check=True, env=environment)
    yield Cluster(accounting)
    subprocess.run([HERE / "slurm-down.sh"], check=True)


@pytest.fixture(scope="session")
def site(image: Path) -> dict[str, str]:
    """The cluster of slurm-up.sh: GPUs that are none, and few CPUs."""
    variables = {
        "LOGDEPTH_IMAGE": str(image),
        "LOGDEPTH_DEVICE": "cpu",
        "LOGDEPTH_CPUS_PER_GPU": "4",
    }
    status = Path("/proc/self/status").read_text()
    capabilities = int(re.search(r"^CapEff:\s*(\w+)", status, re.M)[1], 16)  # type: ignore[index]
    # Where root may not raise its limits, Apptainer runs as it does for anybody else.
    return variables if capabilities & _SYS_RESOURCE else variables | {"APPTAINER_USERNS": "1"}


@pytest.fixture(scope="session")
def make(root: Path, site: dict[str, str]) -> Callable[..., ClusterCheckout]:
    """Return a function that makes a checkout in a folder, with a study."""

    def make(folder: Path, **options: str) -> ClusterCheckout:
        return ClusterCheckout(make_checkout(root, folder, **options).folder, site)

    return make
