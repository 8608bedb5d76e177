"""Writing files so that a final name never holds half a file, and hashing them."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; move it there when the block succeeds.

    The content is on disk before the name changes, and the temporary file is removed when the
    block fails, so ``path`` is either as it was or complete.

    Raises:
        OSError: the folder cannot be written or the disk is full; the error names ``path``.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        # Some file systems have no modes, and folders that cannot be synced: the content is whole.
        with suppress(OSError):
            temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        with suppress(OSError):
            _sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 under ``path``, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, atomically, with six significant digits and no index."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed while writing left in a folder of its own."""
    for path in folder.glob(".*.part"):
        path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the sha256 of the file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
