"""Reading the history of a study: a chain of lines, each with the hash of the one before.

A history may have a hundred thousand lines. What is kept of each is where it is; what it holds is
read again when it is asked for.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import MAX_BYTES, MAX_TEXT, canonical_json, open_file, parse_json
from audit_trail.records import BadRecordError, Record, is_record, parse_statement

# The lines of records, as they are written. What such a line says of itself is taken from here; its
# statement is read when it is asked for, by what is strict about all of the line.
_LINE = re.compile(
    rb'\{"previous":(?:null|"([0-9a-f]{64})"),"record":"([!-~]{1,2048}?)","sha256":"([0-9a-f]{64})",'
    rb'"statement":\{.*\},"time":"([!-~]{1,40})"\}'
)


@dataclass(frozen=True)
class Entry:
    """One line of a history."""

    number: int  # of the line, from 1
    sha256: str  # of the line, without its end
    time: str  # when it was written, in UTC
    record: str | None  # name of the record it holds; None for other events
    record_sha256: str  # of the record's file
    file: tuple[Path, Path | None]  # the history, and the folder that it may not leave
    place: tuple[int, int]  # where the line begins, and how many bytes it has

    @property
    def content(self) -> dict[str, Any]:
        """All that the line holds.

        Raises:
            BadRecordError: the line is not what it seemed to be.
            BadFileError: the history is not what it was when it was read.
        """
        with open_file(*self.file, MAX_BYTES) as file:
            file.seek(self.place[0])
            text = file.read(self.place[1])
        if hashlib.sha256(text).hexdigest() != self.sha256:
            raise BadFileError(self.file[0], "has changed while it was read")
        content = _content(text)
        if content is None or content.get("record") != self.record:
            raise BadRecordError(f"cannot be read from line {self.number} of the history")
        return content

    def parsed(self) -> Record:
        """Return the record that the line holds; errors of ``content``, also where it has none."""
        content = self.content
        if self.record is None or "statement" not in content:
            raise BadRecordError("is not in this line of the history")
        return parse_statement(self.record, self.record_sha256, content["statement"])


@dataclass
class History:
    """A history, as far as it can be read."""

    entries: list[Entry] = field(default_factory=list)  # every line that can be read, oldest first
    breaks: list[str] = field(default_factory=list)  # where the chain does not hold, as sentences
    # Numbers of lines that a crash cut short; the chain goes on after them.
    torn: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)  # sha256 of each line, readable or not

    @property
    def head(self) -> str | None:
        """Hash of the last line."""
        return self.hashes[-1] if self.hashes else None

    @cached_property
    def latest(self) -> dict[str, Entry]:
        """The newest entry of each record, by the record's name."""
        return {entry.record: entry for entry in self.entries if entry.record is not None}

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What happened to the study besides jobs."""
        contents = (entry.content for entry in self.entries if entry.record is None)
        return [content for content in contents if content.get("event") in ("published", "removed")]

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
            if isinstance(listed, dict):
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

    Raises:
        BadFileError: the file cannot be read.
    """
    history = History()
    # As names are written: plain ASCII. A line with any escape is looked at as a whole.
    needle = b"" if about is None else canonical_json(about).encode()
    previous: str | None = None
    unread = position = number = 0
    with open_file(path, within, MAX_BYTES) as file, io.BufferedReader(file, 1 << 18) as lines:  # type: ignore[type-var]
        while line := lines.readline(2 * MAX_TEXT):
            number += 1
            text = line.removesuffix(b"\n")
            sha256 = hashlib.sha256(text).hexdigest()
            history.hashes.append(sha256)
            found = _head(text)
            if unread and found is not None and found[0] == previous:
                # Forgiven, for this line has its hash: it was cut short by a crash.
                history.torn.append(unread)
            elif unread:
                history.breaks.append(f"line {unread} cannot be read")
            unread = number if found is None else 0
            if found is not None:
                if found[0] != previous:
                    before = "no line" if number == 1 else f"line {number - 1}"
                    history.breaks.append(f"line {number} does not follow on {before} as it is now")
                if needle in text or b"\\" in text:
                    place = (position, len(text))
                    entry = Entry(number, sha256, *found[1:], (path, within), place)
                    history.entries.append(entry)
            position += len(line)
            previous = sha256
    if unread:
        history.breaks.append(f"line {unread}, the last one, cannot be read")
    return history


def _head(text: bytes) -> tuple[Any, str, str | None, str] | None:
    """Return the link of a line, its time, and name and sha256 of the record that it holds."""
    if (line := _LINE.fullmatch(text)) and b"\\" not in text:
        link, record, sha256, time = (part.decode() for part in line.groups(b""))
        return (link or None, time, record, sha256) if is_record(record) else None
    if (found := _content(text)) is None:
        return None
    name = found.get("record")
    return found.get("previous"), found["time"], name, found["sha256"] if name else ""


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
