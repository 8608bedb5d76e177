"""What there is of a study, read from its folder alone, whether anybody works on it or not."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit_trail.study import StudyFolder, files_below, is_study, open_study
from logdepth import jobs
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.figures import KINDS
from logdepth.provenance.job import Job
from logdepth.resolved import ResolvedStudy, StudySummary, read_summary

if TYPE_CHECKING:
    import pandas as pd

# As training/progress.py writes it.
_LINE = re.compile(
    r"^\S+(?: and \d+ more)?: step (\d+)/(\d+), loss (\S+), error (\S+) %, (\S+) steps/s, ",
    re.M,
)
_TAIL = 4096
_CHECKPOINT = re.compile(r"checkpoints/([^/]+)/step-\d{9}(?:-[0-9a-f]{16})?\.pt")
_HALF = re.compile(r"(?:.*/)?\.[^/]+\.part")


@dataclass(frozen=True)
class Training:
    """How far a training is, by the last line of its log; ``error`` is a share."""

    step: int
    steps: int
    loss: float
    error: float
    steps_per_second: float

    def __str__(self) -> str:
        rest = f"{self.steps_per_second:.1f} steps/s, {self.seconds_left:.0f} s left"
        error = f"error {100 * self.error:.1f} %"
        return f"step {self.step}/{self.steps}, loss {self.loss:.4f}, {error}, {rest}"

    @property
    def seconds_left(self) -> float:
        """How long it goes on at the same speed."""
        return (self.steps - self.step) / max(self.steps_per_second, 1e-9)


def training_of(folder: Path, run: str) -> Training | None:
    """Return how far the training of a run is, or was when it ended; None of one without a line."""
    try:
        with Path(folder, "logs/train", f"{run}.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            lines = _LINE.findall(file.read().decode("utf-8", "replace"))
    except OSError:
        return None
    if not lines:
        return None
    step, steps, loss, error, rate = lines[-1]
    return Training(int(step), int(steps), float(loss), float(error) / 100, float(rate))


def opened(folder: Path) -> StudyFolder:
    """Return a study with its records; none are there yet of one that was only planned."""
    return open_study(folder) if is_study(folder) else StudyFolder(folder)


def state_of(study: StudyFolder, name: str, job: Job | None) -> str:
    """Return how a job stands: "finished", "stale" or "missing".

    Args:
        study: its folder.
        name: of the job, such as "train/<run>".
        job: as it is declared now; None of one whose definition nobody knows, such as an import.
    """
    record = study.records.get(f"provenance/{name}.json")
    there = record is not None and all(
        study.path(output.name).exists() or output.name in study.history.withheld
        for output in record.outputs
    )
    if record is None or not there:
        return "missing"
    image = record.image.sha256 if record.image else None
    return "finished" if job is None or record.definition == job.definition(image) else "stale"


def wanted(study: ResolvedStudy) -> dict[str, Job]:
    """Return the jobs that a study is complete with, of all that it may have."""
    looked_into = set()
    for figure in study.figures.values():
        if KINDS[figure.draws].options:
            run = study.model_of(figure)
            names = {"attention": f"attention/{run}-k{figure.k}"}
            looked_into |= {names.get(t, f"{t}/{run}") for t in KINDS[figure.draws].tables}
    unless = {
        "compare": study.draws("comparison"),
        "depths": study.draws("solved_depths"),
        "lengths": study.draws("lengths"),
        "curves": bool(study.trained),
    }
    optional = ("alignment", "attention", "ablation")
    return {
        name: job
        for name, job in jobs.jobs_of(study).items()
        if unless.get(stage := name.partition("/")[0], True)
        and (stage not in optional or name in looked_into)
    }


def summary_of(folder: Path) -> StudySummary:
    """Return the study that the workflow last wrote into a folder, or that was published with it.

    Raises:
        UserError: neither is there.
    """
    kept = sorted(folder.glob("provenance/studies/*.json"), key=lambda path: path.stat().st_mtime)
    path = folder / "study.json"
    return read_summary(kept[-1] if kept and not path.is_file() else path)


def runs_of(summary: StudySummary) -> Iterator[tuple[str, Run]]:
    """Yield the runs of a study, each with the name of its experiment, or of its trial."""
    for experiment, runs in summary.experiments.items():
        yield from ((experiment, run) for run in runs)
    for experiment, tried in summary.trials.items():
        for trial, runs in tried.items():
            yield from ((f"{experiment}: {trial}", run) for run in runs)


def run_row(study: StudyFolder, run: Run) -> dict[str, Any]:
    """Return state, progress, metrics and settings of a run.

    Of a training that is not finished loss and error are those of its last interval; else the loss
    is the mean of its last hundredth, and the error that of its evaluation, over all k. ``solved``
    is the largest k below 10 % with all before it.
    """
    name = run.identifier
    training = training_of(study.folder, name)
    if run.origin == "released":
        state = state_of(study, f"import/{name}", None)
    elif run.training.is_trained:
        state = state_of(study, f"train/{name}", jobs.train(run))
        begun = training is not None and training.step < training.steps
        if state == "missing" and (begun or any(study.path(f"checkpoints/{name}").glob("*.pt"))):
            state = "training"
    else:
        state = state_of(study, f"compile/{name}", jobs.compile_(run))
    row: dict[str, Any] = {"run": name, "state": state, "step": None, "loss": None}
    row |= {"error": None, "solved": None}
    if state == "training" and training:
        row |= {"step": training.step, "loss": training.loss, "error": training.error}
    elif state in ("finished", "stale"):
        row |= _metrics(study.folder / "runs" / name)
    return row | {"seed": run.seed} | _flat(run.content)


def _metrics(folder: Path) -> dict[str, Any]:
    import pandas as pd

    found: dict[str, Any] = {}
    if (steps := folder / "steps.csv").is_file():
        losses = pd.read_csv(steps, usecols=["loss"])["loss"]
        found |= {"step": len(losses), "loss": losses.tail(max(1, len(losses) // 100)).mean()}
    if (evaluation := folder / "evaluation.csv").is_file():
        found |= _errors(pd.read_csv(evaluation))
    return found


def _errors(counts: "pd.DataFrame") -> dict[str, Any]:
    from logdepth.fitting.thresholds import largest_solved

    if not {"mode", "k", "wrong", "symbols"} <= set(counts) or counts["k"].max() < 1:
        return {}  # of an earlier form, or without anything to solve
    sums = counts[counts["mode"] == counts["mode"].iloc[0]].groupby("k")[["wrong", "symbols"]].sum()
    errors = (sums["wrong"] / sums["symbols"]).loc[1:]
    solved = largest_solved(errors.index.to_numpy(), errors.to_numpy(), 0.1).largest
    return {"error": sums["wrong"].sum() / sums["symbols"].sum(), "solved": solved}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif prefix:
            found[prefix + name] = value
    return found


def seconds_left(folder: Path, summary: StudySummary, workers: int) -> float | None:
    """Return about how long the trainings that are left take; None while no log says how fast.

    What a training costs is counted, as for plans; how fast this goes is what the logs say of all
    that have begun.

    Args:
        folder: of the study.
        summary: its runs.
        workers: trainings at once.
    """
    from logdepth.planning.cost import costs_of, shape_of
    from logdepth.planning.makespan import makespan

    runs = {run.identifier: run for _, run in runs_of(summary) if run.training.is_trained}
    runs = {name: run for name, run in runs.items() if run.origin == "trained"}
    begun = {name: found for name in runs if (found := training_of(folder, name))}
    costs = costs_of(runs.values(), folder / "costs.json")

    def flops(run: Run) -> float:
        return costs[shape_of(run)].step_flops * run.training.full_steps(run.model.depth)

    seconds = sum(found.steps / max(found.steps_per_second, 1e-9) for found in begun.values())
    work = sum(flops(runs[name]) for name in begun)
    if not work:
        return None
    left = [
        begun[name].seconds_left if name in begun else seconds / work * flops(run)
        for name, run in runs.items()
        if not (folder / "runs" / name / "model.safetensors").exists()
    ]
    return makespan(left, workers)


def studies_in(results: Path, named: list[str]) -> list[Path]:
    """Return the folders of the named studies, or of all that there are.

    Raises:
        UserError: one is not there, or none at all.
    """
    written = [*results.glob("*/study.json"), *results.glob("*/provenance/studies/*.json")]
    names = sorted({path.relative_to(results).parts[0] for path in written})
    if not names:
        raise UserError(f"{results}: no study; expected one that was started, as by make")
    there = ", ".join(names)
    if unknown := [name for name in named if name not in names]:
        raise UserError(f"--study {unknown[0]}: not in {results}; expected one of {there}")
    return [results / name for name in named or names]


@dataclass(frozen=True)
class Unwanted:
    """A file that no study refers to: its name in its study, why, and its sha256 if recorded."""

    name: str
    why: str
    sha256: str | None = None


def unwanted(study: StudyFolder, resolved: ResolvedStudy) -> Iterator[Unwanted]:
    """Yield what is left of jobs that a study has no more, of trainings and of killed writers.

    That are recorded outputs that are as they were written, their logs and times, checkpoints of
    what is finished or not to be trained, and half-written files. Records stay, for the history
    names them, and so does what anybody else put there.
    """
    known = jobs.jobs_of(resolved)
    gone = {
        name: record
        for name, record in study.records.items()
        if record.title not in known and record.stage != "import"
    }
    kept = (record for name, record in study.records.items() if name not in gone)
    needed = {output.name for record in kept for output in record.outputs}
    there = {name for name, kind in files_below(study.folder) if kind == "file"}
    for record in gone.values():
        for output in record.outputs:
            same = output.name in there and not study.compared(output.name, output.sha256)[0]
            if same and output.name not in needed:
                yield Unwanted(output.name, f"no job {record.title} any more", output.sha256)
        for name in (f"logs/{record.title}.log", f"benchmarks/{record.title}.tsv"):
            if name in there:
                yield Unwanted(name, f"no job {record.title} any more")
    for name in sorted(there):
        if checkpoint := _CHECKPOINT.fullmatch(name):
            job = known.get(title := f"train/{checkpoint[1]}")
            if job is None or state_of(study, title, job) == "finished":
                yield Unwanted(name, f"nothing left to train of {checkpoint[1]}")
        elif _HALF.fullmatch(name):
            yield Unwanted(name, "half-written by a process that was killed")
