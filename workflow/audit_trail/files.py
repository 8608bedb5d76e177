"""The one place where files of a study are opened: they may come from anybody.

What is read is a regular file, behind no link, of bounded size; what is called JSON is strict.
Each fault is a ``BadFileError`` about that file, so that a command can report it and go on.
"""

import hashlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from audit_trail.errors import BadFileError, MissingFileError

# A record of ten thousand inputs has about 2 MB.
MAX_TEXT = 16 << 20
# No output is larger. A file is hashed in about a second for each of its GiB.
MAX_BYTES = 64 << 30
# A larger file that has less than an eighth of its bytes on a disk was made with holes, so that a
# few bytes sent become hours of reading.
_HOLES_FROM = 256 << 20
_MAX_DEPTH = 100
_LINK = "is a symbolic link, or lies behind one"


@contextmanager
def open_file(path: Path | str, within: Path | str | None, limit: int) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Args:
        path: of the file.
        within: folder below which no part of the path may be a link; None for a file that the user
            named, to which links may lead.
        limit: bytes that it may have.

    Raises:
        MissingFileError: it is not there.
        BadFileError: a link, no regular file, too large, with holes, or unreadable.
    """
    descriptor = _open(path, within)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadFileError(path, "is no regular file")
        if found.st_size > limit:
            raise BadFileError(path, f"has {found.st_size} bytes; expected {limit} at most")
        if found.st_size > _HOLES_FROM and found.st_blocks * 512 < found.st_size // 8:
            raise BadFileError(path, f"has {found.st_size} bytes, nearly all of them holes")
        # The descriptor is closed below; a buffer would cost more than most files.
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            yield file
    except OSError as error:
        reason = f"cannot be read ({error.strerror or error})"
        raise BadFileError(path, reason, "unreadable") from error
    finally:
        os.close(descriptor)


def read_bytes(path: Path | str, within: Path | str | None = None, limit: int = MAX_TEXT) -> bytes:
    """Return the content of a file.

    Args:
        path: of the file.
        within: see ``open_file``.
        limit: bytes that it may have.

    Raises:
        BadFileError: as of ``open_file``.
    """
    with open_file(path, within, limit) as file:
        content = bytearray()
        while part := file.read(min(limit + 1 - len(content), 1 << 24)):
            content += part
    if len(content) > limit:
        raise BadFileError(path, f"has more than {limit} bytes")
    return bytes(content)


def read_json(path: Path | str, within: Path | str | None = None, limit: int = MAX_TEXT) -> Any:
    """Return what a file of JSON holds.

    Args:
        path: of the file.
        within: see ``open_file``.
        limit: bytes that it may have.

    Raises:
        BadFileError: as of ``open_file``, or not JSON as ``parse_json`` takes it.
    """
    try:
        return parse_json(read_bytes(path, within, limit))
    except ValueError as error:
        raise BadFileError(path, f"is not JSON ({error})") from error


def parse_json(content: bytes) -> Any:
    """Return what JSON holds that every reader understands alike.

    Args:
        content: UTF-8, without NaN, infinities, repeated keys or half characters, and nested a
            hundred deep at most.

    Raises:
        ValueError: anything else; the message is one line.
    """
    try:
        value = _DECODER.decode(content.decode("utf-8"))
        if content.count(b"[") + content.count(b"{") > _MAX_DEPTH:
            _check_depth(value)
        if b"\\ud" in content or b"\\uD" in content:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise ValueError(f"not UTF-8: {error.reason}") from error
    except RecursionError as error:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep") from error
    return value


def sha256_of(path: Path | str, within: Path | str | None = None, limit: int = MAX_BYTES) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits.

    Args:
        path: of the file.
        within: see ``open_file``.
        limit: bytes that it may have.

    Raises:
        BadFileError: as of ``open_file``.
    """
    found = hashlib.sha256()
    with open_file(path, within, limit) as file:
        while part := file.read(1 << 18):
            found.update(part)
    return found.hexdigest()


def copy(source: Path, target: Path, within: Path | None, limit: int = MAX_BYTES) -> str:
    """Copy the bytes of a file to a new one; return their sha256.

    Args:
        source: see ``open_file``.
        target: must not exist; folders above it are made.
        within: that of the source.
        limit: bytes that it may have.

    Raises:
        BadFileError: as of ``open_file``.
        OSError: the target cannot be written.
    """
    found = hashlib.sha256()
    with open_file(source, within, limit) as file:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as written:
            while part := file.read(1 << 18):
                found.update(part)
                written.write(part)
    return found.hexdigest()


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, plain ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; move it there when the block succeeds.

    The content is on disk before the name changes, and the temporary file is removed when the
    block fails, so ``path`` is either as it was or complete.

    Raises:
        OSError: the folder cannot be written or the disk is full; the error names ``path``.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 under ``path``, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _open(path: Path | str, within: Path | str | None) -> int:
    """Return a descriptor of a file; each folder on the way is opened from the one before."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if within is None:
            return os.open(path, flags)
        parts = _parts(path, within)
        folder = os.open(within, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            try:
                kind = flags if last else os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
                inner = os.open(part, kind | os.O_NOFOLLOW, dir_fd=folder)
            except OSError as error:
                if _is_link(part, folder):
                    raise BadFileError(path, _LINK, "link") from error
                raise
            finally:
                os.close(folder)
            folder = inner
        return folder
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(path) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadFileError(path, f"cannot be read ({reason})", "unreadable") from error


def _parts(path: Path | str, within: Path | str) -> list[str]:
    whole, folder = os.fspath(path), os.fspath(within)
    prefix = "" if folder == "." else folder.rstrip("/") + "/"
    parts = [part for part in whole[len(prefix) :].split("/") if part not in ("", ".")]
    if not whole.startswith(prefix) or ".." in parts or not parts:
        raise BadFileError(path, f"is no file within {folder}")
    return parts


def _is_link(name: str, folder: int) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    except (OSError, ValueError):
        return False


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {_MAX_DEPTH} deep")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant
)
