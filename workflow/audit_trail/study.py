"""The folder of a study, with its records and its history, as an auditor finds it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from audit_trail.history import History, read_history
from audit_trail.records import MAX_BYTES, BadRecordError, Record, read_record
from logdepth.errors import UserError
from logdepth.provenance.format import HISTORY, PROVENANCE

# Folders below provenance/ that hold no records.
KEPT = ("environments", "sources", "studies", "signatures")


@dataclass
class StudyFolder:
    """A folder with results and the records of how they were made.

    Attributes:
        folder: with provenance/ in it.
        records: that can be read, by their name ("provenance/train/x.json").
        bad: what is wrong with the others, by their name.
        history: empty where there is no file.
    """

    folder: Path
    records: dict[str, Record] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def name(self) -> str:
        """Name of the study: that of its folder."""
        return self.folder.resolve().name

    @cached_property
    def makers(self) -> dict[str, Record]:
        """The record of the job that made each output, by the output's name."""
        return {o.name: record for record in self.records.values() for o in record.outputs}

    def path(self, name: str) -> Path:
        """Return where a file of the study lies."""
        return self.folder / name

    def name_of(self, path: Path) -> str:
        """Return the name of a file in the study.

        Raises:
            UserError: the file lies elsewhere.
        """
        # The file itself may be a link, which is not to be followed.
        whole = path.parent.resolve() / path.name
        root = self.folder.resolve()
        if not whole.is_relative_to(root):
            raise UserError(f"{path}: not a file of the study in {self.folder}")
        return whole.relative_to(root).as_posix()

    def record_for(self, name: str) -> Record:
        """Return the record of the job that made a file, or the record that is named.

        Raises:
            UserError: there is none, or it cannot be used.
        """
        if name in self.bad:
            raise UserError(f"{self.path(name)}: this record {self.bad[name]}")
        record = self.records.get(name) or self.makers.get(name)
        if record is None:
            raise UserError(
                f"{self.path(name)}: no record below {self.folder / PROVENANCE} says how it was "
                "made; expected an output of the workflow, such as figures/depth_law.pdf"
            )
        return record


def open_study(folder: Path) -> StudyFolder:
    """Read the records and the history of a study.

    Raises:
        UserError: no folder of a study.
    """
    if not is_study(folder):
        raise UserError(
            f"{folder}: no study, it has no {HISTORY}; expected a folder such as results/laptop"
        )
    study = StudyFolder(folder)
    for path in sorted((folder / PROVENANCE).glob("*/*.json")):
        if path.parent.name in KEPT:
            continue
        name = path.relative_to(folder).as_posix()
        try:
            study.records[name] = read_record(name, _content(path, folder))
        except BadRecordError as error:
            study.bad[name] = str(error)
        except OSError as error:
            study.bad[name] = f"cannot be read ({error.strerror})"
    if (folder / HISTORY).is_file():
        study.history = read_history(folder / HISTORY)
    return study


def is_study(folder: Path) -> bool:
    """Return whether a folder holds the results of a study, be its records there or not."""
    return any((folder / inside).exists() for inside in (HISTORY, "runs", "tables"))


def study_of(path: Path) -> Path:
    """Return the folder of the study that a file or folder lies in.

    Raises:
        UserError: it lies in none.
    """
    whole = path.parent.resolve() / path.name
    for parent in (whole, *whole.parents):
        if is_study(parent):
            return parent
    raise UserError(f"{path}: no folder above it is a study; expected a file in results/<study>")


def find_studies(path: Path) -> list[Path]:
    """Return every folder of a study at or below a folder, in order."""
    if is_study(path):
        return [path]
    below = (d for d in path.iterdir() if d.is_dir() and not d.is_symlink() and d.name[0] != ".")
    return [study for folder in sorted(below) for study in find_studies(folder)]


def has_link(path: Path, folder: Path) -> bool:
    """Return whether a path, from below the folder on, goes through a symbolic link."""
    parts = path.relative_to(folder).parts
    return any(folder.joinpath(*parts[: i + 1]).is_symlink() for i in range(len(parts)))


def _content(path: Path, folder: Path) -> bytes:
    if has_link(path, folder):
        raise BadRecordError("is a symbolic link, or lies behind one")
    if not path.is_file():
        raise BadRecordError("is no regular file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)
