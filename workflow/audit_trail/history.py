"""Reading the history of a study: a chain of lines, each with the hash of the one before.

A history may have a hundred thousand lines. What is kept of each is where it is; what it holds is
read again when it is asked for.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import MAX_BYTES, MAX_TEXT, canonical_json, open_file, parse_json
from audit_trail.records import BadRecordError, Record, is_record, parse_statement


@dataclass(frozen=True)
class Entry:
    """A line of a history that holds a record."""

    number: int  # of the line, from 1
    time: str  # when it was written, in UTC
    record: str  # name of the record
    record_sha256: str  # of the record's file
    file: tuple[Path, Path | None]  # the history, and the folder that it may not leave
    place: tuple[int, int, str]  # where the line begins, how many bytes it has, and their sha256

    def parsed(self) -> Record:
        """Return the record.

        A BadRecordError says that it cannot be used, and a BadFileError that the history is not
        what it was when it was read.
        """
        position, size, sha256 = self.place
        with open_file(*self.file, MAX_BYTES) as file:
            file.seek(position)
            text = file.read(size)
        if hashlib.sha256(text).hexdigest() != sha256:
            raise BadFileError(self.file[0], "has changed while it was read")
        return parse_statement(self.record, self.record_sha256, parse_json(text).get("statement"))


@dataclass
class History:
    """A history, as far as it can be read, the oldest line first."""

    entries: list[Entry] = field(default_factory=list)  # lines of records
    events: list[dict[str, Any]] = field(default_factory=list)  # what the other lines hold
    times: list[str | None] = field(default_factory=list)  # of each line; None if not readable
    hashes: list[str] = field(default_factory=list)  # sha256 of each line, readable or not
    breaks: list[str] = field(default_factory=list)  # where the chain does not hold, as sentences
    # Numbers of lines that a crash cut short; the chain goes on after them.
    torn: list[int] = field(default_factory=list)

    @cached_property
    def latest(self) -> dict[str, Entry]:
        """The newest entry of each record, by the record's name."""
        return {entry.record: entry for entry in self.entries}

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
        for entry in self.entries:
            with suppress(BadRecordError, BadFileError):
                yield entry, entry.parsed()


def read_history(path: Path, within: Path | None = None, about: str | None = None) -> History:
    """Read a history and check its chain; what is wrong with it is in ``breaks``.

    Args:
        path: of the history.
        within: folder that it may not leave, see ``open_file``.
        about: a file of the study: entries that do not name it are left out.

    A BadFileError says that it cannot be read.
    """
    history = History()
    # As names are written: plain ASCII. A line with any escape is looked at as a whole.
    needle = b"" if about is None else canonical_json(about).encode()
    previous = "null"
    unread = position = 0
    with open_file(path, within, MAX_BYTES) as file, io.BufferedReader(file, 1 << 18) as lines:
        while line := lines.readline(2 * MAX_TEXT):
            text, number = line.removesuffix(b"\n"), len(history.hashes) + 1
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
            sha256 = hashlib.sha256(text).hexdigest()
            if content and "event" in content:
                history.events.append(content)
            elif content:
                name, place = (content["record"], content["sha256"]), (position, len(text), sha256)
                history.entries.append(Entry(number, content["time"], *name, (path, within), place))
            history.times.append(content["time"] if content else None)
            history.hashes.append(sha256)
            position += len(line)
            previous = f'"{sha256}"'
    if unread:
        history.breaks.append(f"line {unread}, the last one, cannot be read")
    return history


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
