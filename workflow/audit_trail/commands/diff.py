"""``audit diff``: what differs between two studies, runs or outputs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

# Lines of each kind.
_SHOWN = 10


def diff(
    before: Annotated[Path, typer.Argument(help="A study, results/<study>/runs/<run>, or a file.")],
    after: Annotated[Path, typer.Argument(help="Another of the same kind.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what differs: the likeliest cause first, then the numbers."""
    from audit_trail.differences import compare, open_side
    from audit_trail.errors import printable
    from audit_trail.project import current

    project = current()
    found = compare(open_side(before), open_side(after), project.keys, project.tolerance)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(map(printable, _as_lines(found))))


def _as_lines(found: dict[str, Any]) -> list[str]:
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
        lines += [f"  {line}" for line in listed[:_SHOWN]]
        if len(listed) > _SHOWN:
            lines.append(f"  … and {len(listed) - _SHOWN} more (--json has all)")
    return lines if found["causes"] else [*lines, "no difference in what their records say"]
