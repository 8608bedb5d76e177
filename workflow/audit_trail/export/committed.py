"""Files of the project as they were at the commit that a study was made from."""

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from audit_trail.records import Record
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder


class Committed:
    """Reads files of a checkout at a commit, or as they are now where there is no such commit.

    Attributes:
        repository: the checkout.
        commit: whose files are read; None reads the present ones.
        recorded: commit that the study names; None if it names none.
    """

    def __init__(self, repository: Repository, recorded: str | None) -> None:
        self.repository = repository
        self.recorded = recorded
        self.commit = recorded if recorded and repository.has(recorded) else None

    @property
    def origin(self) -> str:
        """Where the files are from, as a part of a sentence."""
        if self.commit:
            return f"as of commit {self.commit}"
        if self.recorded:
            return f"as the checkout has it now; the recorded commit {self.recorded} is not in it"
        return "as the checkout has it now; the study names no commit"

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, by its path from the root; None if there is none."""
        if self.commit:
            return self.repository.read(self.commit, name)
        path = self.repository.folder / name
        return path.read_bytes() if path.is_file() else None

    def names(self, folder: str) -> list[str]:
        """Return the files in a folder, by their paths from the root."""
        if self.commit:
            return self.repository.names(self.commit, folder)
        root = self.repository.folder
        paths = (path for path in (root / folder).glob("*") if path.is_file())
        return sorted(path.relative_to(root).as_posix() for path in paths)

    def study_title(self, study: str) -> str | None:
        """Return the title of a study, from its configuration; None if there is none."""
        content = self.read(f"config/{study}.yaml")
        try:
            found = YAML(typ="safe", pure=True).load(content) if content else None
        except (YAMLError, UnicodeDecodeError):
            return None
        title = found.get("title") if isinstance(found, dict) else None
        return title if isinstance(title, str) and title else None


def newest_record(study: StudyFolder) -> Record:
    """Return the record of the job that finished last; a study without records has none."""
    return max(study.records.values(), key=lambda record: (record.finished, record.name))
