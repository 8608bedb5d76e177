"""Which runs are behind chosen rows of a table."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from audit_trail.errors import BadFileError
from audit_trail.files import read_json
from audit_trail.records import Record, flat
from audit_trail.study import StudyFolder
from audit_trail.tracing.trace import same

# What a table says of a run, by column, and where the definition of the run has it.
_SETTINGS = {
    "depth": "model.depth",
    "heads": "model.heads",
    "width": "model.width",
    "train_samples": "training.samples",
    "seed": "seed",
}
_VERDICTS = "z and verdict rest on the spread of seeds and the number of cells of all rows, too"


def narrow(
    study: StudyFolder, record: Record, rows: Sequence[Mapping[str, str]]
) -> tuple[Callable[[Record, str], bool], str]:
    """Return which inputs are behind rows of a table that a job made, and what rests on more.

    Jobs about experiments read a file of each run; those of runs count that agree with one of the
    rows in all that both say. Everything else that a job read counts.

    Args:
        study: of the table.
        record: of the job.
        rows: by column.
    """
    figure = record.parameters.get("figure")
    if isinstance(figure, dict) and figure.get("draws") == "depth_law":
        # A fitted curve comes from all depths and seeds; its row has a place along the axis.
        fitted = [row for row in rows if row.get("kind") not in ("run", "depth", "theory")]
        points = [row for row in rows if row.get("kind") in ("run", "depth")]
        rows = [*points, *({c: row[c] for c in row if c == "experiment"} for row in fitted)]
    settings = cache(lambda run: _settings(study, run))

    def keeps(reader: Record, name: str) -> bool:
        folder, _, rest = name.partition("/")
        experiments = reader.parameters.get("experiments")
        if folder != "runs" or not isinstance(experiments, dict):
            return True
        run = rest.partition("/")[0]
        lists = {name: runs for name, runs in experiments.items() if isinstance(runs, list)}
        within = [name for name, runs in lists.items() if run in runs]
        told = settings(run)
        # A row with an empty experiment is one that no experiment has measured.
        return any(
            row.get("experiment") in (None, *within)
            and all(row.get(c) in (None, "", "all") or same(row[c], told[c]) for c in told)
            for row in rows
        )

    return keeps, _VERDICTS if record.stage == "compare" else ""


def _settings(study: StudyFolder, run: str) -> dict[str, str]:
    """Return what tables may say of a run, by its record, or its run.json where there is none."""
    content: Any = None
    makers = [study.makers.get(f"runs/{run}/{file}") for file in ("model.safetensors", "run.json")]
    if maker := makers[0] or makers[1]:
        content = maker.parameters.get("run")
    else:
        with suppress(BadFileError):
            content = read_json(study.path(f"runs/{run}/run.json"), study.folder)
    values = flat(content) if isinstance(content, dict) else {}
    found = {c: str(values[p]) for c, p in _SETTINGS.items() if values.get(p) is not None}
    # Without a limit the training set is endless.
    return {"run": run, **({"train_samples": "inf"} if values else {}), **found}
