"""``logdepth audit diff``: what differs between two studies, runs or outputs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audit_trail.comparison import Cause, Comparison
    from audit_trail.deviations import Deviation


@dataclass
class Numbers:
    """How far two versions of a table are apart.

    Attributes:
        note: what is to be said of the whole table; empty for nothing.
        deviations: by column.
    """

    note: str = ""
    deviations: list["Deviation"] = field(default_factory=list)


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
    import json

    from audit_trail.comparison import compare, open_side

    comparison = compare(open_side(before), open_side(after))
    numbers = _numbers(comparison)
    if as_json:
        print(json.dumps(_as_json(comparison, numbers), indent=1))
    else:
        print("\n".join(_as_lines(comparison, numbers, limit)))


def _numbers(comparison: "Comparison") -> dict[str, "Numbers"]:
    """Return how far the tables that are not the same are apart, by name."""
    from audit_trail.deviations import deviations, lone_rows

    found: dict[str, Numbers] = {}
    for name, pair in comparison.pairs.items():
        for one, other in zip(pair[0].outputs, pair[1].outputs, strict=False):
            if not one.name.endswith(".csv") or one.sha256 == other.sha256:
                continue
            if pair[0].stage in ("train", "figure", "curves"):
                continue
            paths = (
                comparison.before.study.path(one.name),
                comparison.after.study.path(other.name),
            )
            numbers = found[f"{name}: {Path(one.name).name}"] = Numbers()
            try:
                gone, new = lone_rows(*paths)
                if gone or new:
                    numbers.note = f"{gone} rows only in the first, {new} only in the second"
                found_here = deviations(*paths)
                middles = [d for d in found_here if not d.column.endswith(("_low", "_high"))]
                numbers.deviations = middles or found_here
            except (OSError, ValueError) as error:
                numbers.note = str(error).splitlines()[0]
    return {name: numbers for name, numbers in found.items() if numbers.note or numbers.deviations}


def _as_lines(comparison: "Comparison", numbers: dict[str, "Numbers"], limit: int) -> list[str]:
    from audit_trail.report import printable

    pairs, equal = comparison.pairs, comparison.equal
    jobs = "1 job" if len(pairs) == 1 else f"{len(pairs)} jobs"
    lines = [f"{jobs} on both sides; {len(equal)} of them wrote the same bytes"]
    for side in (comparison.before, comparison.after):
        only = comparison.only(side)
        if only:
            more = ", …" if len(only) > limit else ""
            lines.append(f"only in {side.path}: {printable(', '.join(only[:limit]))}{more}")
    lines.append(
        "what differs, the likeliest cause first:" if comparison.causes else "no difference"
    )
    by_kind: dict[str, list[str]] = {}
    for kind, what, jobs in _grouped(comparison.causes, limit):
        by_kind.setdefault(kind, []).append(f"  {printable(what)}  ({jobs})")
    for listed in by_kind.values():
        lines += listed[:limit]
        if len(listed) > limit:
            lines.append(f"  … and {len(listed) - limit} more of this kind (--limit)")
    if numbers:
        lines.append("in the numbers:")
    for name, found in numbers.items():
        lines.append(f"  {printable(name)}: {printable(found.note)}".rstrip())
        for d in found.deviations[:3]:
            errors = "" if d.errors is None else f", {d.errors:.3g} standard errors"
            what = "beyond 2 of them" if d.errors is not None else "other"
            lines.append(
                f"    {d.column}: {d.before:.6g} → {d.after:.6g} at {printable(d.where)}{errors}; "
                f"{d.beyond} of {d.rows} rows {what}"
            )
    return lines


def _grouped(causes: list["Cause"], limit: int) -> Iterator[tuple[str, str, str]]:
    """Yield kind, what differs and in which jobs; modules that the same jobs ran as one."""
    modules: dict[str, list[str]] = {}
    for cause in causes:
        if cause.difference.kind == "code":
            modules.setdefault(_jobs(cause), []).append(cause.difference.name)
    for cause in causes:
        jobs = _jobs(cause)
        if cause.difference.kind != "code" or len(modules[jobs]) == 1:
            yield cause.difference.kind, str(cause.difference), jobs
        elif cause.difference.name == modules[jobs][0]:
            names = modules[jobs]
            more = f" and {len(names) - limit} more" if len(names) > limit else ""
            yield "code", f"code {', '.join(names[:limit])}{more}", jobs


def _jobs(cause: "Cause") -> str:
    return ", ".join(f"{number} {stage}" for stage, number in sorted(cause.jobs.items()))


def _as_json(comparison: "Comparison", numbers: dict[str, "Numbers"]) -> dict[str, Any]:
    import dataclasses

    from audit_trail.deviations import plain

    return {
        "jobs": len(comparison.pairs),
        "same_bytes": comparison.equal,
        "only_before": comparison.only(comparison.before),
        "only_after": comparison.only(comparison.after),
        "causes": [
            dataclasses.asdict(cause.difference) | {"jobs": dict(cause.jobs)}
            for cause in comparison.causes
        ],
        "numbers": {
            name: {"note": found.note, "deviations": [plain(d) for d in found.deviations]}
            for name, found in numbers.items()
        },
    }
