"""The runs of a study that were imported instead of trained."""

from pathlib import Path

from pydantic import ValidationError

from logdepth.config.run import Run, mistakes
from logdepth.config.study import ConfigError, Study


def imported_runs(study: Study, folder: Path) -> dict[str, list[Run]]:
    """Return the imported runs of each experiment, by depth and then by seed.

    A run belongs to an experiment when heads, width, training samples and depth are the
    experiment's; runs that fit nowhere are left alone.

    Args:
        study: with experiments that are ``imported``.
        folder: where ``logdepth import`` has put them, as <run>/run.json.

    Raises:
        ConfigError: a run.json is damaged, or nothing at all was imported.
    """
    experiments = {name: e for name, e in study.experiments.items() if e.imported}
    if not experiments:
        return {}
    found = [_read(path) for path in sorted(folder.glob("*/run.json"))]
    found = [run for run in found if run.origin == "released" and run.task == study.task]
    result: dict[str, list[Run]] = {}
    for name, spec in experiments.items():
        result[name] = sorted(
            (
                run
                for run in found
                if run.model.depth in spec.depths
                and (run.model.heads, run.model.width) == (spec.model.heads, spec.model.width)
                and run.training.samples == spec.training.samples
            ),
            key=lambda run: (run.model.depth, run.seed),
        )
    if not any(result.values()):
        raise ConfigError(
            f"{folder}: no imported model for the study '{study.study}'; "
            "right would be: logdepth import FOLDER, with a folder the authors released"
        )
    return result


def _read(path: Path) -> Run:
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ConfigError(f"{path}: {mistakes(error)[0]}; import the model again") from error
