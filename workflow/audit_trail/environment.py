"""What a job ran in: interpreter, packages, device, host, commit. No environment is dumped."""

import hashlib
import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import sha256_of
from audit_trail.repository import git

_KEYS = (b"Name", b"Version")
_SLURM = (
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_PARTITION",
    "SLURM_CLUSTER_NAME",
    "SLURM_RESTART_COUNT",
)


@dataclass(frozen=True)
class Commit:
    """The commit that code is of.

    Attributes:
        sha: of it; None where the code is in no clone of its own, or nobody knows.
        uncommitted: hash of what is not committed; None if all is.
        unknown: why nobody knows; None where it is known, or there is no clone.
    """

    sha: str | None = None
    uncommitted: str | None = None
    unknown: str | None = None


def packages() -> dict[str, str]:
    """Return the version of every distribution, by its name, as it is imported by this process.

    One that a module from elsewhere stands in for (PYTHONPATH, a file in the working folder) has
    the version of that module.
    """
    found: dict[str, str] = {}
    folders: dict[str, str] = {}
    for folder in dict.fromkeys(map(_real, sys.path)):
        for name, version in _described(folder):
            # The first on the path is the one that is imported.
            found.setdefault(name, version)
            folders.setdefault(name, folder)
    # This package lies with the project's own, which is no distribution of others.
    ours = _real(str(Path(__file__).parents[1]))
    known = {*folders.values(), ours, _real(sysconfig.get_path("stdlib"))}
    stands_in = {}
    for module, folder in _imported().items():
        own = folders.get(module.lower().replace("_", "-"))
        if not any(f"{folder}/".startswith(f"{place}/") for place in ([own] if own else known)):
            stands_in[module] = str(getattr(sys.modules[module], "__version__", "unknown"))
    if stands_in:
        # Slow, and so asked for only now: which distribution each module should be of.
        names = importlib.metadata.packages_distributions()
        for module, version in stands_in.items():
            for name in names.get(module, ()):
                if not _is_editable(name):
                    found[name.lower().replace("_", "-")] = f"{version} (not the installed one)"
    return dict(sorted(found.items()))


def _described(folder: str) -> Iterator[tuple[str, str]]:
    """Yield name and version of the distributions in a folder.

    The standard library parses the whole description of each, a quarter of a second of every job.
    """
    try:
        inside = list(Path(folder).iterdir())
    except OSError:
        return
    for inner in inside:
        file = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}.get(inner.suffix)
        if file is None:
            continue
        try:
            with (inner / file).open("rb") as described:
                head = described.read(4096)
        except OSError:
            continue
        name, version = (re.search(rb"^%s: *(\S+)" % key, head, re.M) for key in _KEYS)
        if name and version:
            yield name[1].decode().lower().replace("_", "-"), version[1].decode()


def _imported() -> dict[str, str]:
    """Return the folder on the path that each module was imported from, by its name."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        foreign = "." not in name and name != "__main__" and name not in sys.stdlib_module_names
        if not foreign or not isinstance(file, str):
            continue
        folder = Path(file).parent
        found[name] = _real(str(folder.parent if hasattr(module, "__path__") else folder))
    return found


def _is_editable(name: str) -> bool:
    """Return whether a distribution is installed as a link to its source, as this project is."""
    text = importlib.metadata.distribution(name).read_text("direct_url.json") or ""
    return '"editable": true' in text or '"editable":true' in text


def _real(folder: str) -> str:
    return os.path.realpath(folder or ".")


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
            facts["driver"] = _driver()
    return facts


def commit(root: Path) -> Commit:
    """Return the commit of a clone, and a hash of what is not committed in it, if anything.

    The hash covers the changes to tracked files and the content of untracked ones.

    Args:
        root: of our own code. A clone that it merely lies in, such as one that an archive was
            unpacked in, is not its own.
    """
    if not os.path.lexists(root / ".git"):
        return Commit()
    try:
        said = os.fsdecode(git(root, "rev-parse", "--show-toplevel", "HEAD^{commit}"))
        top, _, sha = said.removesuffix("\n").rpartition("\n")
        if not Path(top).is_dir() or not Path(top).samefile(root):
            return Commit(unknown=f"the files of this clone are those of {top}")
        status = git(root, "status", "--porcelain", "-z", "--untracked-files=all")
        if not status:
            return Commit(sha)
        changes = hashlib.sha256(status)
        changes.update(git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv"))
        for entry in status.split(b"\0"):
            path = root / os.fsdecode(entry[3:])
            if entry.startswith(b"?? ") and path.is_file():
                changes.update(sha256_of(path).encode())
        return Commit(sha, changes.hexdigest())
    except AuditError as error:
        return Commit(unknown=str(error))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
