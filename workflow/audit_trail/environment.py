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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit_trail.errors import AuditError
from audit_trail.files import sha256_of
from audit_trail.repository import git

_DESCRIBED = re.compile(r"([^-]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info")
_OURS = os.path.realpath(Path(__file__).parents[1])
# Whatever git knows, but results.
_CODE = ("--", ".", ":(exclude)results")
_SLURM = ("JOB_ID", "JOB_NAME", "JOB_PARTITION", "CLUSTER_NAME", "RESTART_COUNT")


@dataclass(frozen=True)
class Commit:
    """The commit that code is of."""

    sha: str | None = None  # None where the code is in no clone of its own
    uncommitted: str | None = None  # hash of what is not committed; None if all is


def packages() -> dict[str, str]:
    """Return the version of every distribution, by its name, as it is imported by this process.

    One that a module from elsewhere stands in for (PYTHONPATH, a file in the working folder) has
    the version of that module. Names are normal ones: in small letters, with "-" alone.
    """
    found: dict[str, str] = {}
    folders: dict[str, str] = {}
    for folder in dict.fromkeys(map(os.path.realpath, sys.path)):
        # By the names of folders: to parse what they hold takes a quarter of a second of each job.
        for described in (_DESCRIBED.fullmatch(p.name) for p in Path(folder).glob("*-info")):
            # The first on the path is the one that is imported.
            if described and (name := _normal(described[1])) not in found:
                found[name], folders[name] = described[2], folder
    # This package lies with the project's own, which is no distribution of others.
    known = [*folders.values(), os.path.realpath(sysconfig.get_path("stdlib"))]
    stands_in = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        foreign = "." not in name and name != "__main__" and name not in sys.stdlib_module_names
        if foreign and isinstance(file, str):
            # The folder, for a tool may have linked the files in it to its cache.
            folder, own = f"{os.path.realpath(Path(file).parent)}/", folders.get(_normal(name))
            places = (_OURS, *([own] if own else known))
            if not folder.startswith(tuple(f"{place}/" for place in places)):
                stands_in[name] = str(getattr(module, "__version__", "unknown"))
    # Slow, and so asked for only if needed: which distribution each module should be of.
    distributions = importlib.metadata.packages_distributions() if stands_in else {}
    for module_name, version in stands_in.items():
        for name in distributions.get(module_name, ()):
            found[_normal(name)] = f"{version} (not the installed one)"
    return dict(sorted(found.items()))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def machine() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return host, processor, and (where torch is in use) threads and flags; and the interpreter.

    The latter is version and platform of Python and the C library.
    """
    interpreter = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: dict[str, Any] = {"host": socket.gethostname(), "cores": cores}
    facts["processor"] = platform.processor()
    with suppress(OSError):
        named = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
        facts["processor"] = named[1].strip() if named else facts["processor"]
    names = (f"SLURM_{name}" for name in _SLURM)
    if slurm := {name: os.environ[name] for name in names if name in os.environ}:
        facts["slurm"] = slurm
    # Only a job that has loaded torch has anything to say about it.
    if torch := sys.modules.get("torch"):
        facts["torch"] = known = {
            "version": torch.__version__,
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.version.cuda,
        }
        if torch.cuda.is_available():
            known |= {"gpu": torch.cuda.get_device_name(), "cudnn": torch.backends.cudnn.version()}
            query = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
            with suppress(OSError, subprocess.SubprocessError):
                done = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30)
                facts["driver"] = done.stdout.strip()
    return facts, interpreter


def commit(root: Path) -> Commit:
    """Return the commit of our own code, and a hash of what is not committed, if anything.

    The hash covers the changes to tracked files and the content of untracked ones, but for what
    is published: a study may be while another runs, and records have the sha256 of their inputs.
    A clone that the root merely lies in, such as one that an archive was unpacked in, is not its
    own. An AuditError says that nobody knows, for git does not say.
    """
    if not os.path.lexists(root / ".git"):
        return Commit()
    said = os.fsdecode(git(root, "rev-parse", "--show-toplevel", "HEAD^{commit}"))
    top, _, sha = said.removesuffix("\n").rpartition("\n")
    if not Path(top).is_dir() or not Path(top).samefile(root):
        raise AuditError(f"the files of this clone are those of {top}")
    status = git(root, "status", "--porcelain", "-z", "--untracked-files=all", *_CODE)
    if not status:
        return Commit(sha)
    changes = hashlib.sha256(status)
    changes.update(git(root, "diff", "HEAD", "--binary", "--no-ext-diff", "--no-textconv", *_CODE))
    for entry in status.split(b"\0"):
        path = root / os.fsdecode(entry[3:])
        if entry.startswith(b"?? ") and path.is_file():
            changes.update(sha256_of(path).encode())
    return Commit(sha, changes.hexdigest())
