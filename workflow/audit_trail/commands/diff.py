"""``audit diff``: what differs between two studies, runs or outputs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diff")(diff)


def diff(
    before: Annotated[Path, typer.Argument(help="A study, results/<study>/runs/<run>, or a file.")],
    after: Annotated[Path, typer.Argument(help="Another of the same kind.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Lines to print of each kind.")] = 10,
) -> None:
    """Say what differs: the likeliest cause first, then the numbers."""
    from audit_trail import project
    from audit_trail.comparison import compare, open_side
    from audit_trail.errors import printable

    known = project.current()
    found = compare(open_side(before), open_side(after), known.keys, known.tolerance)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for line in _as_lines(found, limit):
            print(printable(line))


def _as_lines(found: dict[str, Any], limit: int) -> list[str]:
    sections = {
        "only in the first": found["only_before"],
        "only in the second": found["only_after"],
    }
    for cause in found["causes"]:
        jobs = ", ".join(f"{number} {stage}" for stage, number in sorted(cause["jobs"].items()))
        listed = sections.setdefault(f"different {cause['kind']}", [])
        listed.append(f"{cause['text'].removeprefix(cause['kind'] + ' ')}  ({jobs})")
    sections["different numbers"] = [f"{name}: {far}" for name, far in found["tables"].items()]
    jobs = "1 job" if len(found["both"]) == 1 else f"{len(found['both'])} jobs"
    lines = [f"{jobs} on both sides; {len(found['equal'])} of them wrote the same bytes"]
    for title, listed in sections.items():
        lines += [f"{title}:"] if listed else []
        lines += [f"  {line}" for line in listed[:limit]]
        if len(listed) > limit:
            lines.append(f"  … and {len(listed) - limit} more (--limit)")
    return lines if found["causes"] else [*lines, "no difference in what their records say"]
