"""A trace for people: its jobs as numbered steps, on a terminal and as a page of HTML.

Both show the same lines, made from the trace's JSON. Records are files from somebody else: each
text of theirs is made printable before, and escaped on the page, which runs no script.
"""

import base64
import hashlib
import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from audit_trail.errors import printable
from audit_trail.tracing.lineage import RECORDED

_WIDTH = 100
_LONGEST = 60
# Of jobs and of files: more of them stand in the JSON.
_ON_TERMINAL, _ON_PAGE = 30, 1000
_APART = 8
_STYLE = """:root { color-scheme: light dark; }
body { margin: 2rem auto; max-width: 70rem; font: 15px/1.5 system-ui, sans-serif; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; background: #fff; }
b { color: #b07a00; } .as-recorded { color: #2b8a55; font-weight: 400; }
.missing, .modified { color: #d0293f; }"""
_PAGE = Environment(autoescape=True).from_string("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'sha256-{{ policy }}'; base-uri 'none'; form-action 'none'">
<title>Trace of {{ file }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<h1>{{ file }}</h1>
<p>Where it comes from, as the records of its study tell: each step is a job or the jobs of a stage,
the nearest first. Files are as found on {{ now }} UTC. <i>audit verify</i> checks the
records themselves, <i>audit trace --json</i> has all that they say.</p>
{% if picture %}<img alt="" src="data:image/png;base64,{{ picture }}">{% endif %}
{% for block in blocks %}
<pre{% if block.step %} id="step-{{ block.step }}"{% endif %}>
{%- for line in block.lines %}{{ "" if loop.first else "\n   " }}{{ line.text }}
{%- if line.state %} · <b class="{{ line.state | replace(' ', '-') }}">{{ line.state }}</b>
{%- endif %}{% for step in line.steps %} · <a href="#step-{{ step }}">step {{ step }}</a>
{%- endfor %}{% endfor %}</pre>
{%- if block.details %}
<details><summary>its record and command</summary><pre>{{ block.details }}</pre></details>
{%- endif %}
{%- endfor %}
</body>
</html>
""")


class _Line(NamedTuple):
    """A line, with the state that it tells and the steps that it refers to."""

    text: str
    state: str = ""
    steps: Sequence[int] = ()


class _Block(NamedTuple):
    """Lines that stand together, the title first; details are for the page alone, folded."""

    lines: Sequence[_Line]
    step: int = 0  # the number of it, if it is one
    details: str = ""


def as_text(found: dict[str, Any]) -> str:
    """Return a trace as lines for a terminal."""
    lines: list[str] = []
    for block in _blocks(_printable(found), _ON_TERMINAL):
        for number, (text, state, steps) in enumerate(block.lines):
            named = [f"step {', '.join(map(str, steps))}"] if steps else []
            line = " · ".join(filter(None, (text, state, *named)))
            lines += [f"   {line}"] if number else ["", line]
    return "\n".join(map(_wrapped, lines[1:])) + "\n"


def as_page(found: dict[str, Any], picture: bytes, now: datetime) -> str:
    """Return a trace, as of now, as a page of HTML that needs neither network nor server.

    The picture is its figure as PNG, or empty.
    """
    return _PAGE.render(
        policy=base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode(),
        style=_STYLE,
        file=printable(found["file"]),
        now=f"{now:%Y-%m-%d %H:%M}",
        picture=base64.b64encode(picture).decode(),
        blocks=_blocks(_printable(found), _ON_PAGE),
    )


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
        note = [_Line(f"({rows['note']})")] if rows["note"] else []
        yield _Block([_Line(title), *lines, *note])
    yield _Block([*_top(found)])
    for number, (stage, jobs) in enumerate(stages.items(), 1):
        lines = [*_groups("made", [key for job in jobs for key in made.get(job, [])], files, {})]
        keys = [key for job in jobs.values() for key in job["inputs"]]
        lines += _groups("from", keys, files, steps)
        step = _step(f"{number}. {stage}", [*jobs.values()], lines, most, files)
        yield _Block(step, number, _details(*jobs.values()) if len(jobs) == 1 else "")
    for key, facts in {**found["environments"], **found["machines"]}.items():
        kept = [files[name] for name in facts.pop("files", [])]
        lines = [_Line(f"{file['role']} {file['sha256'][:12]}", file["state"]) for file in kept]
        yield _Block([_Line(f"{key}: {_facts(facts)}"), *lines])
    other = [_Line(file["name"], file["state"]) for file in files.values()]
    if other := [line for line in other if line.state != RECORDED]:
        yield _Block([_Line("not as recorded"), *_first(other, most)])


def _top(found: dict[str, Any]) -> Iterator[_Line]:
    """Yield what is said of the traced file itself."""
    top, by = found["files"].get(found["root"]), found["found"]
    yield _Line(found["file"], top["state"] if top and not by else "")
    if by:
        yield _Line(f"found by {by['by']} · recorded as {by['recorded as']}", by["bytes"])
    if top:
        there = f", found {top['found']}" if top["found"] else ""
        yield _Line(f"sha256 {top['sha256']}{there}")
    counts = ", ".join(f"{number} {state}" for state, number in found["states"].items())
    yield _Line(f"the study {found['study']}; files it comes from, as found now: {counts}")


def _step(
    title: str,
    jobs: Sequence[dict[str, Any]],
    lines: list[_Line],
    most: int,
    files: Mapping[str, Any],
) -> list[_Line]:
    """Return the jobs of a stage: what they have in common, and a line for what each has alone."""
    facts = []
    for job in jobs:
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
    each = []
    for job, values in zip(jobs, facts, strict=True):
        took = "?" if job["seconds"] is None else f"{job['seconds']:.1f} s"
        ran = f"{str(job['started'])[:16].replace('T', ' ')} UTC, {took}"
        own = _facts({name: v for name, v in values.items() if name not in alike})
        state = "" if job["state"] == RECORDED else f"its record is {job['state']}"
        each.append(_Line(" · ".join(filter(None, (Path(job["record"]).stem, ran, own))), state))
    if len(jobs) > 1:
        return [_Line(f"{title}: {len(jobs)} jobs"), *lines, *_first(each, most)]
    return [_Line(f"{title} {each[0].text}", each[0].state), *lines]


def _details(job: Mapping[str, Any]) -> str:
    said = [f"record {job['record']}, line {job['line'] or 'none'} of the history"]
    said += [f"run {job['invocation']}", f"definition {job['definition'] or 'none: by hand'}"]
    return "\n".join([*said, " ".join(job["command"])[:4000]])


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
        numbers = sorted({steps[file["job"]] for file in group if file["job"] in steps})
        yield _Line(f"{word} {text}{outside}", state, numbers)


def _first(lines: list[_Line], most: int) -> list[_Line]:
    more = len(lines) - most
    return lines[:most] + ([_Line(f"and {more} more (--json has all)")] if more > 0 else [])


def _facts(values: Mapping[str, Any]) -> str:
    """Return named values as one line; those that say nothing are left out, long ones counted."""
    words = []
    for name, value in values.items():
        if value not in (None, [], {}, ""):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            if len(text) > _LONGEST and isinstance(value, list | dict):
                text = f"{len(value)} entries"
            words.append(f"{name.removeprefix('run.')} {text}")
    return " · ".join(words)


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False)
