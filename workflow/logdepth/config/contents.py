"""What a study consists of once its imported models are known: runs, experiments, figures."""

from dataclasses import dataclass
from functools import cached_property

from logdepth.config.figures import NEEDS, FigureSpec
from logdepth.config.run import Run
from logdepth.config.study import Study


@dataclass(frozen=True)
class Contents:
    """The runs, experiments and figures of a study.

    Attributes:
        study: as its file says.
        imported: runs that were imported, by experiment.
    """

    study: Study
    imported: dict[str, list[Run]]

    @cached_property
    def trained(self) -> dict[str, Run]:
        """Every run to train, by its identifier."""
        return self.study.all_runs()

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
        found = {
            name: self.imported.get(name) or self.study.runs(name)
            for name in self.study.experiments
        }
        return {name: [run.identifier for run in runs] for name, runs in found.items() if runs}

    @cached_property
    def trained_experiments(self) -> dict[str, list[str]]:
        """The experiments whose runs are trained."""
        return {
            name: runs
            for name, runs in self.experiments.items()
            if all(run in self.trained for run in runs)
        }

    @cached_property
    def figures(self) -> dict[str, FigureSpec]:
        """The figures that the study has runs for; of imported models some may be absent."""
        return {name: spec for name, spec in self.study.figures.items() if self._has_runs_of(spec)}

    @property
    def compared(self) -> bool:
        """Whether it is about the task that there are published errors of."""
        return any(figure.draws == "comparison" for figure in self.study.figures.values())

    @property
    def shows_depths(self) -> bool:
        """Whether a figure puts its largest solved k beside those of others."""
        return any(figure.draws == "construction_depth" for figure in self.study.figures.values())

    def model_of(self, figure: FigureSpec) -> str | None:
        """Return the run that a figure of one model looks into; None while it was not imported."""
        for run in self.experiments.get(figure.experiments[0], []):
            if self.runs[run].model.depth == figure.depth:
                return run
        return None

    def _has_runs_of(self, figure: FigureSpec) -> bool:
        if figure.draws in NEEDS:
            return self.model_of(figure) is not None
        if figure.draws == "training_curves" and not self.trained:
            return False
        return all(name in self.experiments for name in figure.experiments)
