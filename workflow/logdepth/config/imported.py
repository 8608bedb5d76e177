"""The runs of a study that were imported instead of trained."""

from pathlib import Path

from pydantic import ValidationError

from logdepth.config.run import Run
from logdepth.config.study import Study
from logdepth.errors import ConfigError
from logdepth.settings import mistakes


def imported_runs(study: Study, folder: Path) -> dict[str, list[Run]]:
    """Return the imported runs of each experiment, by depth and then by seed.

    A run belongs to an experiment when its task, model and training samples are the experiment's;
    runs that fit nowhere are left alone.

    Args:
        study: with experiments that are ``imported``.
        folder: where ``logdepth import`` has put them, as <run>/run.json.

    Raises:
        ConfigError: a run.json is damaged, or nothing at all was imported.
    """
    variants = {name: e for name, e in study.variants.items() if e.imported}
    if not variants:
        return {}
    found = [_read(path) for path in sorted(folder.glob("*/run.json"))]
    result: dict[str, list[Run]] = {}
    for name, spec in variants.items():
        result[name] = sorted(
            (
                run
                for run in found
                if run.origin == "released"
                and run.task == study.task_of(spec)
                and run.model.depth in spec.depths
                and run.model == spec.model.model_copy(update={"depth": run.model.depth})
                and run.training.train_samples == spec.training.train_samples
            ),
            key=lambda run: (run.model.depth, run.seed),
        )
    if not any(result.values()):
        raise ConfigError(
            f"{folder}: no imported model for the study '{study.study}'; "
            "expected logdepth import FOLDER before, with a folder the authors released"
        )
    return result


def _read(path: Path) -> Run:
    try:
        return Run.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ConfigError(f"{path}: {mistakes(error)[0]}; import the model again") from error
