"""A trace for people: its jobs as numbered steps, on a terminal and as a page of HTML.

Both show the same lines, made from the trace's JSON. Records are files from somebody else: each
line is made printable, and escaped on the page, which runs no script.
"""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from pathlib import PurePosixPath
from typing import Any

from audit_trail.errors import printable
from audit_trail.records import short
from audit_trail.tracing.trace import RECORDED

_WIDTH = 100
# Of jobs and of files: more of them stand in the JSON.
_ON_TERMINAL, _ON_PAGE = 30, 1000
# What says nothing.
_NOTHING = ("", "null", "[]", "{}")
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; \
form-action 'none'">
<title>Trace of {file}</title>
</head>
<body>
<h1>{file}</h1>
<p>Where it comes from, as the records of its study tell: each step is a job or the jobs of a stage,
the nearest first. Files are as found on {now:%Y-%m-%d %H:%M} UTC. <i>audit verify</i> checks the
records themselves, <i>audit trace --json</i> has all that they say.</p>
<pre>
{text}</pre>
</body>
</html>
"""

Json = Mapping[str, Any]
Facts = Mapping[str, str]
# By name and sha256.
Files = Mapping[tuple[str, str], Json]


def as_text(found: Json, most: int = _ON_TERMINAL) -> str:
    """Return a trace as lines for a terminal, with so many files and jobs of a stage at most."""
    parts = _parts(found, most)
    lines = (line for title, of in parts for line in ("", title, *(f"   {line}" for line in of)))
    return "\n".join(map(_wrapped, [*lines][1:])) + "\n"


def as_page(found: Json, now: datetime) -> str:
    """Return a trace, as of now, as a page of HTML that needs neither network nor server."""
    file, text = escape(printable(found["file"])), escape(as_text(found, _ON_PAGE))
    return _PAGE.format(file=file, now=now, text=text)


def _parts(found: Json, most: int) -> Iterator[tuple[str, list[str]]]:
    """Yield a title, and the lines below it."""

    def some(lines: list[str]) -> list[str]:
        more = [f"and {len(lines) - most} more (--json has all)"] * (len(lines) > most)
        return [*lines[:most], *more]

    jobs, root = found["jobs"], found["root"]
    if rows := found["rows"]:
        asked = ", ".join(f"{name}={value}" for name, value in rows["conditions"].items())
        title = f"{found['file']}: {len(rows['chosen'])} of {rows['total']} rows have {asked}"
        note = [f"({rows['note']})"] * bool(rows["note"])
        yield title, [*some([_said(row) for row in rows["chosen"]]), *note]
    counts = ", ".join(f"{number} {state}" for state, number in found["states"].items())
    lines = [f"found by its bytes, recorded as {found['found']}"] * bool(found["found"])
    if root:
        lines.append(f"sha256 {root['sha256']}{root['found'] and ', found '}{root['found']}")
    lines.append(f"the study {found['study']}; files it comes from, as found now: {counts}")
    yield found["file"] + (f" · {root['state']}" if root else ""), lines
    stages: dict[str, list[str]] = {}
    for key, job in jobs.items():
        stages.setdefault(job["stage"], []).append(key)
    steps: dict[tuple[str, str], int] = {}
    for number, of in enumerate(stages.values(), 1):
        steps |= dict.fromkeys(_files(jobs, of, "made"), number)
    facts = {key: _facts(job) for key, job in jobs.items()}
    everywhere = _common(facts.values()) if len(stages) > 1 else {}
    for number, (stage, of) in enumerate(stages.items(), 1):
        common = _common(facts[key] for key in of)
        lines = _groups("made", _files(jobs, of, "made"), {})
        lines += _groups("from", _files(jobs, of, "from"), steps)
        if shared := _said(common, everywhere):
            lines.append(f"with {shared}")
        each = [_job(jobs[key], _said(facts[key], common)) for key in of]
        if len(of) == 1:
            yield f"{number}. {stage} {each[0]}", some(lines)
        else:
            yield f"{number}. {stage}: {len(of)} jobs", [*some(lines), *some(each)]
    if everywhere:
        yield "in all of these jobs", [_said(everywhere)]
    every = _files(jobs, jobs, "made", "from", "with").values()
    if other := [f"{f['name']} · {f['state']}" for f in every if f["state"] != RECORDED]:
        yield "not as recorded", some(other)


def _files(jobs: Json, keys: Iterable[str], *kinds: str) -> Files:
    """Return the files of some jobs that they made, or made them from, each once."""
    listed = (file for key in keys for kind in kinds for file in jobs[key][kind])
    return {(file["name"], file["sha256"]): file for file in listed}


def _facts(job: Json) -> Facts:
    """Return what a job's record says, by a name that says its kind where it must."""
    found: dict[str, str] = {}
    for kind, values in job["facts"].items():
        prefix = "" if kind in ("configuration", "machine", "host", "commit") else f"{kind} "
        found |= {f"{prefix}{name.removeprefix('run.')}": short(v) for name, v in values.items()}
    for file in job["with"]:
        state = "" if file["state"] == RECORDED else f", {file['state']}"
        found[file["role"]] = f"{short(file['sha256'])}{state}"
    return found


def _common(facts: Iterable[Facts]) -> Facts:
    first, *others = facts
    return {n: v for n, v in first.items() if all(other.get(n) == v for other in others)}


def _job(job: Json, own: str) -> str:
    """Return what is said of one job of a stage, with the facts that are its own."""
    took = "?" if job["seconds"] is None else f"{job['seconds']:.1f} s"
    ran = f"{str(job['started'])[:16].replace('T', ' ')} UTC, {took}"
    line = f"line {job['line']} of the history"
    state = "" if job["state"] == RECORDED else f"its record is {job['state']}"
    return " · ".join(filter(None, (PurePosixPath(job["record"]).stem, ran, line, own, state)))


def _groups(word: str, files: Files, steps: Mapping[tuple[str, str], int]) -> list[str]:
    """Return files, those of the same name in the folders of runs as one: runs/*/model.json."""
    patterns: dict[str, list[Json]] = {}
    for file in files.values():
        *folders, name = file["name"].split("/")
        pattern = "/".join([*folders[:1], *("*" for _ in folders[1:]), name])
        patterns.setdefault(pattern, []).append(file)
    lines = []
    for pattern, of in patterns.items():
        text, states = pattern, Counter(file["state"] for file in of)
        state = ", ".join(f"{count} {state}" for state, count in states.items())
        if len(of) == 1:
            text, state = f"{of[0]['name']} {short(of[0]['sha256'])}", of[0]["state"]
        outside = ", not of the study" if of[0]["role"] == "external" else ""
        made = sorted({steps.get((f["name"], f["sha256"]), 0) for f in of} - {0})
        step = f" · step {', '.join(map(str, made))}" if made else ""
        lines.append(f"{word} {text}{outside} · {state}{step}")
    return lines


def _said(values: Facts, without: Facts | tuple[()] = ()) -> str:
    """Return named values as one line; those that say nothing are left out."""
    said = {n: v for n, v in values.items() if n not in without and v not in _NOTHING}
    return " · ".join(f"{name} {value}" for name, value in said.items())


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    shown = printable(line)
    return textwrap.fill(shown, _WIDTH, subsequent_indent=indent, break_long_words=False)
