"""What a job ran in: interpreter, packages, device, host, commit. No environment is dumped."""

import hashlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_CLUSTER_NAME",
    "SLURM_RESTART_COUNT",
)


def packages() -> dict[str, str]:
    """Return the version of every installed distribution, by its name."""
    # The file is parsed each time that the attribute is asked for.
    described = (dist.metadata for dist in importlib.metadata.distributions())
    found = {
        metadata["Name"].lower().replace("_", "-"): metadata["Version"]
        for metadata in described
        if metadata["Name"]
    }
    return dict(sorted(found.items()))


def interpreter() -> dict[str, str]:
    """Return version and platform of Python and the C library."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }


def machine() -> dict[str, Any]:
    """Return host, processor, and (where torch is in use) threads, device and flags."""
    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }
    if slurm := {name: os.environ[name] for name in _SLURM if name in os.environ}:
        facts["slurm"] = slurm
    # Only a job that has loaded torch has anything to say about it.
    if torch := sys.modules.get("torch"):
        facts["torch"] = {
            "version": torch.__version__,
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.version.cuda,
        }
        if torch.cuda.is_available():
            facts["torch"]["gpu"] = torch.cuda.get_device_name()
            facts["torch"]["cudnn"] = torch.backends.cudnn.version()
            driver = _run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
            facts["driver"] = driver and driver.strip()
    return facts


def commit(folder: Path) -> dict[str, str] | None:
    """Return the git commit of a checkout, and a hash of what is not committed, if anything.

    The hash covers the changes to tracked files and the content of untracked ones. None where
    there is no checkout or no git.
    """
    head = _git(folder, "rev-parse", "HEAD")
    top = _git(folder, "rev-parse", "--show-toplevel")
    if head is None or top is None:
        return None
    facts = {"gitCommit": head.strip()}
    root = Path(top.strip())
    status = _git(root, "status", "--porcelain", "-z", "--untracked-files=all")
    if status:
        changes = hashlib.sha256(status.encode())
        changes.update((_git(root, "diff", "HEAD", "--binary") or "").encode())
        for entry in status.split("\0"):
            if entry.startswith("?? ") and (root / entry[3:]).is_file():
                changes.update((root / entry[3:]).read_bytes())
        facts["uncommittedSha256"] = changes.hexdigest()
    return facts


def _git(folder: Path, *arguments: str) -> str | None:
    return _run("git", "--no-optional-locks", "-C", str(folder), *arguments)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _run(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
