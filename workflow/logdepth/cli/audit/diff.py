"""``logdepth audit diff``: what differs between two studies, runs or outputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from logdepth.audit.comparison import Comparison


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

    from logdepth.audit.comparison import compare, open_side

    comparison = compare(open_side(before), open_side(after))
    numbers = _numbers(comparison)
    if as_json:
        print(json.dumps(_as_json(comparison, numbers), indent=1))
    else:
        print("\n".join(_as_lines(comparison, numbers, limit)))


def _numbers(comparison: "Comparison") -> dict[str, Any]:
    """Return the deviations in tables that are not the same, or why there are none, by name."""
    from logdepth.audit.deviations import deviations

    found: dict[str, Any] = {}
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
            title = f"{name}: {Path(one.name).name}"
            try:
                if measured := deviations(*paths):
                    found[title] = measured
            except (OSError, ValueError) as error:
                found[title] = str(error).splitlines()[0]
    return found


def _as_lines(comparison: "Comparison", numbers: dict[str, Any], limit: int) -> list[str]:
    from logdepth.audit.report import printable

    pairs, equal = comparison.pairs, comparison.equal
    lines = [f"{len(pairs)} jobs on both sides; {len(equal)} of them wrote the same bytes"]
    for side in (comparison.before, comparison.after):
        only = comparison.only(side)
        if only:
            more = ", …" if len(only) > limit else ""
            lines.append(f"only in {side.path}: {printable(', '.join(only[:limit]))}{more}")
    lines.append(
        "what differs, the likeliest cause first:" if comparison.causes else "no difference"
    )
    by_kind: dict[str, list[str]] = {}
    for cause in comparison.causes:
        jobs = ", ".join(f"{n} {stage}" for stage, n in sorted(cause.jobs.items()))
        line = f"  {printable(str(cause.difference))}  ({jobs})"
        by_kind.setdefault(cause.difference.kind, []).append(line)
    for listed in by_kind.values():
        lines += listed[:limit]
        if len(listed) > limit:
            lines.append(f"  … and {len(listed) - limit} more of this kind (--limit)")
    if numbers:
        lines.append("in the numbers:")
    for name, found in numbers.items():
        lines.append(f"  {printable(name)}: {found if isinstance(found, str) else ''}".rstrip())
        for d in [] if isinstance(found, str) else found[:3]:
            errors = "" if d.errors is None else f", {d.errors:.3g} standard errors"
            what = "beyond 2 of them" if d.errors is not None else "other"
            lines.append(
                f"    {d.column}: {d.before:.6g} → {d.after:.6g} at {printable(d.where)}{errors}; "
                f"{d.beyond} of {d.rows} rows {what}"
            )
    return lines


def _as_json(comparison: "Comparison", numbers: dict[str, Any]) -> dict[str, Any]:
    import dataclasses

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
            name: found if isinstance(found, str) else [dataclasses.asdict(d) for d in found]
            for name, found in numbers.items()
        },
    }
