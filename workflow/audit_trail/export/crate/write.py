"""Writing the crate of a study: a folder or a zip file, whole or not at all."""

import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from audit_trail.export.committed import Committed, newest_record
from audit_trail.export.crate.describe import describe
from audit_trail.export.crate.graph import WITHHELD, Graph
from audit_trail.repository import Repository
from audit_trail.study import StudyFolder
from logdepth.errors import UserError
from logdepth.files import atomic_path, sha256_of

# The first time that a zip file can hold; the time of writing would make each file another one.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Written:
    """What a crate holds.

    Attributes:
        jobs: how many are described.
        files: how many are in it, the metadata aside.
        entities: how many the metadata describe.
        withheld: how many files are described only.
        origin: where the files of the code are from.
    """

    jobs: int
    files: int
    entities: int
    withheld: int
    origin: str


def write_crate(study: StudyFolder, repository: Repository, target: Path) -> Written:
    """Write a study as a crate; the same study gives the same bytes.

    Args:
        study: that was verified.
        repository: with the code, the people and the licence.
        target: folder, or zip file if the name ends so; must not exist.

    Raises:
        UserError: the checkout lacks CITATION.cff or Snakefile, the workflow ran no job of the
            study, or a file changed while it was copied.
    """
    committed = Committed(repository, newest_record(study).commit)
    graph = Graph()
    jobs = describe(graph, study, committed)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        whole = Path(folder) / "crate"
        graph.crate.write(whole)
        for name, sha256 in graph.digests.items():
            if sha256_of(whole / name) != sha256:
                raise UserError(
                    f"{study.folder}: {name} changed while it was copied; expected a study "
                    "that nobody works on"
                )
        if target.suffix == ".zip":
            _pack(whole, target)
        else:
            whole.rename(target)
    entities = [entity.id for entity in graph.crate.get_entities()]
    return Written(
        jobs=jobs,
        files=len(graph.digests),
        entities=len(entities),
        withheld=sum(identifier.startswith(f"#{WITHHELD}/") for identifier in entities),
        origin=committed.origin,
    )


def _pack(folder: Path, target: Path) -> None:
    with (
        atomic_path(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as file:
                while block := source.read(1 << 20):
                    file.write(block)
