"""The project's own code: in a clone, and at the commits that records name.

A clone may come from somebody else, and git runs what its configuration says. So every call of git
goes through ``git()``, and a clone whose configuration could run, fetch or swap anything is not
asked at all.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from audit_trail.errors import AuditError, BadFileError, MissingFileError
from audit_trail.files import MAX_TEXT, read_bytes
from audit_trail.format import HISTORY
from audit_trail.project import Project, current
from audit_trail.source import code_hash

_SETTINGS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.sshCommand": "false",
    "core.pager": "cat",
    "core.commitGraph": "false",
    "credential.helper": "",
    "diff.external": "",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
}
# What makes git run a program, fetch, read another file, or take other files for the clone's.
_HARMFUL = re.compile(
    r"include\.|includeif\.|filter\.|diff\..*(command|textconv|external)$|merge\..*driver$"
    r"|protocol\.|extensions\.partialclone$|core\.(sshcommand|worktree|alternaterefscommand)$"
    r"|remote\..*\.(promisor|partialclonefilter|uploadpack|vcs)$",
    re.DOTALL,
)
_TIMEOUT = 120
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class GitError(AuditError):
    """Git did not do what it was asked; the message is its own."""


def git(folder: Path, *arguments: str, text: bytes = b"", timeout: float = _TIMEOUT) -> bytes:
    """Run git in a clone and return what it prints.

    No hook, no fetching, no replaced objects, no variable of the caller's that leads elsewhere, and
    no clone but the one in the folder. The user's own configuration counts.

    Args:
        folder: with ``.git`` in it.
        arguments: of git.
        text: for its standard input.
        timeout: seconds after which it is ended.

    Raises:
        GitError: there is no git, it fails, or it takes too long.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "SSH_ASKPASS"))}
    environment |= {
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = ["git", "-C", str(folder), *settings, *arguments]
    try:
        done = subprocess.run(
            command, input=text, env=environment, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} in {folder}: no answer") from error
    except (OSError, ValueError) as error:
        raise GitError(f"git: cannot be run ({error})") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise GitError(f"git {arguments[0]} in {folder}: {said[0].removeprefix('fatal: ')}")
    return done.stdout


class Repository:
    """A clone of the project.

    Attributes:
        folder: its root.
    """

    def __init__(self, folder: Path, project: Project | None = None) -> None:
        self.folder = folder
        self._project = project or current()
        self._at: dict[str, dict[str, tuple[str, ...]]] = {}
        self._current: dict[str, tuple[str, ...]] = {}
        self._commits: dict[str, int | None] = {}

    @cached_property
    def problem(self) -> str | None:
        """Why this clone cannot be asked for commits; None where it can."""
        try:
            if reason := _harm(self.folder):
                return f"{self.folder}: {reason}"
            git(self.folder, "rev-parse", "HEAD")
        except (GitError, BadFileError) as error:
            return str(error)
        return None

    @cached_property
    def shallow(self) -> bool:
        """Whether older commits were left out of it."""
        return (_git_folder(self.folder) / "shallow").exists()

    def git(self, *arguments: str) -> bytes | None:
        """Return what git prints; None where this clone cannot be asked, or git fails."""
        if self.problem is not None:
            return None
        try:
            return git(self.folder, *arguments)
        except GitError:
            return None

    def has(self, commit: str) -> bool:
        """Return whether there is such a commit."""
        return self.time_of(commit) is not None

    def time_of(self, commit: str) -> int | None:
        """Return when a commit was made, in seconds since 1970; None without the commit."""
        if commit not in self._commits:
            self._load(commit, [])
        return self._commits[commit]

    def read(self, commit: str, name: str) -> bytes | None:
        """Return the content of a file at a commit, by its path from the root; None without it."""
        if self.problem is not None or "\n" in name:
            return None
        return self._contents([f"{_hexadecimal(commit)}:{name}"])[0]

    def names(self, commit: str, folder: str) -> list[str]:
        """Return the files in a folder at a commit, by their paths from the root."""
        found = self.git("ls-tree", "-z", "--name-only", _hexadecimal(commit), f"{folder}/") or b""
        return sorted(os.fsdecode(name) for name in found.split(b"\0") if name)

    def studies(self, folder: Path) -> list[Path]:
        """Return the studies at or below a folder of this clone that the present commit has."""
        try:
            inside = folder.resolve().relative_to(self.folder.resolve()).as_posix()
        except ValueError:
            return []
        listed = self.git("ls-tree", "-r", "-z", "--name-only", "HEAD", "--", f"./{inside}/") or b""
        ending = f"/{HISTORY}"
        names = [os.fsdecode(name) for name in listed.split(b"\0")]
        found = [name.removesuffix(ending) for name in names if name.endswith(ending)]
        return [folder / Path(name).relative_to(inside) for name in found]

    def current(self, module: str) -> tuple[str, ...]:
        """Return the hashes that records may have of a module as it is now; none without it."""
        if module not in self._current:
            self._current[module] = ()
            for path in self._paths(module):
                try:
                    content = read_bytes(self.folder / path, self.folder)
                except BadFileError:
                    continue
                self._current[module] = _hashes(content)
                break
        return self._current[module]

    def at(self, commit: str, modules: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the hashes that records may have of modules at a commit; none without them."""
        known = self._at.get(commit, {})
        if commit not in self._at or not known.keys() >= set(modules):
            self._load(commit, [module for module in modules if module not in known])
            known = self._at[commit]
        return {module: known[module] for module in modules}

    def _load(self, commit: str, modules: list[str]) -> None:
        """Ask for a commit and modules at it, all at once."""
        found = self._at.setdefault(commit, {})
        wanted = [(m, f"{_hexadecimal(commit)}:{path}") for m in modules for path in self._paths(m)]
        asked = [f"{_hexadecimal(commit)}^{{commit}}", *(name for _, name in wanted)]
        contents = [None] * len(asked) if self.problem is not None else self._contents(asked)
        self._commits[commit] = _committed(contents[0])
        found |= dict.fromkeys(modules, ())
        for (module, _), content in zip(wanted, contents[1:], strict=True):
            if content is not None and not found[module]:
                found[module] = _hashes(content)

    def _contents(self, names: list[str]) -> list[bytes | None]:
        """Return the content of each object, None for those that are not there."""
        try:
            text = "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")
            answer = git(self.folder, "cat-file", "--batch", text=text)
        except (GitError, UnicodeEncodeError):
            return [None] * len(names)
        contents: list[bytes | None] = []
        position = 0
        while len(contents) < len(names):
            end = answer.index(b"\n", position)
            head = answer[position:end].split()
            position = end + 1
            if not head[-1].isdigit():
                contents.append(None)
                continue
            size = int(head[-1])
            contents.append(answer[position : position + size] if size <= MAX_TEXT else None)
            position += size + 1
        return contents

    def _paths(self, module: str) -> tuple[str, ...]:
        if not _MODULE.fullmatch(module):
            return ()
        base = f"{self._project.sources}/{module.replace('.', '/')}"
        return f"{base}.py", f"{base}/__init__.py"


def find_repository(named: Path | None = None, project: Project | None = None) -> Repository | None:
    """Return the clone to compare with: the named one, or the one that we were started from.

    A clone that results happen to lie in is never taken: it may have come with them.

    Args:
        named: root of a clone, from the user.
        project: that it is of.

    Raises:
        AuditError: the named folder is no clone of the project.
    """
    wanted = project or current()
    if named is not None:
        if not _is_clone(named, wanted):
            package = f"{wanted.sources}/{wanted.name}"
            raise AuditError(
                f"{named}: no clone of {wanted.name}; expected a folder with .git and {package}"
            )
        return Repository(named, wanted)
    here = Path.cwd()
    for parent in (here, *here.parents):
        if _is_clone(parent, wanted):
            return Repository(parent, wanted)
    return None


def _is_clone(folder: Path, project: Project) -> bool:
    return (folder / ".git").exists() and (folder / project.sources / project.name).is_dir()


def _git_folder(folder: Path) -> Path:
    """Return the folder that holds a clone's configuration and objects.

    Raises:
        BadFileError: a file in its place leads nowhere.
    """
    place = folder / ".git"
    if place.is_file():
        # A worktree: a line "gitdir: <path>", and the clone's own folder in the file commondir.
        place = folder / _line(place).removeprefix("gitdir:").strip()
    try:
        return place / _line(place / "commondir")
    except MissingFileError:
        return place


def _line(path: Path) -> str:
    return read_bytes(path, limit=4096).decode("utf-8", "surrogateescape").strip()


def _harm(folder: Path) -> str | None:
    """Return what in a clone's own configuration speaks against asking git about it.

    Raises:
        BadFileError: a part of the configuration cannot be read.
        GitError: git cannot read it.
    """
    place = _git_folder(folder)
    if (place / "info" / "grafts").exists():
        return "its history is grafted (.git/info/grafts)"
    for name in ("alternates", "http-alternates"):
        if (place / "objects" / "info" / name).exists():
            return f"it takes objects from elsewhere (.git/objects/info/{name})"
    own = folder / ".git"
    for path in (place / "config", place / "config.worktree", own / "config.worktree"):
        try:
            content = read_bytes(path)
        except MissingFileError:
            continue
        # From text, so that nothing is included; the clone itself is not looked at.
        listed = git(
            Path(os.sep), "config", "--file", "-", "--no-includes", "-z", "--list", text=content
        )
        for entry in os.fsdecode(listed).split("\0"):
            key, _, value = entry.partition("\n")
            # A boolean asks for git's own watcher, which is turned off here.
            watcher = key.lower() == "core.fsmonitor" and value.lower() not in (
                *("", "true", "false", "yes", "no", "on", "off", "0", "1"),
            )
            if watcher or _HARMFUL.match(key.lower()):
                return f"its configuration sets {key}, which can make git run or fetch something"
    return None


def _hexadecimal(commit: str) -> str:
    """Return a commit's name, which git is not to take for anything else."""
    if commit != "HEAD" and not re.fullmatch("[0-9a-f]{40}", commit):
        raise ValueError(f"{commit!r} is no commit")
    return commit


def _committed(content: bytes | None) -> int | None:
    """Return the time of the committer in a commit object."""
    if content is None:
        return None
    found = re.search(rb"^committer .*> (\d{1,12}) [+-]\d{4}$", content, re.MULTILINE)
    return int(found[1]) if found else 0


def _hashes(content: bytes) -> tuple[str, ...]:
    """Return the hash of code as it is taken now, and as it was when messages counted."""
    try:
        text = content.decode()
        return code_hash(text), code_hash(text, with_messages=True)
    except (SyntaxError, UnicodeDecodeError, ValueError, RecursionError, MemoryError):
        return ()
