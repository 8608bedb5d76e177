"""What a Slurm job runs: the scripts of a pack, some at once, each with an outcome of its own.

``python worker.py FOLDER AT_ONCE`` runs ``FOLDER/<n>.sh`` with its output in ``<n>.log`` and leaves
``<n>.done`` where it succeeded. A requeued Slurm job goes on with those that have none. It knows
nothing of Snakemake.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

# Slurm waits as long (KillWait, 30 s by default) before it kills.
GRACE_SECONDS = 25.0


class Stopped(Exception):  # noqa: N818 - it is no error of the program
    """SIGTERM arrived: preemption, a time limit, or scancel."""


def main(folder: Path, at_once: int) -> int:
    """Run the scripts; return 0 if all have succeeded, now or before a requeue, else 1.

    On SIGTERM every process below is told to stop, and is waited for: a training writes a
    checkpoint then, and Slurm would kill it as soon as this process has ended.

    Args:
        folder: absolute path of the pack.
        at_once: scripts that run at the same time.
    """
    signal.signal(signal.SIGTERM, _stop)
    environment = _environment(folder / "bin")
    scripts = sorted(folder.glob("*.sh"), key=lambda path: int(path.stem))
    waiting = [script for script in scripts if not script.with_suffix(".done").exists()]
    running: dict[int, tuple[Path, subprocess.Popen[bytes]]] = {}
    failed = False
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                script = waiting.pop(0)
                process = _start(script, environment)
                running[process.pid] = script, process
            pid, status = os.wait()
            script, process = running.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode == 0:
                script.with_suffix(".done").touch()
            else:
                failed = True
            print(f"{_now()} {script.name} ended with {process.returncode}", flush=True)
    except Stopped:
        print(f"{_now()} told to stop", flush=True)
        processes = psutil.Process().children(recursive=True)
        for process in processes:
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, timeout=GRACE_SECONDS)
        return 128 + signal.SIGTERM
    return int(failed)


def _start(script: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with script.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            ["sh", script],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of the scripts, some of which is written into a folder."""
    # Snakemake loads the slurm executor wherever it runs, which then asks the controller for its
    # configuration: of 500 jobs that would be most of its load. With no address it does not.
    environment = os.environ | {"SLURM_CONF": os.devnull}
    apptainer = shutil.which("apptainer") or shutil.which("singularity")
    places = [os.environ.get("PATH", os.defpath)]
    if apptainer:
        prefix = Path(apptainer).resolve().parents[1]
        places += [str(prefix / "libexec" / name / "bin") for name in ("apptainer", "singularity")]
    # By this program Apptainer mounts an image where it may not use the kernel's own mount. Slurm's
    # SIGTERM reaches every process of a job, and the image would be gone while the training in it
    # writes its checkpoint. What is ignored when the program starts it leaves ignored; it ends with
    # the container all the same.
    if squashfuse := shutil.which("squashfuse_ll", path=os.pathsep.join(places)):
        folder.mkdir(exist_ok=True)
        deaf = folder / "squashfuse_ll"
        deaf.write_text(f"#!/bin/sh\ntrap '' TERM\nexec {shlex.quote(squashfuse)} \"$@\"\n")
        deaf.chmod(0o755)
        environment["PATH"] = os.pathsep.join([str(folder), *places[:1]])
    return environment


def _now() -> str:
    return time.strftime("%FT%T")


def _stop(_signum: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
