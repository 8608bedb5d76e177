"""Reading the history of a study: a chain of lines, each with the hash of the one before."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audit_trail.records import MAX_BYTES, BadRecordError, Record, parse_statement


@dataclass(frozen=True)
class Entry:
    """One line of a history.

    Attributes:
        number: of the line, from 1.
        sha256: of the line, without its end.
        time: when it was written, in UTC.
        content: all of it.
        record: path of the record it holds, from the folder of the study; None for other events.
        record_sha256: of the record's file.
    """

    number: int
    sha256: str
    time: str
    content: dict[str, Any]
    record: str | None = None
    record_sha256: str = ""

    def parsed(self) -> Record:
        """Return the record that the line holds.

        Raises:
            BadRecordError: the line holds none, or a bad one.
        """
        if self.record is None or "statement" not in self.content:
            raise BadRecordError("is not in this line of the history")
        return parse_statement(self.record, self.record_sha256, self.content["statement"])


@dataclass(frozen=True)
class History:
    """The history of a study.

    Attributes:
        entries: every line that can be read, oldest first.
        breaks: where the chain does not hold, as sentences.
        torn: numbers of lines that a crash cut short; the chain goes on after them.
        hashes: sha256 of each line, readable or not.
    """

    entries: list[Entry] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    torn: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    @property
    def head(self) -> str | None:
        """Hash of the last line."""
        return self.hashes[-1] if self.hashes else None

    def latest(self) -> dict[str, Entry]:
        """Return the newest entry of each record, by the record's name."""
        return self._latest

    def withheld(self) -> dict[str, str]:
        """Return what was left out when the study was published: the sha256 by name."""
        return self._withheld

    @cached_property
    def _latest(self) -> dict[str, Entry]:
        return {entry.record: entry for entry in self.entries if entry.record is not None}

    @cached_property
    def _withheld(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in self.entries:
            listed = entry.content.get("withheld")
            if entry.content.get("event") in ("published", "anonymised") and isinstance(
                listed, dict
            ):
                found |= {str(name): str(sha256) for name, sha256 in listed.items()}
        return found


def read_history(path: Path) -> History:
    """Read a history and check its chain; what is wrong with it is in ``breaks``.

    Raises:
        OSError: the file cannot be read.
    """
    history = History()
    previous: str | None = None
    unread: int | None = None
    with path.open("rb") as file:
        number = 0
        while line := file.readline(2 * MAX_BYTES):
            number += 1
            text = line.removesuffix(b"\n")
            sha256 = hashlib.sha256(text).hexdigest()
            history.hashes.append(sha256)
            entry = _entry(number, sha256, text)
            if unread is not None and (entry is None or entry.content.get("previous") != previous):
                history.breaks.append(f"line {unread} cannot be read")
                unread = None
            elif unread is not None:
                history.torn.append(unread)
                unread = None
            if entry is None:
                # Forgiven when the next line has its hash: it was cut short by a crash.
                unread = number
            else:
                if entry.content.get("previous") != previous:
                    before = "no line" if number == 1 else f"line {number - 1}"
                    history.breaks.append(f"line {number} does not follow on {before} as it is now")
                history.entries.append(entry)
            previous = sha256
    if unread is not None:
        history.breaks.append(f"line {unread}, the last one, cannot be read")
    return history


def _entry(number: int, sha256: str, text: bytes) -> Entry | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("time"), str):
        return None
    record, record_sha256 = content.get("record"), content.get("sha256")
    if isinstance(record, str) and isinstance(record_sha256, str):
        return Entry(number, sha256, content["time"], content, record, record_sha256)
    return Entry(number, sha256, content["time"], content) if "event" in content else None
