"""The project's own code: in a checkout, and at the commits that records name."""

import subprocess
from functools import cached_property
from pathlib import Path

from logdepth.provenance.definition import code_hash


class Repository:
    """A git checkout of the project.

    Attributes:
        folder: its root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._at: dict[tuple[str, str], tuple[str, ...]] = {}
        self._current: dict[str, tuple[str, ...]] = {}
        self._commits: dict[str, bool] = {}

    @cached_property
    def complete(self) -> bool:
        """Whether git is there and has all commits: a shallow clone lacks the older ones."""
        return self._git("rev-parse", "--is-shallow-repository") == b"false\n"

    def has(self, commit: str) -> bool:
        """Return whether there is such a commit."""
        if commit not in self._commits:
            there = self._git("cat-file", "-e", f"{commit}^{{commit}}") is not None
            self._commits[commit] = there
        return self._commits[commit]

    def read(self, commit: str, name: str) -> bytes | None:
        """Return the content of a file at a commit, by its path from the root; None without it."""
        return self._git("show", f"{commit}:{name}")

    def names(self, commit: str, folder: str) -> list[str]:
        """Return the files in a folder at a commit, by their paths from the root."""
        found = self._git("ls-tree", "-z", "--name-only", commit, f"{folder}/") or b""
        return sorted(name for name in found.decode().split("\0") if name)

    def current(self, module: str) -> tuple[str, ...]:
        """Return the hashes that records may have of a module as it is now; none without it."""
        if module not in self._current:
            files = [self.folder / path for path in _paths(module)]
            there = [file.read_bytes() for file in files if file.is_file()]
            self._current[module] = _hashes(there[0]) if there else ()
        return self._current[module]

    def at(self, commit: str, modules: list[str]) -> dict[str, tuple[str, ...]]:
        """Return the hashes that records may have of modules at a commit; none without them."""
        unknown = [module for module in modules if (commit, module) not in self._at]
        if unknown:
            wanted = [f"{commit}:{path}" for module in unknown for path in _paths(module)]
            contents = iter(self._contents(wanted))
            for module in unknown:
                found = [content for content in (next(contents), next(contents)) if content]
                self._at[commit, module] = _hashes(found[0]) if found else ()
        return {module: self._at[commit, module] for module in modules}

    def _contents(self, names: list[str]) -> list[bytes | None]:
        """Return the content of each object, None for those that are not there."""
        answer = self._git("cat-file", "--batch", text="\n".join(names) + "\n")
        if answer is None:
            return [None] * len(names)
        contents: list[bytes | None] = []
        position = 0
        while len(contents) < len(names):
            end = answer.index(b"\n", position)
            head = answer[position:end].split()
            position = end + 1
            if head[-1] == b"missing":
                contents.append(None)
                continue
            size = int(head[-1])
            contents.append(answer[position : position + size])
            position += size + 1
        return contents

    def _git(self, *arguments: str, text: str = "") -> bytes | None:
        command = ["git", "--no-optional-locks", "-C", str(self.folder), *arguments]
        try:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, check=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout


def find_repository(path: Path) -> Repository | None:
    """Return the nearest checkout of the project at or above a path, if there is one."""
    whole = path.resolve()
    for parent in (whole, *whole.parents):
        if (parent / ".git").exists() and (parent / "workflow" / "logdepth").is_dir():
            return Repository(parent)
    return None


def _paths(module: str) -> tuple[str, str]:
    base = "workflow/" + module.replace(".", "/")
    return f"{base}.py", f"{base}/__init__.py"


def _hashes(content: bytes) -> tuple[str, ...]:
    """Return the hash of code as it is taken now, and as it was when messages counted."""
    try:
        text = content.decode()
        return code_hash(text), code_hash(text, with_messages=True)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return ()
