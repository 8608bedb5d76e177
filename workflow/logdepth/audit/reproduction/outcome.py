"""How close an output that was made again comes to the recorded one."""

from dataclasses import dataclass
from pathlib import Path

from logdepth.audit.records import Record
from logdepth.audit.study import StudyFolder
from logdepth.files import sha256_of

# Below these a difference is what another machine may cause.
_CLOSE_ERRORS = 1.0
_CLOSE_PIXELS = 1e-3


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
    """Compare every output of a job with the one that was made again in a folder."""
    return [
        Outcome(output.name, True, True)
        if sha256_of(made / output.name) == output.sha256
        else _measured(output.name, output.sha256, study.path(output.name), made / output.name)
        for output in record.outputs
    ]


def _measured(name: str, sha256: str, before: Path, after: Path) -> Outcome:
    if not before.is_file() or sha256_of(before) != sha256:
        return Outcome(name, False, False, "other bytes; the recorded ones are not here to measure")
    measure = {".csv": _numbers, ".png": _pixels, ".safetensors": _weights}.get(before.suffix)
    if measure is None:
        return Outcome(name, False, True, "other bytes")
    close, detail = measure(before, after)
    return Outcome(name, False, close, detail)


def _numbers(before: Path, after: Path) -> tuple[bool, str]:
    from logdepth.audit.deviations import deviations

    try:
        found = deviations(before, after)
    except ValueError as error:
        return False, str(error)
    if not found:
        return True, "the same numbers, written otherwise"
    worst = found[0]
    errors = "" if worst.errors is None else f", {worst.errors:.3g} standard errors"
    detail = f"{worst.column} {worst.before:.6g}, again {worst.after:.6g} at {worst.where}{errors}"
    known = [d for d in found if d.errors is not None]
    relative = [abs(d.before - d.after) / max(abs(d.before), 1e-9) for d in found]
    close = all(d.errors < _CLOSE_ERRORS for d in known if d.errors is not None)
    return close and (bool(known) or max(relative) < 1e-3), detail


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
    return share < _CLOSE_PIXELS, f"{share:.3%} of the pixels differ, by up to {gap.max():.1%}"


def _weights(before: Path, after: Path) -> tuple[bool, str]:
    import numpy as np
    from safetensors.numpy import load_file

    one, other = load_file(before), load_file(after)
    if {n: t.shape for n, t in one.items()} != {n: t.shape for n, t in other.items()}:
        return False, "other tensors"
    gaps = {n: float(np.abs(t.astype(float) - other[n]).max(initial=0)) for n, t in one.items()}
    worst = max(gaps, key=lambda name: gaps[name])
    return gaps[worst] < 1e-4, f"{worst} differs by up to {gaps[worst]:.3g}"
