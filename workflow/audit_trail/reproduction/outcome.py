"""How close an output that was made again comes to the recorded one."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from audit_trail.records import Record
from audit_trail.study import StudyFolder
from logdepth.files import sha256_of

if TYPE_CHECKING:
    from audit_trail.deviations import Deviation

# Below these a difference is what another machine may cause.
_CLOSE_ERRORS = 1.0
_CLOSE_SHARE = 1e-3


@dataclass(frozen=True)
class Outcome:
    """What became of one output.

    Attributes:
        name: of it.
        identical: whether its bytes are the recorded ones.
        close: whether it is at least nearly the same, as far as that can be measured.
        detail: how large the difference is; empty for none.
    """

    name: str
    identical: bool
    close: bool
    detail: str = ""


def outcomes(study: StudyFolder, record: Record, made: Path) -> list[Outcome]:
    """Compare every output of a job with the one that was made again in a folder.

    A PDF cannot be measured: it is taken to be as close as the PNG of the same name.
    """
    found = [
        Outcome(output.name, True, True)
        if sha256_of(made / output.name) == output.sha256
        else _measured(output.name, output.sha256, study.path(output.name), made / output.name)
        for output in record.outputs
    ]
    close = {outcome.name: outcome.close for outcome in found}
    return [
        replace(outcome, close=close.get(_picture(outcome.name), outcome.close))
        if outcome.name.endswith(".pdf")
        else outcome
        for outcome in found
    ]


def _picture(name: str) -> str:
    return f"{name.removesuffix('.pdf')}.png"


def _measured(name: str, sha256: str, before: Path, after: Path) -> Outcome:
    if not before.is_file() or sha256_of(before) != sha256:
        return Outcome(name, False, False, "other bytes; the recorded ones are not here to measure")
    measure = {".csv": _numbers, ".png": _pixels, ".safetensors": _weights}.get(before.suffix)
    if measure is None:
        told = "; the PNG tells how far it is" if before.suffix == ".pdf" else ""
        return Outcome(name, False, False, f"other bytes{told}")
    try:
        close, detail = measure(before, after)
    except (KeyError, TypeError, ValueError) as error:
        return Outcome(name, False, False, f"other bytes, which cannot be measured ({error})")
    return Outcome(name, False, close, detail)


def _numbers(before: Path, after: Path) -> tuple[bool, str]:
    from audit_trail.deviations import deviations, lone_rows

    if lone := max(lone_rows(before, after)):
        return False, f"{lone} rows are others by their text or whole numbers"
    found = deviations(before, after)
    if not found:
        return True, "the same numbers, written otherwise"
    far = [d for d in found if _is_far(d)]
    worst = (far or found)[0]
    size = f"{worst.relative:.3g} of the largest value"
    if worst.errors is not None:
        size = f"{worst.errors:.3g} standard errors"
    detail = f"{worst.column} {worst.before:.6g}, again {worst.after:.6g} at {worst.where}, {size}"
    return not far, detail


def _is_far(deviation: "Deviation") -> bool:
    if deviation.errors is None:
        return deviation.relative >= _CLOSE_SHARE
    return deviation.errors >= _CLOSE_ERRORS


def _pixels(before: Path, after: Path) -> tuple[bool, str]:
    import numpy as np
    from matplotlib.image import imread

    one, other = imread(before), imread(after)
    if one.shape != other.shape:
        return (
            False,
            f"{one.shape[1]}x{one.shape[0]} pixels, again {other.shape[1]}x{other.shape[0]}",
        )
    gap = np.abs(one - other).max(axis=-1)
    share = float((gap > 0).mean())
    if not share:
        return True, "the same pixels, other metadata"
    return share < _CLOSE_SHARE, f"{share:.3%} of the pixels differ, by up to {gap.max():.1%}"


def _weights(before: Path, after: Path) -> tuple[bool, str]:
    import numpy as np
    from safetensors.numpy import load_file

    one, other = load_file(before), load_file(after)
    if {n: t.shape for n, t in one.items()} != {n: t.shape for n, t in other.items()}:
        return False, "other tensors"
    gaps = {n: float(np.abs(t.astype(float) - other[n]).max(initial=0)) for n, t in one.items()}
    worst = max(gaps, key=lambda name: gaps[name])
    return gaps[worst] < 1e-4, f"{worst} differs by up to {gaps[worst]:.3g}"
