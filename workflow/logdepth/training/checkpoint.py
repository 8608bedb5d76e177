"""Checkpoints: complete or absent, damage noticed, another definition refused."""

import hashlib
import logging
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from logdepth.errors import UserError
from logdepth.files import atomic_path, sha256_of

logger = logging.getLogger(__name__)

_NAME = re.compile(r"step-(\d{9})-([0-9a-f]{16})\.pt")
_KEPT = 2


class CheckpointError(UserError):
    """A checkpoint that must not be loaded; the message names the file and the reason."""


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of one run, in a folder of their own outside the workflow's outputs.

    A file's name holds its step and the start of the sha256 of its bytes.

    Attributes:
        folder: where they lie.
        definition: hash of everything that decides the run; part of each checkpoint.
        note: what else is to be kept with a checkpoint, such as where it was made.
    """

    folder: Path
    definition: str
    note: Mapping[str, Any] = field(default_factory=dict)

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after ``step`` steps, then drop all but the last two checkpoints.

        Raises:
            OSError: the folder cannot be written or the disk is full.
        """
        content = {"definition": self.definition, "step": step, "state": state}
        content["note"] = dict(self.note)
        unnamed = self.folder / f"step-{step:09d}.pt"
        with atomic_path(unnamed) as temporary:
            torch.save(content, temporary)
            name = f"step-{step:09d}-{sha256_of(temporary)[:16]}.pt"
        path = unnamed.rename(self.folder / name)
        for old in self._files()[_KEPT:]:
            if old != path:
                old.unlink(missing_ok=True)
        return path

    def load(self, path: Path) -> dict[str, Any]:
        """Return a checkpoint: its step, its state, and its note.

        Raises:
            CheckpointError: damaged, no checkpoint of this project, or of another definition.
        """
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise CheckpointError(f"{path}: not the name of a checkpoint (step-<step>-<sha256>.pt)")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest()[:16] != match[2]:
            raise CheckpointError(f"{path}: damaged, its sha256 is not the one in its name")
        try:
            loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"{path}: cannot be read ({reason})") from error
        if loaded["definition"] != self.definition:
            raise CheckpointError(
                f"{path}: written under definition {loaded['definition'][:12]}, "
                f"but this run is {self.definition[:12]}"
            )
        return loaded

    def latest(self) -> dict[str, Any] | None:
        """Return the newest checkpoint that may be loaded; others are skipped with a warning."""
        for path in self._files():
            try:
                return self.load(path)
            except CheckpointError as error:
                logger.warning("skipped checkpoint %s", error)
        return None

    def clear(self) -> None:
        """Remove the checkpoints, once the run's outputs stand under their final names."""
        for path in self._files():
            path.unlink(missing_ok=True)
        if self.folder.exists() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _files(self) -> list[Path]:
        """Checkpoints, newest first."""
        return sorted(
            (path for path in self.folder.glob("step-*.pt") if _NAME.fullmatch(path.name)),
            key=lambda path: path.name,
            reverse=True,
        )
