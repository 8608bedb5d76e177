"""A trace for people: its jobs as numbered steps, on a terminal and as a page of HTML.

Both are laid out by a template from the trace's JSON. Records are files from somebody else: each
text of theirs is made printable before, and escaped on the page, which runs no script at all.
"""

import base64
import hashlib
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from audit_trail.errors import printable
from audit_trail.tracing.trace import Trace

_WIDTH = 100
_LONGEST = 60
# Of jobs and of files: more of them stand in the JSON.
_ON_TERMINAL, _ON_PAGE = 30, 1000
_APART = 8


def as_text(trace: Trace) -> str:
    """Return a trace as lines for a terminal."""
    text = _render("terminal.txt", _view(trace.as_json(), _ON_TERMINAL))
    lines = [_wrapped(line) for line in text.splitlines() if line]
    # A line that is not indented starts something new.
    return "\n".join(line if line[0] == " " else f"\n{line}" for line in lines)[1:] + "\n"


def as_page(trace: Trace, now: datetime) -> str:
    """Return a trace as a page of HTML that needs neither network nor server.

    Args:
        trace: to show.
        now: when the files were looked at.
    """
    view = _view(trace.as_json(), _ON_PAGE)
    picture = base64.b64encode(trace.picture).decode()
    return _render("page.html", view | {"now": f"{now:%Y-%m-%d %H:%M} UTC", "picture": picture})


def page_names(files: Sequence[Path]) -> dict[Path, str]:
    """Return the name of a page for each file: its own, numbered where another had it before."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for file in dict.fromkeys(files):
        numbers = iter(range(2, len(files) + 2))
        name = file.stem
        # Some systems take upper and lower case for the same.
        while name.casefold() in taken:
            name = f"{file.stem}-{next(numbers)}"
        taken.add(name.casefold())
        names[file] = f"{name}.html"
    return names


def _render(template: str, view: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"csp": _csp, "aligned": _aligned, "facts": _facts}
    return environment.get_template(template).render(view)


def _view(found: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the JSON of a trace as templates want it, with no more than so many of a kind."""
    found = _printable(found)
    files, rows = found["files"], found["rows"]
    stages: dict[str, list[dict[str, Any]]] = {}
    for key, job in found["jobs"].items():
        stages.setdefault(job["stage"], []).append({"made": [], **job, "key": key})
    steps = {job["key"]: n for n, jobs in enumerate(stages.values(), 1) for job in jobs}
    by_key = {job["key"]: job for jobs in stages.values() for job in jobs}
    for key, file in files.items():
        if file["job"]:
            by_key[file["job"]]["made"].append(key)
    if rows is not None:
        rows["asked"] = ", ".join(f"{name}={value}" for name, value in rows["conditions"].items())
        rows["more"] = max(0, len(rows["chosen"]) - most)
        rows["chosen"] = rows["chosen"][:most]
    other = [file for file in files.values() if file["state"] != "as recorded"]
    return {
        **found,
        "top": files.get(found["root"]),
        "counts": ", ".join(f"{number} {state}" for state, number in found["states"].items()),
        "steps": [_step(jobs, files, steps, most) for jobs in stages.values()],
        "places": [
            {"title": key, "facts": _facts(facts), "files": [files[name] for name in kept]}
            for key, facts in {**found["environments"], **found["machines"]}.items()
            for kept in [facts.pop("files", [])]
        ],
        "other": other[:most],
        "others": max(0, len(other) - most),
    }


def _step(
    jobs: list[dict[str, Any]], files: Mapping[str, Any], steps: Mapping[str, int], most: int
) -> dict[str, Any]:
    """Return the jobs of a stage: what they have in common, and a table of what sets them apart."""
    seeds = [{f"seed of {name}": seed for name, seed in job["seeds"].items()} for job in jobs]
    facts = [
        {**own, **job["parameters"], **job["conditions"]}
        for own, job in zip(seeds, jobs, strict=True)
    ]
    names = list(dict.fromkeys(name for values in facts for name in values))
    apart = [n for n in names if any(values.get(n) != facts[0].get(n) for values in facts)]
    cells = {name: tuple(_text(values.get(name)) for values in facts) for name in apart}
    # What says the same by two names, as a seed and the setting it is from, stands there once.
    columns_of = {values: name for name, values in cells.items()}
    shown = [n for n in columns_of.values() if max(map(len, cells[n])) <= _LONGEST // 3]
    short = [name.rpartition(".")[2] for name in shown]
    columns = [s if short.count(s) == 1 else n for s, n in zip(short, shown, strict=True)]
    rows = [
        [_name(job), *(cells[name][i] for name in shown), *_ran(job), _states(job, files)]
        for i, job in enumerate(jobs[:most])
    ]
    single = jobs[0] if len(jobs) == 1 else None
    count = f"{jobs[0]['stage']}: {len(jobs)} jobs"
    return {
        "number": steps[jobs[0]["key"]],
        "title": f"{single['stage']} {_name(single)}" if single else count,
        "ran": "{} UTC, {}".format(*_ran(single)) if single else "",
        "single": single,
        "made": _groups([key for job in jobs for key in job["made"]], files, steps),
        "read": _groups([key for job in jobs for key in job["inputs"]], files, steps),
        "facts": _facts({name: facts[0].get(name) for name in names if name not in apart}),
        "within": _within(jobs, files),
        "columns": ["job", *columns, "started", "took", "files"],
        "rows": [] if single else rows,
        "more": max(0, len(jobs) - most),
    }


def _groups(
    keys: Iterable[str], files: Mapping[str, Any], steps: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return files, those of the same name in the folders of runs as one: runs/*/model.json."""
    parts = {key: Path(files[key]["name"]).parts for key in dict.fromkeys(keys)}
    beside = Counter(folders[:-1] for folders in parts.values())
    patterns: dict[str, list[str]] = {}
    for key, (*folders, name) in parts.items():
        if len(folders) > 1:
            folders = [folders[0], *("*" for _ in folders[1:])]
        elif beside[tuple(folders)] > _APART:
            name = f"*{Path(name).suffix}"
        patterns.setdefault("/".join((*folders, name)), []).append(key)
    found = []
    for pattern, members in patterns.items():
        there = [files[key] for key in members]
        states = [file["state"] for file in there]
        numbers = sorted({steps[file["job"]] for file in there if file["job"]})
        counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        single = len(members) == 1
        found.append(
            {
                "name": there[0]["name"] if single else pattern,
                "sha256": there[0]["sha256"] if single else "",
                "state": states[0] if single else counts,
                "steps": numbers,
                "outside": there[0]["role"] == "external",
            }
        )
    return found


def _within(jobs: Sequence[dict[str, Any]], files: Mapping[str, Any]) -> str:
    """Return in which code, environments and on which machines jobs ran."""
    code = {
        (f"commit {job['commit'][:12]}" if job["commit"] else "no commit")
        + (" with uncommitted changes" if job["uncommitted"] else "")
        for job in jobs
    }
    source = {
        f"source {files[key]['sha256'][:12]}"
        + ("" if files[key]["state"] == "as recorded" else f" {files[key]['state']}")
        for job in jobs
        for key in job["source"]
    }
    where = [{job[kind] for job in jobs} for kind in ("environment", "machine")]
    return ", ".join(
        ", ".join(sorted(found)) if len(found) < 4 else f"{len(found)} of {min(found)} and others"
        for found in (code, source, *where)
        if found
    )


def _states(job: dict[str, Any], files: Mapping[str, Any]) -> str:
    """Return the states of what a job made and of its record, if not all is as recorded."""
    states = {files[key]["state"]: None for key in job["made"]}
    if job["state"] != "as recorded":
        states[f"record {job['state']}"] = None
    return ", ".join(state for state in states if state != "as recorded") or "as recorded"


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
    return str(job["started"])[:16].replace("T", " "), took


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {printable(str(key)): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _csp(style: str) -> str:
    """Return what a page's policy calls its own style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of a table as lines, without columns that do not fit before the last three."""
    table = [list(row) for row in rows]
    while True:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        if sum(widths) + 2 * len(widths) + 4 <= _WIDTH or len(widths) < 5:
            break
        for row in table:
            del row[-4]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False)
