"""Which runs are behind chosen rows of a table."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import read_json
from audit_trail.project import Narrowed
from audit_trail.records import Record
from audit_trail.study import StudyFolder
from audit_trail.tracing.rows import same

# What a table says of a run, by column, and where the definition of the run has it.
_SETTINGS = {
    "depth": ("model", "depth"),
    "heads": ("model", "heads"),
    "width": ("model", "width"),
    "train_samples": ("training", "samples"),
    "seed": ("seed",),
}
_VERDICTS = "z and verdict rest on the spread of seeds and the number of cells of all rows, too"


def narrow(study: StudyFolder, record: Record, rows: Sequence[Mapping[str, str]]) -> Narrowed:
    """Return which runs are behind rows of a table that a job made.

    Jobs about experiments read a file of each run; those of runs count that agree with one of the
    rows in all that both say. Everything else that a job read counts.

    Args:
        study: of the table.
        record: of the job.
        rows: by column.
    """
    wanted = [about for row in rows if (about := _about(record, row)) is not None]
    settings = cache(lambda run: _settings(_content(study, run)))

    def keeps(reader: Record, name: str) -> bool:
        folder, _, rest = name.partition("/")
        experiments = reader.parameters.get("experiments")
        if folder != "runs" or not isinstance(experiments, dict):
            return True
        run = rest.partition("/")[0]
        lists = {name: runs for name, runs in experiments.items() if isinstance(runs, list)}
        within = [name for name, runs in lists.items() if run in runs]
        return any(_agree(row, run, within, settings(run)) for row in wanted)

    return Narrowed(keeps, _VERDICTS if record.stage == "compare" else "")


def _about(record: Record, row: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return what a row says of runs; None if it comes from none."""
    figure = _mapping(record.parameters.get("figure"))
    kind = row.get("kind")
    if figure.get("draws") != "depth_law" or kind in ("run", "depth"):
        return row
    if kind == "theory":
        return None
    # A fitted curve comes from all depths and seeds; its row has a place along the axis.
    return {name: value for name, value in row.items() if name == "experiment"}


def _agree(
    row: Mapping[str, str], run: str, experiments: Sequence[str], settings: Mapping[str, str]
) -> bool:
    # A row with an empty experiment is one that no experiment has measured.
    if "experiment" in row and row["experiment"] not in experiments:
        return False
    told = {"run": run, **settings}
    return all(row.get(c) in (None, "", "all") or same(row[c], told[c]) for c in told)


def _content(study: StudyFolder, run: str) -> dict[str, Any]:
    """Return the definition of a run by its record, or by its run.json where there is none."""
    for file in ("model.safetensors", "run.json"):
        if maker := study.makers.get(f"runs/{run}/{file}"):
            return _mapping(maker.parameters.get("run"))
    try:
        return _mapping(read_json(study.path(f"runs/{run}/run.json"), study.folder))
    except BadFileError:
        return {}


def _settings(content: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for column, path in _SETTINGS.items():
        value: Any = content
        for key in path:
            value = _mapping(value).get(key)
        if value is not None:
            found[column] = str(value)
        elif column == "train_samples" and content:
            # Without a limit the training set is endless.
            found[column] = "inf"
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
