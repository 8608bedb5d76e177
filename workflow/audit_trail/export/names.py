"""What gives away who ran a study and where: finding it in records and files, and taking it out."""

import codecs
import contextlib
import getpass
import json
import mmap
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from logdepth.canonical import canonical_json

# Accounts and hosts that are called the same everywhere.
_NOBODY = {"root", "localhost", "nobody"}
# A shorter word stands in any megabyte of weights or pixels by chance.
_SHORTEST_IN_BINARY = 5
_HOME = re.compile(r"/(?:home|Users)/([\w.-]+)|/root(?![\w.-])")
_SEPARATOR = re.compile(r"[/\\]+")
_WHOLE = re.compile(r"[/\\]|~[\w.-]*(?:[/\\]|$)|[A-Za-z]:[/\\]|file:", re.ASCII)
_WITHIN = re.compile(
    r"(?<![\w.:/\\~-])(?:file:/*|~[\w.-]*|[A-Za-z]:|(?:\.{1,2}/)*\.\.)?[/\\](?=[\w.~-])"
    r"[^\s\"',;:=\[\]{}()]*"
)


def without_places(value: Any) -> Any:
    """Return plain JSON values with each path in a text cut to the name of its file.

    Paths that say nothing about a machine stay: relative ones that do not climb with "..".
    """
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    return _text_without_places(value) if isinstance(value, str) else value


def _text_without_places(text: str) -> str:
    if text[:1] in ("{", "["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            pass
        else:
            cut = without_places(found)
            return text if cut == found else canonical_json(cut)
    key, equals, value = text.partition("=")
    if equals and re.fullmatch(r"[\w.-]+", key):
        return f"{key}={_text_without_places(value)}"
    if _WHOLE.match(text) or ".." in _SEPARATOR.split(text):
        return last_part(text)
    return _WITHIN.sub(lambda match: last_part(match.group()), text)


def last_part(path: str) -> str:
    """Return the name of the file that a path leads to."""
    parts = [part for part in _SEPARATOR.split(path) if part not in ("", ".", "..")]
    return parts[-1] if parts and parts[-1] != "file:" else "elsewhere"


def here() -> set[str]:
    """Return host, user and home folder of this machine, in each form in which they are used."""
    names = {str(Path.home()), *_host(socket.gethostname())}
    # There are containers whose user has no name.
    with contextlib.suppress(OSError, KeyError):
        names.add(getpass.getuser())
    return names


def recorded(statement: dict[str, Any]) -> set[str]:
    """Return hosts, users and home folders that a record holds."""
    names: set[str] = set()
    for byproduct in statement["predicate"]["runDetails"]["byproducts"]:
        host = byproduct["annotations"].get("host") if byproduct["name"] == "machine" else None
        names |= _host(host) if isinstance(host, str) else set()
    for text in _texts(statement):
        for match in _HOME.finditer(text):
            names |= {match.group(), match.group(1) or ""}
    return names - {""}


def telling(names: set[str]) -> set[str]:
    """Return the names that tell anything: not the account root, nor a single letter."""
    return {name for name in names if name.lower() not in _NOBODY and len(name) > 1}


def found_in(path: Path, names: set[str]) -> str | None:
    """Return one of the names that a file holds; None if it holds none.

    A name counts as a whole word, and upper case is lower case but in a path. In files that are no
    text, words of fewer than five letters do not count, since they stand there by chance. What
    such a file holds compressed is not seen.
    """
    with path.open("rb") as file:
        if not file.read(1):
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            text = _is_text(content[: 1 << 20])
            for name in sorted(names):
                if (text or len(name) >= _SHORTEST_IN_BINARY) and _pattern(name).search(content):
                    return name
    return None


def found_in_name(text: str, names: set[str]) -> str | None:
    """Return one of the names that stands in the name of a file; None if there is none."""
    content = text.encode()
    return next((name for name in sorted(names) if _pattern(name).search(content)), None)


def _pattern(name: str) -> re.Pattern[bytes]:
    # Case matters to a path: every PDF has a /Root.
    flags = 0 if "/" in name else re.IGNORECASE
    return re.compile(rb"(?<![A-Za-z0-9_])%b(?![A-Za-z0-9_])" % re.escape(name.encode()), flags)


def _host(name: str) -> set[str]:
    """Return a host's name, whole and without its domain."""
    return {name, name.partition(".")[0]} - {""}


def _is_text(start: bytes) -> bool:
    if b"\0" in start:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
