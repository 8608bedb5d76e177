"""The one place where files of a study are opened: they may come from anybody.

What is read is a regular file, behind no link, of bounded size; what is called JSON is strict.
Each fault is a ``BadFileError`` about that file, so that a command can report it and go on.
"""

import errno
import hashlib
import io
import json
import math
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from audit_trail.errors import BadFileError

# A record of ten thousand inputs has about 2 MB.
MAX_TEXT = 16 << 20
# No output is larger. A file is hashed in about a second for each of its GiB.
MAX_BYTES = 64 << 30
# A larger file that has less than an eighth of its bytes on a disk was made with holes, so that a
# few bytes sent become hours of reading.
_HOLES_FROM = 256 << 20
_MAX_DEPTH = 100

Name = Path | str


@contextmanager
def open_file(path: Name, within: Name | None, limit: int) -> Iterator[io.FileIO]:
    """Open a regular file of at most ``limit`` bytes for reading.

    No part of the path below the folder ``within`` may be a link; to a file that the user named,
    with None, links may lead. A BadFileError says that it is missing, a link, no regular file, too
    large, with holes, or unreadable.
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
        with io.FileIO(descriptor, closefd=False) as file:
            yield file
    except OSError as error:
        raise _unusable(path, error) from error
    finally:
        os.close(descriptor)


def read_bytes(path: Name, within: Name | None = None, limit: int = MAX_TEXT) -> bytes:
    """Return the content of a file, for arguments and errors of ``open_file``."""
    with open_file(path, within, limit) as file:
        return file.read()


def read_json(path: Name, within: Name | None = None) -> Any:
    """Return what a file of JSON holds; errors of ``open_file``, also where it is no such JSON."""
    try:
        return parse_json(read_bytes(path, within))
    except ValueError as error:
        raise BadFileError(path, f"is not JSON ({error})") from error


def parse_json(content: bytes) -> Any:
    """Return what JSON holds that every reader understands alike.

    It is UTF-8, without NaN, infinities, repeated keys or half characters, and nested a hundred
    deep at most. Anything else is a ValueError, with a message of one line.
    """
    try:
        value = _DECODER.decode(content.decode("utf-8"))
        if content.count(b"[") + content.count(b"{") > _MAX_DEPTH:
            _check_depth(value, _MAX_DEPTH)
        if b"\\ud" in content or b"\\uD" in content:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise ValueError(f"not UTF-8: {getattr(error, 'reason', error)}") from error
    except RecursionError as error:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep") from error
    return value


def sha256_of(path: Name, within: Name | None = None) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits; errors of ``open_file``."""
    with open_file(path, within, MAX_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path, within: Path | None, sha256: str | None = None) -> str:
    """Copy the bytes of a file to a new one, with folders above it; return their sha256.

    Errors are those of ``open_file`` for the source, also where its sha256 is not the given one;
    and an OSError where the target is there.
    """
    with open_file(source, within, MAX_BYTES) as file:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as written:
            shutil.copyfileobj(file, written)
    found = sha256_of(target)
    if sha256 not in (None, found):
        target.unlink()
        raise BadFileError(source, "is not as it was recorded any more")
    return found


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, plain ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the sha256 of the canonical JSON of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is as it was or complete, and on disk; an OSError names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            sync(file)
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def sync(file: IO[bytes]) -> None:
    """Bring what was written to a file onto its disk, where the file system can."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def _open(path: Name, within: Name | None) -> int:
    """Return a descriptor of a file; each folder on the way is opened from the one before."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if within is None:
            return os.open(path, flags)
        parts = _below(path, within)
        inner = os.open(within, flags)
        for part in parts:
            outer = inner
            try:
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=outer)
            finally:
                os.close(outer)
        return inner
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Name, error: Exception) -> BadFileError:
    match getattr(error, "errno", None):
        case errno.ENOENT | errno.ENOTDIR:
            return BadFileError(path, "is not there", "missing")
        case errno.ELOOP:
            return BadFileError(path, "is a symbolic link, or lies behind one", "link")
    reason = getattr(error, "strerror", None) or error
    return BadFileError(path, f"cannot be read ({reason})", "unreadable")


def _below(path: Name, within: Name) -> list[str]:
    """Return the parts of a path below a folder."""
    whole, folder = os.fspath(path), os.fspath(within)
    prefix = "" if folder == "." else folder.rstrip("/") + "/"
    parts = [part for part in whole[len(prefix) :].split("/") if part not in ("", ".")]
    if not whole.startswith(prefix) or ".." in parts or not parts:
        raise BadFileError(path, f"is no file within {folder}")
    return parts


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise ValueError(f"nested more than {_MAX_DEPTH} deep")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, left - 1)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text[:20]} is no number of JSON")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
