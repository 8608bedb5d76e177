"""The project's own code: in a clone, and at the commits that records name.

A clone may come from somebody else, and git runs what its configuration says. So every call of git
goes through ``git()``, and a clone whose configuration could run, fetch or swap anything is not
asked at all.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError
from audit_trail.files import MAX_TEXT, read_bytes
from audit_trail.format import HISTORY
from audit_trail.project import current
from audit_trail.records import Resource
from audit_trail.source import code_hash

_SETTINGS = (
    *("core.fsmonitor=false", "core.sshCommand=false", "core.pager=cat", "core.commitGraph=false"),
    *("credential.helper=", "diff.external=", "fetch.recurseSubmodules=false", "gc.auto=0"),
    *("maintenance.auto=false", "protocol.allow=never", "safe.bareRepository=explicit"),
    *("submodule.recurse=false", f"core.hooksPath={os.devnull}"),
)
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
# What makes git run a program, fetch, read another file, or take other files for the clone's.
_HARMFUL = re.compile(
    r"include\.|includeif\.|filter\.|diff\..*(command|textconv|external)$|merge\..*driver$"
    r"|protocol\.|extensions\.partialclone$|core\.(sshcommand|worktree|alternaterefscommand)$"
    r"|remote\..*\.(promisor|partialclonefilter|uploadpack|vcs)$",
    re.DOTALL,
)
# A boolean asks for git's own watcher, which is turned off here.
_NO_PROGRAM = ("", "true", "false", "yes", "no", "on", "off", "0", "1")
_ELSEWHERE = ("info/grafts", "objects/info/alternates", "objects/info/http-alternates")
_TIMEOUT = 120
_COMMITTER = re.compile(rb"^committer .*> (\d{1,12}) [+-]\d{4}$", re.MULTILINE)


def git(folder: Path, *arguments: str, text: bytes = b"") -> bytes:
    """Run git in a clone, with ``text`` as its input, and return what it prints.

    No hook, no fetching, no replaced objects, no variable of the caller's that leads elsewhere, and
    no clone but the one in the folder, with ``.git`` in it. The user's own configuration counts.
    An AuditError says that there is no git, that it fails, or takes more than two minutes.
    """
    own = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "SSH_ASKPASS"))}
    environment = own | _VARIABLES | {"GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    settings = [word for setting in _SETTINGS for word in ("-c", setting)]
    command = ["git", "-C", str(folder), *settings, *arguments]
    try:
        done = subprocess.run(
            command, input=text, env=environment, capture_output=True, timeout=_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise AuditError(f"git {arguments[0]} in {folder}: no answer") from error
    except (OSError, ValueError) as error:
        raise AuditError(f"git: cannot be run ({error})") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise AuditError(f"git {arguments[0]} in {folder}: {said[0].removeprefix('fatal: ')}")
    return done.stdout


class Repository:
    """A clone of the project, by its root."""

    def __init__(self, folder: Path, image: Path | None = None) -> None:
        self.folder = folder
        self._image = image
        self._objects: dict[str, bytes | None] = {}
        self._hashes: dict[tuple[str, str | None], tuple[str, ...]] = {}

    @cached_property
    def problem(self) -> str | None:
        """Why this clone cannot be asked for commits; None where it can."""
        try:
            if reason := _harm(self.folder):
                return f"{self.folder}: {reason}"
            git(self.folder, "rev-parse", "HEAD")
        except AuditError as error:
            return str(error)
        return None

    @cached_property
    def shallow(self) -> bool:
        """Whether older commits were left out of it."""
        return (_git_folders(self.folder)[1] / "shallow").exists()

    def image(self, image: Resource) -> Path:
        """Return where the container image of a job is looked for."""
        return self._image or self.folder / "containers" / Path(image.name).name

    def time_of(self, commit: str) -> int | None:
        """Return when a commit was made, in seconds since 1970; None without the commit."""
        (content,) = self._read([f"{_hexadecimal(commit)}^{{commit}}"])
        found = _COMMITTER.search(content or b"")
        return int(found[1]) if found else None

    def read(self, commit: str | None, name: str) -> bytes | None:
        """Return the content of a file by its path from the root, at a commit or now; or None."""
        if commit is not None:
            return self._read([f"{_hexadecimal(commit)}:{name}"])[0]
        with suppress(BadFileError):
            return read_bytes(self.folder / name, self.folder)
        return None

    def names(self, commit: str, folder: str) -> list[str]:
        """Return the files below a folder at a commit, by their paths from the root."""
        command = ("ls-tree", "-r", "-z", "--name-only", _hexadecimal(commit), "--", f"./{folder}/")
        return [os.fsdecode(name) for name in self._asked(*command).split(b"\0") if name]

    def studies(self, folder: Path) -> list[Path]:
        """Return the studies at or below a folder of this clone that the present commit has."""
        top, inside = self.folder.resolve(), Path(os.path.realpath(folder))
        if not inside.is_relative_to(top):
            return []
        listed = self.names("HEAD", inside.relative_to(top).as_posix())
        found = [top / n.removesuffix(f"/{HISTORY}") for n in listed if n.endswith(f"/{HISTORY}")]
        return [folder / study.relative_to(inside) for study in found]

    def other_code(self, recorded: Mapping[str, str], commit: str | None = None) -> list[str]:
        """Return the modules whose hash, at a commit or now, is not the recorded one, if any."""
        new = {m: m.replace(".", "/") for m in recorded if (m, commit) not in self._hashes}
        top, ends = current().sources, (".py", "/__init__.py")
        paths = {module: [f"{top}/{path}{end}" for end in ends] for module, path in new.items()}
        if commit is not None:
            # All at once, with the commit itself: git takes longer to start than to answer.
            every = [f"{commit}:{path}" for of in paths.values() for path in of]
            self._read([f"{_hexadecimal(commit)}^{{commit}}", *every])
        for module, of in paths.items():
            found = next((c for p in of if (c := self.read(commit, p)) is not None), None)
            self._hashes[module, commit] = () if found is None else code_hashes(found)
        return [m for m, value in recorded.items() if value not in self._hashes[m, commit]]

    def _read(self, names: list[str]) -> list[bytes | None]:
        """Return the content of each object, None for those that are not there; asked for once."""
        new = [name for name in dict.fromkeys(names) if name not in self._objects]
        self._objects |= dict.fromkeys(new)
        new = [name for name in new if "\n" not in name]
        text = "".join(f"{name}\n" for name in new).encode("utf-8", "backslashreplace")
        answer = self._asked("cat-file", "--batch", text=text) if new else b""
        position = 0
        for name in new if answer else ():
            end = answer.index(b"\n", position)
            size = answer[position:end].split()[-1]
            position = end + 1
            if size.isdigit():
                end = position + int(size)
                self._objects[name] = answer[position:end] if int(size) <= MAX_TEXT else None
                position = end + 1
        return [self._objects[name] for name in names]

    def _asked(self, *arguments: str, text: bytes = b"") -> bytes:
        """Return what git prints; nothing where it is not to be asked, or has no answer."""
        with suppress(AuditError):
            return git(self.folder, *arguments, text=text) if self.problem is None else b""
        return b""


def find_repository(named: Path | None = None, image: Path | None = None) -> Repository | None:
    """Return the clone to compare with: the named one, or the one that we were started from.

    A clone that results happen to lie in is never taken: it may have come with them. Images of jobs
    are those in its folder containers/, or the one that is named. An AuditError says that the named
    folder is no clone of the project.
    """
    project, here = current(), Path.cwd()
    package = f"{project.sources}/{project.name}"
    for folder in (here, *here.parents) if named is None else (named,):
        if (folder / ".git").exists() and (folder / package).is_dir():
            return Repository(folder, image)
    if named is None:
        return None
    wrong = f"no clone of {project.name}; expected a folder with .git and {package}"
    raise AuditError(f"{named}: {wrong}")


def needed_repository(named: Path | None = None) -> Repository:
    """Return the clone as ``find_repository``; an AuditError if none, or none to be asked."""
    found = find_repository(named)
    if found is None or found.problem:
        reason = found.problem if found else f"{Path.cwd()}: in no clone of {current().name}"
        raise AuditError(f"{reason}; expected to be called in one, or --repository with one")
    return found


def code_hashes(content: bytes) -> tuple[str, ...]:
    """Return the hash of code as it is taken now, and as it was when messages counted."""
    try:
        text = content.decode()
        return code_hash(text), code_hash(text, with_messages=True)
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError):
        return ()


def _git_folders(folder: Path) -> tuple[Path, Path]:
    """Return the folder of a clone's or worktree's own parts, and that of what they share."""
    own = folder / ".git"
    if own.is_file():
        # A worktree: a line "gitdir: <path>", and the clone's own folder in the file commondir.
        own = folder / _line(own).removeprefix("gitdir:").strip()
    common = own / "commondir"
    return own, own / _line(common) if os.path.lexists(common) else own


def _line(path: Path) -> str:
    return read_bytes(path, limit=4096).decode("utf-8", "surrogateescape").strip()


def _harm(folder: Path) -> str | None:
    """Return what in a clone speaks against asking git about it; an AuditError if unreadable."""
    own, common = _git_folders(folder)
    for part in _ELSEWHERE:
        if (common / part).exists():
            return f"it takes commits or objects from elsewhere (.git/{part})"
    for path in (common / "config", own / "config.worktree"):
        if not os.path.lexists(path):
            continue
        # From text, so that nothing is included; the clone itself is not looked at.
        command = ("config", "--file", "-", "--no-includes", "-z", "--list")
        for entry in os.fsdecode(git(Path(os.sep), *command, text=read_bytes(path))).split("\0"):
            key, _, value = entry.partition("\n")
            watcher = key.lower() == "core.fsmonitor" and value.lower() not in _NO_PROGRAM
            if watcher or _HARMFUL.match(key.lower()):
                return f"its configuration sets {key}, which can make git run or fetch something"
    return None


def _hexadecimal(commit: str) -> str:
    """Return a commit's name, which git is not to take for anything else."""
    if commit != "HEAD" and not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"{commit!r} is no commit")
    return commit
