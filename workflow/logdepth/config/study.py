"""A study: experiments, how they are evaluated and fitted. One YAML file in config/."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from logdepth.config.fields import Name, Switch
from logdepth.config.figures import OF_THEORY, FigureSpec
from logdepth.config.run import CompiledRecipe, Model, Recipe, Run, Settings, Task, mistakes
from logdepth.config.theory import Theory
from logdepth.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be used; the message names file, key and what would be right."""


class Evaluation(Settings):
    """How errors are measured: on frozen sets, the same for every run of a task."""

    sequences: int = Field(512, ge=2)
    """Sequences of the frozen set for each k."""
    seed: int = Field(0, ge=0)
    """Seed of the frozen sets; their stream is never trained on."""
    hops: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Values of k; all of the task's if left out."""
    dropout: tuple[Switch, ...] = Field(("off",), min_length=1)
    """Whether dropout is active while evaluating; "on" is how the published errors were made."""


class Fit(Settings):
    """How the largest solvable k and its growth with depth are fitted."""

    thresholds: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field((0.1, 0.05), min_length=1)
    """A k counts as solved when its error is below this; the first one enters the growth law."""
    bootstrap: int = Field(500, ge=10)
    """Resamples of seeds and sequences behind each interval."""
    seed: int = Field(0, ge=0)
    """Seed of the resampling."""


class Alignment(Settings):
    """How attention is compared with find^j (paper: Appendix G.2)."""

    sequences: int = Field(10, ge=1)
    """Sequences to average over: the first of the frozen set, the same for every k."""
    dropout: Switch = "off"
    """Whether dropout is active; "on" is how the published heat maps were made."""


class Beside(Settings):
    """An experiment of a finished study, with the same task."""

    results: str
    """Folder of the study, such as results/published/speedrun."""
    experiment: Name
    """Name of the experiment there."""
    dropout: Switch = "off"
    """Dropout setting of its evaluation."""
    title: str
    """Name in figures."""


class Experiment(Settings):
    """One curve of error against k for each of several depths, everything else equal."""

    title: str
    """Name in figures."""
    model: Model
    """The model; its depth comes from ``depths``."""
    training: Recipe
    """The recipe."""
    depths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    """Depths L to train."""
    at_depth: dict[int, dict[str, Any]] = Field(default_factory=dict)
    """Changes for single depths, as {depth: {"training.steps": 5000}}."""
    imported: bool = False
    """Whether the models come from ``logdepth import`` instead of training."""

    @property
    def is_compiled(self) -> bool:
        """Whether the models are written down instead of trained."""
        return isinstance(self.training, CompiledRecipe)

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
        return self


class Study(Settings):
    """Everything one file in config/ says."""

    study: Name
    """Name of the study; its results lie in results/<study>/."""
    title: str
    """One line about the study, for the report."""
    task: Task
    """The task of all its experiments."""
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
    beside: tuple[Beside, ...] = ()
    """Experiments of finished studies that construction_depth shows beside those of this one."""
    figures: dict[Name, FigureSpec] = Field(
        default={
            name: FigureSpec(draws=name)
            for name in (
                "depth_law",
                "error_by_hops",
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
        for k in self.evaluation.hops or ():
            if k > self.task.max_hops:
                raise ValueError(
                    f"evaluation.hops has {k}, but the hop tokens of the task end at "
                    f"task.max_hops, which is {self.task.max_hops}"
                )
        for name in self.experiments:
            self.runs(name)
        for name, figure in self.figures.items():
            self._check_figure(name, figure)
        return self

    def _check_figure(self, name: str, figure: FigureSpec) -> None:
        where = f"figures.{name}"
        if figure.draws in OF_THEORY and self.theory is None:
            raise ValueError(
                f"{where}: {figure.draws} shows a table of the theory; right would be a setting "
                "'theory', such as theory: {}"
            )
        for experiment in figure.experiments:
            if experiment not in self.experiments:
                raise ValueError(
                    f"{where}.experiments: no experiment '{experiment}'; "
                    f"right would be {', '.join(self.experiments)}"
                )
            depths = self.experiments[experiment].depths
            if figure.depth is not None and figure.depth not in depths:
                raise ValueError(f"{where}.depth: {experiment} has the depths {list(depths)}")
        if figure.hops is not None and figure.hops > self.task.max_hops:
            raise ValueError(
                f"{where}.hops is {figure.hops}, but task.max_hops is {self.task.max_hops}"
            )
        if figure.dropout is not None and figure.dropout not in self.evaluation.dropout:
            raise ValueError(
                f"{where}.dropout is '{figure.dropout}', which evaluation.dropout does not have"
            )

    def runs(self, experiment: str) -> list[Run]:
        """Return the runs of an experiment, by depth and then by seed; none if imported.

        Nothing is random in a compiled model: it has one run a depth.

        Raises:
            ValueError: a depth or a change makes an impossible run.
        """
        spec = self.experiments[experiment]
        if spec.imported:
            return []
        return [
            self._run(experiment, depth, seed)
            for depth in sorted(spec.depths)
            for seed in ((0,) if spec.is_compiled else self.seeds)
        ]

    def all_runs(self) -> dict[str, Run]:
        """Return every run to train by its identifier; experiments may share runs."""
        return self._runs_of(is_compiled=False)

    def compiled_runs(self) -> dict[str, Run]:
        """Return every run to compile by its identifier."""
        return self._runs_of(is_compiled=True)

    def _runs_of(self, *, is_compiled: bool) -> dict[str, Run]:
        runs = [
            run
            for name, spec in self.experiments.items()
            if spec.is_compiled is is_compiled
            for run in self.runs(name)
        ]
        return {run.identifier: run for run in runs}

    @property
    def evaluated_hops(self) -> tuple[int, ...]:
        """Values of k in ascending order."""
        hops = self.evaluation.hops
        return tuple(sorted(hops)) if hops else tuple(range(self.task.max_hops + 1))

    def _run(self, experiment: str, depth: int, seed: int) -> Run:
        spec = self.experiments[experiment]
        definition: dict[str, Any] = {
            "task": self.task.model_dump(),
            "model": spec.model.model_dump() | {"depth": depth},
            "training": spec.training.model_dump(),
            "seed": seed,
        }
        for path, value in spec.at_depth.get(depth, {}).items():
            *parents, key = path.split(".")
            place: Any = definition
            for parent in parents:
                place = place.get(parent) if isinstance(place, dict) else None
            if not isinstance(place, dict) or key not in place:
                raise ValueError(
                    f"experiments.{experiment}.at_depth.{depth}: no setting '{path}' "
                    "(for example: training.steps)"
                )
            place[key] = value
        try:
            return Run.model_validate(definition)
        except ValidationError as error:
            where = f"experiments.{experiment} at depth {depth}"
            raise ValueError(f"{where}: {mistakes(error)[0]}") from error


def load_study(path: Path) -> Study:
    """Read a study from its YAML file.

    Raises:
        ConfigError: missing, not YAML, or not a study.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: right would be 'key: value' lines, as in config/default.yaml")
    return read_study(content, str(path))


def read_study(config: Mapping[str, Any], source: str) -> Study:
    """Check a configuration and return it as a study.

    Args:
        config: content of the configuration file.
        source: its path, for messages.

    Raises:
        ConfigError: with a line for each mistake, naming file and key.
    """
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{source}: {line}" for line in mistakes(error))) from error
