"""What somebody might do to finished results, with more or less care."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from logdepth.canonical import canonical_json

HISTORY = "provenance/history.jsonl"


def alter(path: Path, old: str, new: str) -> None:
    """Replace text in a file and keep its times, as somebody would who wants to stay unseen."""
    text, stat = path.read_text(), path.stat()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def lines_of(study: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (study / HISTORY).read_bytes().splitlines()]


def write_history(study: Path, entries: list[dict[str, Any]]) -> None:
    """Write a history whose chain is flawless, whatever its entries say."""
    lines: list[str] = []
    for entry in entries:
        link = hashlib.sha256(lines[-1].encode()).hexdigest() if lines else None
        lines.append(canonical_json(entry | {"previous": link}))
    (study / HISTORY).write_text("\n".join(lines) + "\n")


def forge(study: Path, name: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite a record, and the whole history so that it agrees."""
    statement = json.loads((study / name).read_text())
    change(statement)
    text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
    (study / name).write_text(text)
    entries = lines_of(study)
    for entry in entries:
        if entry["record"] == name:
            entry["statement"] = statement
            entry["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    write_history(study, entries)


def forge_output(study: Path, name: str, record: str) -> None:
    """Make record and history agree with an output as it is now."""
    sha256 = hashlib.sha256((study / name).read_bytes()).hexdigest()

    def change(statement: dict[str, Any]) -> None:
        (subject,) = [s for s in statement["subject"] if s["name"] == name]
        subject["digest"]["sha256"] = sha256

    forge(study, record, change)
