"""A trace for people: its jobs as numbered steps, on a terminal and as a page of HTML.

Both show the same blocks of lines, made from the trace's JSON. Records are files from somebody
else: each text of theirs is made printable before, and escaped on the page, which runs no script.
"""

import base64
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from audit_trail.errors import printable
from audit_trail.tracing.lineage import RECORDED

_WIDTH = 100
_LONGEST = 60
# Of jobs and of files: more of them stand in the JSON.
_ON_TERMINAL, _ON_PAGE = 30, 1000
_APART = 8


def as_text(found: dict[str, Any]) -> str:
    """Return a trace as lines for a terminal."""
    lines: list[str] = []
    for block in _blocks(_printable(found), _ON_TERMINAL):
        lines += ["", " · ".join(filter(None, (block.title, block.state)))]
        for line in (*block.lines, *block.jobs):
            steps = f"step {', '.join(map(str, line.steps))}" if line.steps else ""
            lines.append("   " + " · ".join(filter(None, (line.text, line.state, steps))))
    return "\n".join(map(_wrapped, lines[1:])) + "\n"


def as_page(found: dict[str, Any], picture: bytes, now: datetime) -> str:
    """Return a trace as a page of HTML that needs neither network nor server.

    Args:
        found: the trace.
        picture: the figure as PNG, or nothing.
        now: when the files were looked at.
    """
    return _page().render(
        file=printable(found["file"]),
        blocks=list(_blocks(_printable(found), _ON_PAGE)),
        picture=base64.b64encode(picture).decode(),
        now=f"{now:%Y-%m-%d %H:%M} UTC",
    )


@cache
def _page() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What the page's policy calls its own style.
    environment.filters["csp"] = lambda style: (
        "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    )
    return environment.get_template("page.html")


@dataclass
class _Line:
    """A line of a block, with the state that it tells and the steps that it refers to."""

    text: str
    state: str = ""
    steps: Sequence[int] = ()


@dataclass
class _Block:
    """What stands together; on a page, the lines of jobs and their details are folded."""

    title: str
    lines: list[_Line]
    state: str = ""
    step: int = 0
    jobs: list[_Line] = field(default_factory=list)
    details: list[str] = field(default_factory=list)


def _blocks(found: dict[str, Any], most: int) -> Iterator[_Block]:
    """Yield a trace, made printable, as blocks with no more than so many rows, jobs and files."""
    files: dict[str, dict[str, Any]] = found["files"]
    stages: dict[str, dict[str, dict[str, Any]]] = {}
    steps: dict[str, int] = {}
    made: dict[str, list[str]] = {}
    for key, job in found["jobs"].items():
        stages.setdefault(job["stage"], {})[key] = job
        steps[key] = list(stages).index(job["stage"]) + 1
    for key, file in files.items():
        made.setdefault(file["job"], []).append(key)
    if rows := found["rows"]:
        asked = ", ".join(f"{name}={value}" for name, value in rows["conditions"].items())
        title = f"{found['file']}: {len(rows['chosen'])} of {rows['total']} rows have {asked}"
        lines = _first([_Line(_facts(row)) for row in rows["chosen"]], most)
        yield _Block(title, lines + ([_Line(f"({rows['note']})")] if rows["note"] else []))
    yield _top(found)
    for number, (stage, jobs) in enumerate(stages.items(), 1):
        keys = {"made": [key for job in jobs for key in made.get(job, [])]}
        keys["from"] = [key for job in jobs.values() for key in job["inputs"]]
        lines = [line for word in keys for line in _groups(word, keys[word], files, steps)]
        yield _step(number, stage, jobs, lines, most, files)
    for key, facts in {**found["environments"], **found["machines"]}.items():
        kept = [files[name] for name in facts.pop("files", [])]
        lines = [_Line(f"{file['role']} {file['sha256'][:12]}", file["state"]) for file in kept]
        yield _Block(f"{key}: {_facts(facts)}", lines)
    other = [_Line(file["name"], file["state"]) for file in files.values()]
    if other := [line for line in other if line.state != RECORDED]:
        yield _Block("not as recorded", _first(other, most))


def _top(found: dict[str, Any]) -> _Block:
    """Return what is said of the traced file itself."""
    top = found["files"].get(found["root"])
    lines, state = [], top["state"] if top else ""
    if by := found["found"]:
        recorded = f"found by {by['by']} · recorded as {by['recorded as']}"
        lines, state = [_Line(recorded, by["bytes"])], ""
        lines += [_Line(f"recorded as well as {other}") for other in by["recorded as well as"]]
    if top:
        there = f", found {top['found']}" if top["found"] else ""
        lines.append(_Line(f"sha256 {top['sha256']}{there}"))
    counts = ", ".join(f"{number} {state}" for state, number in found["states"].items())
    study = f"the study {found['study']}; files it comes from, as found now: {counts}"
    return _Block(found["file"], [*lines, _Line(study)], state)


def _step(
    number: int,
    stage: str,
    jobs: Mapping[str, dict[str, Any]],
    lines: list[_Line],
    most: int,
    files: Mapping[str, Any],
) -> _Block:
    """Return the jobs of a stage: what they have in common, and a line for what each has alone."""
    facts = []
    for job in jobs.values():
        seeds = {f"{name}.seed": seed for name, seed in job["seeds"].items()}
        code = f"commit {job['commit'][:12]}" if job["commit"] else "no commit"
        changes = "with uncommitted changes" if job["uncommitted"] else ""
        source = [f"source {files[key]['sha256'][:12]}" for key in job["source"]]
        source += [files[key]["state"] for key in job["source"] if files[key]["state"] != RECORDED]
        where = (code, changes, *source, job["environment"], job["machine"])
        within = {"ran in": ", ".join(filter(None, where))}
        facts.append({**seeds, **job["parameters"], **job["conditions"], **within})
    names = dict.fromkeys(name for values in facts for name in values)
    alike = [n for n in names if all(values.get(n) == facts[0].get(n) for values in facts)]
    if shared := _facts({n: facts[0].get(n) for n in alike if n != "ran in"}):
        lines.append(_Line(f"with {shared}"))
    if "ran in" in alike:
        lines.append(_Line(f"in {facts[0]['ran in']}"))
    states = [
        "" if j["state"] == RECORDED else f"its record is {j['state']}" for j in jobs.values()
    ]
    if len(jobs) > 1:
        own = [_short({n: v for n, v in values.items() if n not in alike}) for values in facts]
        each = [
            _Line(" · ".join(filter(None, (_name(job), *_ran(job), _facts(values)))), state)
            for job, values, state in zip(jobs.values(), own, states, strict=True)
        ]
        title = f"{number}. {stage}: {len(jobs)} jobs"
        return _Block(title, lines, step=number, jobs=_first(each, most))
    (job,) = jobs.values()
    title = f"{number}. {stage} {_name(job)} · {', '.join(_ran(job))}"
    details = [
        f"record {job['record']}, line {job['line'] or 'none'} of the history",
        f"run {job['invocation']}",
        f"definition {job['definition'] or 'none: started by hand'}",
        " ".join(job["command"])[:4000],
    ]
    return _Block(title, lines, states[0], number, details=details)


def _groups(
    word: str, keys: Iterable[str], files: Mapping[str, Any], steps: Mapping[str, int]
) -> Iterator[_Line]:
    """Yield files, those of the same name in the folders of runs as one: runs/*/model.json."""
    parts = {key: Path(files[key]["name"]).parts for key in dict.fromkeys(keys)}
    beside = Counter(folders[:-1] for folders in parts.values())
    patterns: dict[str, list[dict[str, Any]]] = {}
    for key, (*folders, name) in parts.items():
        if len(folders) > 1:
            folders = [folders[0], *("*" for _ in folders[1:])]
        elif beside[tuple(folders)] > _APART:
            name = f"*{Path(name).suffix}"
        patterns.setdefault("/".join((*folders, name)), []).append(files[key])
    for pattern, group in patterns.items():
        states = Counter(file["state"] for file in group)
        text, state = pattern, ", ".join(f"{count} {state}" for state, count in states.items())
        if len(group) == 1:
            text, state = f"{group[0]['name']} {group[0]['sha256'][:12]}", group[0]["state"]
        outside = ", not of the study" if group[0]["role"] == "external" else ""
        numbers = sorted({steps[file["job"]] for file in group if file["job"]})
        yield _Line(f"{word} {text}{outside}", state, numbers if word == "from" else ())


def _first(lines: list[_Line], most: int) -> list[_Line]:
    more = len(lines) - most
    return lines[:most] + ([_Line(f"and {more} more (--json has all)")] if more > 0 else [])


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by the last part of their names, where that means nothing else."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        short = name.rpartition(".")[2]
        found[short if found.get(short, value) == value else name] = value
    return found


def _facts(values: Mapping[str, Any]) -> str:
    """Return named values as one line; those that say nothing are left out, long ones counted."""
    words = []
    for name, value in values.items():
        if value not in (None, [], {}, ""):
            text = _text(value)
            if len(text) > _LONGEST and isinstance(value, list | dict):
                text = f"{len(value)} entries"
            words.append(f"{name.removeprefix('run.')} {text}")
    return " · ".join(words)


def _text(value: Any) -> str:
    """Return a plain JSON value in the way people write it."""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _name(job: Mapping[str, Any]) -> str:
    return Path(job["record"]).stem


def _ran(job: Mapping[str, Any]) -> tuple[str, str]:
    """Return when a job started, to the minute, and how long it took."""
    took = "?" if job["seconds"] is None else f"{job['seconds']:.1f} s"
    return f"{str(job['started'])[:16].replace('T', ' ')} UTC", took


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False)
