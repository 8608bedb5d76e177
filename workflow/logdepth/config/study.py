"""A study: experiments, how they are evaluated and fitted. One YAML file in config/."""

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from logdepth.config.fields import Mode, Name, Title
from logdepth.config.figures import FigureSpec
from logdepth.config.former import former_words
from logdepth.config.reading import parse_yaml, read_yaml
from logdepth.config.run import AnyModel, AnyRecipe, AnyTask, Run
from logdepth.config.theory import Theory
from logdepth.errors import ConfigError
from logdepth.settings import Settings, mistakes
from logdepth.tasks.base import Task

_EXAMPLE = "config/default.yaml"


class Evaluation(Settings):
    """How errors are measured: on frozen sets, the same for every run of a task."""

    sequences: int = Field(512, ge=2)
    """Sequences of the frozen set for each k."""
    seed: int = Field(0, ge=0)
    """Seed of the frozen sets; their stream is never trained on."""
    k: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Values of k; all of the task's if left out."""
    modes: tuple[Mode, ...] = Field(("eval",), min_length=1)
    """Modes of the network; "train", with dropout, is how the published errors were made."""
    lengths: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 2, 4), min_length=1)
    """Strings are this many times as long as in training, where a figure shows longer ones."""

    @model_validator(mode="after")
    def _once(self) -> Self:
        for key, values in (("k", self.k or ()), ("modes", self.modes), ("lengths", self.lengths)):
            if len(set(values)) < len(values):
                raise ValueError(f"{key} names a value twice: {list(values)}")
        return self


class Fit(Settings):
    """How the largest solvable k and its growth with depth are fitted."""

    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.1, 0.02, 0.05, 0.2, 0.5), min_length=1
    )
    """A k counts as solved when its error is below this; figures draw the fit of the first one."""


class Alignment(Settings):
    """How attention is compared with find^j (paper: Appendix G.2)."""

    sequences: int = Field(10, ge=1)
    """Sequences to average over: the first of the frozen set, the same for every k."""
    mode: Mode = "eval"
    """Mode of the network; "train", with dropout, is how the published heat maps were made."""


class OtherStudy(Settings):
    """An experiment of a finished study, with the same task."""

    results: str
    """Folder of the study, such as results/published/speedrun."""
    experiment: Name
    """Name of the experiment there."""
    mode: Mode = "eval"
    """Mode of its evaluation."""
    title: Title
    """Name in figures."""


class Select(Settings):
    """Trials of every combination of a sweep, of which the best is then trained in earnest.

    Errors of trials are measured on sequences of a stream of their own, which is neither trained
    nor evaluated on.
    """

    steps: int | None = Field(None, ge=1)
    """Steps of a trial; as many as the experiment's if left out."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0,), min_length=1)
    """Seeds of the trials."""
    sequences: int = Field(128, ge=2)
    """Sequences for each k that trials are measured on."""
    sweep: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """What the best is trained with, as the sweep of an experiment: several numbers of steps."""


class Experiment(Settings):
    """One curve of error against k for each of several depths, everything else equal."""

    title: Title
    """Name in figures."""
    task: AnyTask | None = None
    """The task, if it is not the study's."""
    model: AnyModel
    """The model; its depth comes from ``depths``."""
    training: AnyRecipe
    """The recipe."""
    depths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """Depths L to train."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Seeds of its runs, if they are not the study's."""
    at_depth: dict[int, dict[str, Any]] = Field(default_factory=dict)
    """Changes for single depths, as {depth: {"training.steps": 5000}}."""
    sweep: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Values of other settings, as {"model.width": [64, 128]}: an experiment for each combination,
    named with the values."""
    select: Select | None = None
    """Choose one combination of the sweep by trials, in place of training all of them."""
    imported: bool = False
    """Whether the models come from ``logdepth import`` instead of training."""

    @property
    def is_compiled(self) -> bool:
        """Whether the models are written down instead of trained."""
        return not self.training.is_trained

    @model_validator(mode="after")
    def _depths(self) -> Self:
        if "depth" in self.model.model_fields_set:
            raise ValueError("model.depth is set by depths: write, for example, depths: [1, 2, 3]")
        if self.imported and self.is_compiled:
            raise ValueError("imported: a compiled model is never imported; leave one of them out")
        if len(set(self.depths)) < len(self.depths):
            raise ValueError(f"depths names a depth twice: {list(self.depths)}")
        if extra := sorted(set(self.at_depth) - set(self.depths)):
            raise ValueError(f"at_depth names depth {extra[0]}, which is not among depths")
        if empty := [path for path, values in self.sweep.items() if not values]:
            raise ValueError(f"sweep.{empty[0]}: expected at least one value")
        tried = self.select.seeds if self.select else ()
        for key, seeds in (("seeds", self.seeds or ()), ("select.seeds", tried)):
            if len(set(seeds)) < len(seeds):
                raise ValueError(f"{key} names a seed twice: {list(seeds)}")
        if self.select and not self.sweep:
            raise ValueError("select: nothing to choose from; expected a sweep of some setting")
        if self.select and (self.imported or self.is_compiled):
            raise ValueError("select: expected models that are trained")
        return self


class Study(Settings):
    """Everything one file in config/ says."""

    study: Name
    """Name of the study; its results lie in results/<study>/."""
    title: str
    """One line about the study, for the report."""
    task: AnyTask
    """The task of all experiments that name no other."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field((0, 1, 2), min_length=1)
    """One run for each seed, depth and experiment."""
    evaluation: Evaluation = Evaluation()
    """How errors are measured."""
    fit: Fit = Fit()
    """How curves are fitted."""
    alignment: Alignment = Alignment()
    """How attention is compared with find^j."""
    theory: Theory | None = None
    """How much of the theory is run; nothing if left out."""
    beside: tuple[OtherStudy, ...] = ()
    """Experiments of finished studies that construction_depth shows beside those of this one."""
    figures: dict[Name, FigureSpec] = Field(
        default={
            name: FigureSpec(draws=name)
            for name in (
                "depth_law",
                "error_by_k",
                "error_by_depth",
                "error_heatmap",
                "training_curves",
            )
        }
    )
    """The figures, by name."""
    experiments: dict[Name, Experiment] = Field(min_length=1)
    """The experiments, by name."""

    @model_validator(mode="after")
    def _runs(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds names a seed twice: {list(self.seeds)}")
        for name, variant in (self.variants | self.trials).items():
            task = self.task_of(variant)
            if unknown := set(self.evaluation.k or ()) - set(task.ks):
                raise ValueError(
                    f"evaluation.k has {min(unknown)}, but experiments.{name} has the task "
                    f"{task.label()} with k from {task.ks.start} to {task.ks.stop - 1}"
                )
            self._runs_of(name, variant)
        # Trials, and what any of them would be trained with.
        self.assumed().trained_runs()
        return self

    @cached_property
    def variants(self) -> dict[str, Experiment]:
        """The experiments, those that sweep settings once for each combination of values.

        A variant is named after its experiment and what differs: wide_width64_rate0_02.
        """
        return self._each_swept(selects=False)

    @cached_property
    def trials(self) -> dict[str, Experiment]:
        """What is tried of experiments that select, by the same names as variants."""
        return self._each_swept(selects=True)

    def _each_swept(self, *, selects: bool) -> dict[str, Experiment]:
        return {
            variant: changed
            for name, experiment in self.experiments.items()
            if bool(experiment.select) is selects
            for variant, changed in _swept(name, experiment, self.task)
        }

    def variants_of(self, experiment: str) -> list[str]:
        """Return the names of an experiment's variants (or trials): one if it sweeps nothing.

        A variant's own name stands for itself.
        """
        if experiment not in self.experiments:
            return [experiment] if experiment in self.variants else []
        swept = _swept(experiment, self.experiments[experiment], self.task)
        return [name for name, _ in swept]

    def trial_runs(self, experiment: str) -> dict[str, list[Run]]:
        """Return the runs of each trial of an experiment that selects."""
        select = self.experiments[experiment].select
        if select is None:
            return {}
        return {
            name: self._runs_of(name, _tried(experiment, self.trials[name], select))
            for name in self.variants_of(experiment)
        }

    def decided(self, chosen: Mapping[str, str]) -> "Study":
        """Return the study with what was chosen; experiments without a choice are left out.

        Args:
            chosen: the trial of each experiment that selects.
        """
        experiments = {}
        for name, experiment in self.experiments.items():
            if not experiment.select:
                experiments[name] = experiment
            elif name in chosen:
                then = {"title": experiment.title, "sweep": experiment.select.sweep}
                experiments[name] = self.trials[chosen[name]].model_copy(update=then)
        return self._with(experiments)

    def assumed(self) -> "Study":
        """Return the study as it is planned: with every trial, and the first of each as chosen."""
        selecting = {name: e.select for name, e in self.experiments.items() if e.select}
        first = self.decided({name: self.variants_of(name)[0] for name in selecting})
        trials = {
            f"{trial}_trial": _tried(name, self.trials[trial], select)
            for name, select in selecting.items()
            for trial in self.variants_of(name)
        }
        return self._with(first.experiments | trials)

    def _with(self, experiments: dict[str, Experiment]) -> "Study":
        # A copy would take along what is cached of the old experiments.
        return Study.model_construct(**{**dict(self), "experiments": experiments})

    def task_of(self, experiment: Experiment) -> Task:
        """Return the task of an experiment."""
        return experiment.task or self.task

    def ks(self, task: Task) -> tuple[int, ...]:
        """Return the evaluated values of k of a task, in ascending order."""
        return tuple(sorted(self.evaluation.k)) if self.evaluation.k else tuple(task.ks)

    def runs(self, variant: str) -> list[Run]:
        """Return the runs of a variant, by depth and then by seed; none if imported.

        Nothing is random in a compiled model: it has one run a depth.

        Raises:
            ValueError: a depth or a change makes an impossible run.
        """
        return self._runs_of(variant, self.variants[variant])

    def trained_runs(self) -> dict[str, Run]:
        """Return every run to train by its identifier; experiments may share runs."""
        return {run.identifier: run for run in self._all_runs() if run.training.is_trained}

    def compiled_runs(self) -> dict[str, Run]:
        """Return every run to compile by its identifier."""
        return {run.identifier: run for run in self._all_runs() if not run.training.is_trained}

    def _runs_of(self, name: str, spec: Experiment) -> list[Run]:
        if spec.imported:
            return []
        return [
            self._run(name, spec, depth, seed)
            for depth in sorted(spec.depths)
            for seed in ((0,) if spec.is_compiled else spec.seeds or self.seeds)
        ]

    def _all_runs(self) -> list[Run]:
        return [run for name in self.variants for run in self.runs(name)]

    def _run(self, name: str, spec: Experiment, depth: int, seed: int) -> Run:
        definition: dict[str, Any] = {
            "task": self.task_of(spec).model_dump(),
            "model": spec.model.model_dump() | {"depth": depth},
            "training": spec.training.model_dump(),
            "seed": seed,
        }
        for path, value in spec.at_depth.get(depth, {}).items():
            _set(definition, path, value, f"experiments.{name}.at_depth.{depth}")
        try:
            return Run.model_validate(definition)
        except ValidationError as error:
            where = f"experiments.{name} at depth {depth}"
            raise ValueError(f"{where}: {mistakes(error)[0]}") from error


def _swept(name: str, experiment: Experiment, task: Task) -> list[tuple[str, Experiment]]:
    """Return the variants of an experiment; ``task`` is the study's, if it has none itself."""
    if not experiment.sweep:
        return [(name, experiment)]
    plain = experiment.model_dump(exclude={"sweep", "select"})
    if any(path.startswith("task.") for path in experiment.sweep):
        plain["task"] = (experiment.task or task).model_dump()
    # An experiment sets it from its depths.
    del plain["model"]["depth"]
    result = []
    for values in itertools.product(*experiment.sweep.values()):
        chosen = dict(zip(experiment.sweep, values, strict=True))
        words = {path.rpartition(".")[2]: value for path, value in chosen.items()}
        definition = plain | {key: dict(plain[key]) for key in ("model", "training")}
        if definition["task"]:
            definition["task"] = dict(definition["task"])
        for path, value in chosen.items():
            _set(definition, path, value, f"experiments.{name}.sweep")
        definition["title"] += f" ({', '.join(f'{word} {value}' for word, value in words.items())})"
        suffix = "".join(f"_{word}{_plain(value)}" for word, value in words.items())
        try:
            result.append((f"{name}{suffix}", Experiment.model_validate(definition)))
        except ValidationError as error:
            raise ValueError(f"experiments.{name}.sweep: {mistakes(error)[0]}") from error
    return result


def _tried(name: str, trial: Experiment, select: Select) -> Experiment:
    """Return a trial of an experiment with the steps and seeds that trials have."""
    steps = {"steps": select.steps} if select.steps else {}
    try:
        training = trial.training.changed(steps)
    except ValidationError as error:
        raise ValueError(f"experiments.{name}.select: {mistakes(error)[0]}") from error
    return trial.model_copy(update={"training": training, "seeds": select.seeds})


def _plain(value: Any) -> str:
    """Return a value as part of a name: letters, digits and _."""
    return "".join(c if c.isalnum() else "_" for c in str(value).lower())


def _set(definition: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set a value within a definition, by the keys that lead there."""
    *parents, key = path.split(".")
    place: Any = definition
    for parent in parents:
        place = place.get(parent) if isinstance(place, dict) else None
    if not isinstance(place, dict) or key not in place:
        raise ValueError(f"{where}: no setting '{path}' (for example: training.steps)")
    place[key] = value


def load_study(path: Path, *more: Path, options: Sequence[str] = ()) -> Study:
    """Read a study from its YAML file: the one reader, for the workflow as for every command.

    Args:
        path: of the file.
        more: files with changes, key by key.
        options: changes after these, as on the command line of Snakemake: "key=value".

    Raises:
        ConfigError: missing, not YAML, or not a study.
    """
    content: Any = {}
    for file in (path, *more):
        content = _merged(content, read_yaml(file, _EXAMPLE))
    for option in options:
        key, _, value = option.partition("=")
        content = _merged(content, {key: parse_yaml(value, f"--config {key}")})
    return read_study(content, ", ".join(map(str, (path, *more))), path.parent)


def read_study(config: Mapping[str, Any], source: str, folder: Path = Path("config")) -> Study:
    """Check a configuration and return it as a study.

    ``source`` is its path, for messages; in ``folder`` lie the studies that it may extend.

    Raises:
        ConfigError: with a line for each mistake, naming file and key.
    """
    content = _extended(dict(config), source, folder)
    if former := former_words(content):
        raise ConfigError("\n".join(f"{source}: {line}" for line in former))
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {line}" for line in mistakes(error))) from error


def _extended(config: dict[str, Any], source: str, folder: Path) -> dict[str, Any]:
    """Return a configuration with what it does not say taken from the study that it extends."""
    name = config.pop("extends", None)
    if name is None:
        return config
    base = folder / f"{name}.yaml"
    if not isinstance(name, str) or not base.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise ConfigError(f"{source}: extends: no study '{name}'; expected one of {known}")
    content = read_yaml(base, _EXAMPLE)
    if "extends" in content:
        raise ConfigError(
            f"{source}: extends: {base} extends another itself; expected one that does not"
        )
    merged: dict[str, Any] = _merged(content, config)
    return merged


def _merged(base: Any, changes: Any) -> Any:
    """Return one value with the changes of another: mappings key by key, null takes a key away."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    merged = {key: _merged(base.get(key), value) for key, value in changes.items()}
    both: dict[str, Any] = {**base, **merged}
    return {key: value for key, value in both.items() if value is not None}
