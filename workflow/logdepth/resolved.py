"""A study with everything decided: its runs, and which experiment each belongs to.

The workflow writes it to results/<study>/study.json; commands about many runs read it there, so
that no command line grows with the study.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from logdepth.canonical import canonical_json, digest
from logdepth.config.figures import FigureSpec
from logdepth.config.imported import imported_runs
from logdepth.config.run import Run, longer
from logdepth.config.study import Study
from logdepth.errors import ConfigError, UserError
from logdepth.figures import KINDS
from logdepth.files import write_text
from logdepth.models.base import Model
from logdepth.settings import mistakes
from logdepth.tasks.base import Task

# Tables that any study has, or may have; all others are the theory's.
RESULTS = (
    *("errors", "errors_by_run", "thresholds", "scaling", "training", "comparison"),
    *("alignment", "attention", "ablation", "solved_depths", "lengths"),
)


@dataclass(frozen=True)
class Trials:
    """What one experiment is chosen from: the runs of each trial; ``sequences`` for each k."""

    task: Task
    sequences: int
    runs: dict[str, list[Run]]

    @property
    def by_name(self) -> dict[str, Run]:
        """Every run once, by its identifier."""
        return {run.identifier: run for runs in self.runs.values() for run in runs}

    @property
    def data_name(self) -> str:
        """Name of the set that the trials are measured on."""
        return f"{data_name(self.task)}-selection{self.sequences}"


@dataclass(frozen=True)
class ResolvedStudy:
    """A study with the settings that were chosen, and its runs; imported ones by experiment."""

    study: Study
    imported: dict[str, list[Run]] = field(default_factory=dict)
    trials: dict[str, Trials] = field(default_factory=dict)

    @cached_property
    def trained(self) -> dict[str, Run]:
        """Every run to train, by its identifier."""
        return self.study.trained_runs()

    @cached_property
    def trial_runs(self) -> dict[str, Run]:
        """Every run of a trial, by its identifier."""
        return {name: run for tried in self.trials.values() for name, run in tried.by_name.items()}

    @property
    def undecided(self) -> list[str]:
        """Experiments whose settings are still to be chosen."""
        return [name for name in self.trials if name not in self.study.experiments]

    @cached_property
    def compiled(self) -> dict[str, Run]:
        """Every run to compile, by its identifier."""
        return self.study.compiled_runs()

    @cached_property
    def runs(self) -> dict[str, Run]:
        """Every run, trained, compiled or imported, by its identifier."""
        imported = {run.identifier: run for runs in self.imported.values() for run in runs}
        return self.trained | self.compiled | imported

    @cached_property
    def experiments(self) -> dict[str, list[str]]:
        """Experiments with a run, and the identifiers of their runs by depth and seed."""
        return identifiers(self.summary.experiments)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks, by the name of their frozen set: that of the task, and a hash."""
        return {data_name(run.task): run.task for run in self.runs.values()}

    def model_of(self, figure: FigureSpec) -> str | None:
        """Return the run that a figure of one model looks into; None while it was not imported."""
        for variant in self.study.variants_of(figure.experiments[0]):
            for run in self.experiments.get(variant, []):
                if self.runs[run].model.depth == figure.depth:
                    return run
        return None

    @cached_property
    def figures(self) -> dict[str, FigureSpec]:
        """The figures that the study has runs for, with the variants of their experiments.

        Of imported models some may be absent.
        """
        found = {}
        for name, figure in self.study.figures.items():
            if self._has_runs_of(figure):
                variants = [v for e in figure.experiments for v in self.study.variants_of(e)]
                found[name] = figure.model_copy(update={"experiments": tuple(variants)})
        return found

    def draws(self, table: str) -> bool:
        """Return whether a figure is drawn from a table."""
        return any(table in KINDS[figure.draws].tables for figure in self.study.figures.values())

    def _has_runs_of(self, figure: FigureSpec) -> bool:
        kind = KINDS[figure.draws]
        if kind.options:
            return self.model_of(figure) is not None
        if "training" in kind.tables and not self.trained:
            return False
        return all(
            any(variant in self.experiments for variant in self.study.variants_of(name))
            for name in figure.experiments
        )

    @cached_property
    def summary(self) -> "StudySummary":
        """What commands about many runs need of it."""
        variants = self.study.variants
        runs = {name: self.imported.get(name) or self.study.runs(name) for name in variants}
        return StudySummary(
            self.study.study,
            {name: variant.title for name, variant in variants.items()},
            tuple(name for name, variant in variants.items() if variant.is_compiled),
            {name: some for name, some in runs.items() if some},
            {name: tried.runs for name, tried in self.trials.items()},
        )


@dataclass(frozen=True)
class StudySummary:
    """What study.json holds.

    Attributes:
        study: its name.
        titles: of all experiments, also of those that have no run yet.
        compiled: names of the experiments whose models are written down.
        experiments: the runs of each experiment that has any, by depth and seed.
        trials: the runs of each trial, by experiment that selects.
    """

    study: str
    titles: dict[str, str]
    compiled: tuple[str, ...]
    experiments: dict[str, list[Run]]
    trials: dict[str, dict[str, list[Run]]] = field(default_factory=dict)

    @property
    def trained(self) -> dict[str, list[Run]]:
        """The experiments whose runs are trained."""
        return {
            name: runs
            for name, runs in self.experiments.items()
            if all(run.training.is_trained and run.origin == "trained" for run in runs)
        }

    @property
    def runs(self) -> dict[str, Run]:
        """Every run once, by its identifier."""
        return {run.identifier: run for runs in self.experiments.values() for run in runs}

    def write(self, path: Path) -> None:
        """Write it, unless it is there already."""
        # A list, for their order is that of figures and tables.
        experiments = [
            {
                "name": name,
                "title": title,
                "compiled": name in self.compiled,
                "runs": [run.content for run in self.experiments.get(name, [])],
            }
            for name, title in self.titles.items()
        ]
        trials = {
            experiment: {name: [run.content for run in runs] for name, runs in tried.items()}
            for experiment, tried in self.trials.items()
        }
        content = {"study": self.study, "experiments": experiments, "trials": trials}
        text = f"{canonical_json(content)}\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)


def read_summary(path: Path) -> StudySummary:
    """Read study.json.

    Raises:
        UserError: missing, or not what the workflow wrote.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {experiment["name"]: experiment for experiment in content["experiments"]}
        runs = {
            name: [Run.model_validate(run) for run in experiment["runs"]]
            for name, experiment in found.items()
        }
        return StudySummary(
            content["study"],
            {name: experiment["title"] for name, experiment in found.items()},
            tuple(name for name, experiment in found.items() if experiment["compiled"]),
            {name: some for name, some in runs.items() if some},
            {
                experiment: {
                    name: [Run.model_validate(run) for run in runs] for name, runs in tried.items()
                }
                for experiment, tried in content["trials"].items()
            },
        )
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; expected what the workflow wrote there") from error
    except ValidationError as error:
        raise UserError(f"{path}: {mistakes(error)[0]}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a study.json that the workflow wrote ({error!r})") from error


def resolve_in(study: Study, folder: Path) -> ResolvedStudy:
    """Return a study with what was imported into its folder, and chosen there.

    Raises:
        ConfigError: a figure asks for what there is not, or nothing was imported.
    """
    trials = {
        name: Trials(study.task_of(e), e.select.sequences, study.trial_runs(name))
        for name, e in study.experiments.items()
        if e.select
    }
    chosen = {
        name: choice
        for name, tried in trials.items()
        if (choice := read_choice(folder / "selection" / f"{name}.json", tried.runs))
    }
    resolve(study)  # its figures, whatever is chosen
    decided = study.decided(chosen)
    imported = imported_runs(decided, folder / "runs")
    return ResolvedStudy(decided, imported, trials)


def read_choice(path: Path, trials: Mapping[str, list[Run]]) -> str | None:
    """Return the trial that was chosen; None if none was, or among other trials."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["trials"] == identifiers(trials) and content["chosen"] in trials
        return str(content["chosen"]) if known else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def resolve(study: Study) -> ResolvedStudy:
    """Return a study with its runs, after checking its figures.

    Raises:
        ConfigError: a figure asks for what there is not.
    """
    for name, figure in study.figures.items():
        if mistake := _mistake(study, figure):
            raise ConfigError(f"figures.{name}{mistake}")
    return ResolvedStudy(study)


def _mistake(study: Study, figure: FigureSpec) -> str:
    """Return what is wrong with a figure, or nothing."""
    if figure.draws not in KINDS:
        return f".draws: no kind of figure '{figure.draws}'; expected one of {', '.join(KINDS)}"
    kind = KINDS[figure.draws]
    for key in ("depth", "k", "heads"):
        given = getattr(figure, key) is not None
        if key in kind.options and not given and key != "heads":
            return f".{key}: a figure that draws {figure.draws} needs it"
        if given and key not in kind.options:
            return f".{key}: a figure that draws {figure.draws} takes none"
    if kind.options and len(figure.experiments) != 1:
        return f".experiments: a figure that draws {figure.draws} shows exactly one"
    if kind.experiments and len(figure.experiments) != kind.experiments:
        return f".experiments: a figure that draws {figure.draws} shows {kind.experiments}"
    if not set(kind.tables) <= set(RESULTS) and study.theory is None:
        return (
            f": {figure.draws} shows a table of the theory; expected a setting 'theory', such as "
            "theory: {}"
        )
    if figure.mode is not None and figure.mode not in study.evaluation.modes:
        return f".mode is '{figure.mode}', which evaluation.modes does not have"
    if "lengths" in kind.tables:
        for name in figure.experiments or study.experiments:
            e = study.experiments.get(name)
            if e and (why := _bound_to_length(e.model, study.task_of(e), study.evaluation.lengths)):
                return f".experiments: {name} {why}"
    # Also those that there will be, whatever trials choose.
    whole = study.assumed().variants
    named = {name: e for name, e in whole.items() if not name.endswith("_trial")}
    named |= study.experiments
    for name in figure.experiments:
        if name not in named:
            known = ", ".join(study.experiments)
            return f".experiments: no experiment '{name}'; expected one of {known}"
        experiment = named[name]
        task = study.task_of(experiment)
        if figure.depth is not None and figure.depth not in experiment.depths:
            return f".depth: {name} has the depths {list(experiment.depths)}"
        if figure.k is not None and figure.k not in task.ks:
            return f".k is {figure.k}, but k of {name} goes to task.max_k, which is {task.max_k}"
        if "ablation" in kind.tables and not experiment.model.has_attention:
            return f".experiments: {name} has no attention heads to switch off"
        if "alignment" in kind.tables and not (
            task.has_pointers and experiment.model.has_attention
        ):
            return f".experiments: {name} has no attention that can be compared with find^j"
    return ""


def of_any_length(study: StudySummary, lengths: Sequence[int]) -> dict[str, list[Run]]:
    """Return the experiments that can be asked on strings so many times as long."""
    return {
        name: runs
        for name, runs in study.experiments.items()
        if runs and not _bound_to_length(runs[0].model, runs[0].task, lengths)
    }


def _bound_to_length(model: Model, task: Task, lengths: Sequence[int]) -> str:
    """Return why a model cannot be asked on longer strings; empty if it can."""
    if getattr(model, "positions", "learned") != "none":
        return "has position embeddings; expected model.positions: none, for longer strings"
    try:
        for times in lengths:
            longer(task, times)
    except ValueError as error:
        return f"has a task that cannot be asked on longer strings: {error}"
    return ""


def identifiers(experiments: Mapping[str, list[Run]]) -> dict[str, list[str]]:
    """Return the identifiers of the runs of each experiment."""
    return {name: [run.identifier for run in runs] for name, runs in experiments.items()}


def data_name(task: Task) -> str:
    """Return the name of the frozen set of a task."""
    return f"{task.label()}-{digest(task.model_dump(mode='json'))[:8]}"
