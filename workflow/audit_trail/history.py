"""Reading the history of a study: a chain of lines, each with the hash of the one before.

A history may have a hundred thousand lines. What the newest line about each record holds is kept;
what the others hold is read again when it is asked for.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from audit_trail.files import MAX_BYTES, MAX_TEXT, canonical_json, open_file, parse_json
from audit_trail.records import BadRecordError, Record, is_record, parse_statement


class Entry(NamedTuple):
    """A line of a history that holds a record."""

    number: int  # of the line, from 1
    time: str  # when it was written, in UTC
    record: str  # name of the record
    sha256: str  # of the record's file


@dataclass
class History:
    """A history, as far as it can be read, the oldest line first."""

    file: tuple[Path, Path | None] = (Path(), None)  # and the folder that it may not leave
    entries: dict[int, Entry] = field(default_factory=dict)  # lines of records, by number
    # The newest entry of each record and the statement in it, by the record's name.
    latest: dict[str, tuple[Entry, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)  # what the other lines hold
    times: list[str | None] = field(default_factory=list)  # of each line; None if not readable
    hashes: list[str] = field(default_factory=list)  # sha256 of each line, readable or not
    breaks: list[str] = field(default_factory=list)  # where the chain does not hold, as sentences
    # Numbers of lines that a crash cut short; the chain goes on after them.
    torn: list[int] = field(default_factory=list)

    @property
    def published(self) -> bool:
        """Whether this is a published copy."""
        return any(event["event"] == "published" for event in self.events)

    @cached_property
    def withheld(self) -> dict[str, str]:
        """What was left out when the study was published, or removed: the sha256 by name."""
        found: dict[str, str] = {}
        for event in self.events:
            listed = event.get("withheld")
            if event["event"] in ("published", "removed") and isinstance(listed, dict):
                found |= {str(name): str(sha256) for name, sha256 in listed.items()}
        return found

    def parsed(self) -> Iterator[tuple[Entry, Record]]:
        """Yield the record of each entry that holds a good one, one after another."""
        for number, text in enumerate(_lines(*self.file) if self.entries else (), 1):
            entry = self.entries.get(number)
            # It may have changed since.
            if entry and hashlib.sha256(text).hexdigest() == self.hashes[number - 1]:
                with suppress(BadRecordError):
                    statement = parse_json(text).get("statement")
                    yield entry, parse_statement(entry.record, entry.sha256, statement)


def read_history(path: Path, within: Path | None = None, about: str | None = None) -> History:
    """Read a history and check its chain; what is wrong with it is in ``breaks``.

    Entries that do not name ``about``, a file of the study, are left out, if there is one. Errors
    are those of ``open_file`` for a file within a folder.
    """
    history = History((path, within))
    # As names are written: plain ASCII. A line with any escape is looked at as a whole.
    needle = b"" if about is None else canonical_json(about).encode()
    previous, unread = "null", 0
    for number, text in enumerate(_lines(path, within), 1):
        asked = needle in text or b"\\" in text
        content = _content(text) if asked else None
        readable = content is not None or not asked
        # Wherever it stands, the line depends on that hash.
        linked = f'"previous":{previous}'.encode() in text
        if unread and readable and linked:
            # Forgiven, for this line has its hash: it was cut short by a crash.
            history.torn.append(unread)
        elif unread:
            history.breaks.append(f"line {unread} cannot be read")
        unread = 0 if readable else number
        if readable and not linked:
            before = "no line" if number == 1 else f"line {number - 1}"
            history.breaks.append(f"line {number} does not follow on {before} as it is now")
        if content and "event" in content:
            history.events.append(content)
        elif content:
            entry = Entry(number, content["time"], content["record"], content["sha256"])
            history.entries[number] = entry
            history.latest[entry.record] = entry, content.get("statement")
        history.times.append(content["time"] if content else None)
        history.hashes.append(hashlib.sha256(text).hexdigest())
        previous = f'"{history.hashes[-1]}"'
    if unread:
        history.breaks.append(f"line {unread}, the last one, cannot be read")
    return history


def _lines(path: Path, within: Path | None) -> Iterator[bytes]:
    with open_file(path, within, MAX_BYTES) as file, io.BufferedReader(file, 1 << 18) as lines:
        while line := lines.readline(2 * MAX_TEXT):
            yield line.removesuffix(b"\n")


def _content(text: bytes) -> dict[str, Any] | None:
    """Return what a line holds; None where it is no line of a history."""
    try:
        content = parse_json(text)
    except ValueError:
        return None
    if not isinstance(content, dict) or not isinstance(content.get("time"), str):
        return None
    if "event" in content:
        return None if "record" in content else content
    record = isinstance(content.get("record"), str) and isinstance(content.get("sha256"), str)
    return content if record and is_record(content["record"]) else None
