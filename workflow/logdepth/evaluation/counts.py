"""The counts of a study's runs, as tables and as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.intervals import seed_interval, sequence_interval
from logdepth.tasks.base import Task

_CELLS = ("wrong", "symbols", "late_wrong", "late_symbols")


@dataclass(frozen=True)
class Counts:
    """Wrong answers of the runs of one experiment in one mode.

    Attributes:
        experiment: its name.
        mode: "eval", or "train" for active dropout.
        runs: (R,) identifiers.
        depths: (R,) depth of each run.
        seeds: (R,) seed of each run.
        ks: (K,) values of k, ascending.
        guess: (K,) error of the best guess that does without solving the task.
        wrong: (R, K, S) wrong answers of each sequence.
        symbols: (K, S) answers of each sequence, the same for every run.
        late_wrong: (R, K) wrong answers at late positions, of all sequences.
        late_symbols: (K,) answers there, the same for every run.
    """

    experiment: str
    mode: str
    runs: list[str]
    depths: NDArray[np.int64]
    seeds: NDArray[np.int64]
    ks: NDArray[np.int64]
    guess: NDArray[np.float64]
    wrong: NDArray[np.float64]
    symbols: NDArray[np.float64]
    late_wrong: NDArray[np.float64]
    late_symbols: NDArray[np.float64]

    def errors(self) -> NDArray[np.float64]:
        """Return the errors (R, K), pooled over sequences; NaN where nothing was answered."""
        return _share(self.wrong.sum(2), self.symbols.sum(1))

    def late_errors(self) -> NDArray[np.float64]:
        """Return the errors (R, K) at late positions, which answer for small k and large ones."""
        return _share(self.late_wrong, self.late_symbols)


def read_counts(runs_folder: Path, experiments: Mapping[str, Sequence[Run]]) -> list[Counts]:
    """Read the evaluations of a study.

    Args:
        runs_folder: holds <run>/evaluation.csv.
        experiments: the runs of each experiment.

    Raises:
        UserError: the runs of an experiment were not evaluated on the same sequences.
    """
    result = []
    for experiment, runs in experiments.items():
        files = [runs_folder / run.identifier / "evaluation.csv" for run in runs]
        tables = [_read_evaluation(file) for file in files]
        for mode in tables[0]["mode"].unique():
            chosen = [table[table["mode"] == mode] for table in tables]
            try:
                result.append(counts_of(experiment, str(mode), runs, chosen, runs[0].task))
            except ValueError as error:
                raise UserError(
                    f"{runs_folder}/{error}/evaluation.csv: not the sequences on which "
                    f"{runs[0].identifier} was evaluated; evaluate both on one set"
                ) from error
    return result


def counts_of(
    experiment: str, mode: str, runs: Sequence[Run], tables: Sequence[pd.DataFrame], task: Task
) -> Counts:
    """Return the counts of the runs of one experiment, from a table of ``count_errors`` each.

    Args:
        experiment: its name.
        mode: of the networks.
        runs: of the experiment.
        tables: of each run, on the same sequences.
        task: that the sequences are of.

    Raises:
        ValueError: a run, whose name this is, was not evaluated on the sequences of the first.
    """
    cubes = [_cube(table) for table in tables]
    ks, first = cubes[0]
    for run, (other_ks, cells) in zip(runs, cubes, strict=True):
        same = (np.array_equal(first[c], cells[c]) for c in ("symbols", "late_symbols"))
        if not (np.array_equal(ks, other_ks) and all(same)):
            raise ValueError(run.identifier)
    return Counts(
        experiment=experiment,
        mode=mode,
        runs=[run.identifier for run in runs],
        depths=np.array([run.model.depth for run in runs]),
        seeds=np.array([run.seed for run in runs]),
        ks=ks,
        guess=np.array([task.guess(k) for k in ks.tolist()]),
        wrong=np.stack([cells["wrong"] for _, cells in cubes]),
        symbols=first["symbols"],
        late_wrong=np.stack([cells["late_wrong"].sum(1) for _, cells in cubes]),
        late_symbols=first["late_symbols"].sum(1),
    )


def errors_by_run(counts: list[Counts]) -> pd.DataFrame:
    """Return a row for each run and k, with the interval over sequences."""
    rows = []
    for part in counts:
        late_errors = part.late_errors()
        for r, errors in enumerate(part.errors()):
            for place, error in enumerate(errors):
                low, high = sequence_interval(part.wrong[r, place], part.symbols[place])
                rows.append(
                    {
                        "experiment": part.experiment,
                        "run": part.runs[r],
                        "depth": part.depths[r],
                        "seed": part.seeds[r],
                        "mode": part.mode,
                        "k": part.ks[place],
                        "error": error,
                        "sequences_low": low,
                        "sequences_high": high,
                        "sequences": part.symbols.shape[1],
                        "symbols": int(part.symbols[place].sum()),
                        "late_error": late_errors[r, place],
                        "late_symbols": int(part.late_symbols[place]),
                        "guess": part.guess[place],
                    }
                )
    return pd.DataFrame(rows)


def errors_by_depth(counts: list[Counts]) -> pd.DataFrame:
    """Return a row for each experiment, depth and k: the error pooled over seeds, two intervals."""
    rows = []
    for part in counts:
        errors, late_errors = part.errors(), part.late_errors()
        for depth in np.unique(part.depths):
            chosen = part.depths == depth
            for place, k in enumerate(part.ks):
                # Every seed answers the same sequences, so that a sequence is one draw for all.
                wrong = part.wrong[chosen, place].sum(0)
                symbols = part.symbols[place] * chosen.sum()
                sequences_low, sequences_high = sequence_interval(wrong, symbols)
                seeds_low, seeds_high = seed_interval(errors[chosen, place])
                rows.append(
                    {
                        "experiment": part.experiment,
                        "depth": depth,
                        "mode": part.mode,
                        "k": k,
                        "error": errors[chosen, place].mean(),
                        "sequences_low": sequences_low,
                        "sequences_high": sequences_high,
                        "seeds_low": seeds_low,
                        "seeds_high": seeds_high,
                        "seeds": int(chosen.sum()),
                        "sequences": part.symbols.shape[1],
                        "symbols": int(part.symbols[place].sum()),
                        "late_error": late_errors[chosen, place].mean(),
                        "late_symbols": int(part.late_symbols[place]),
                        "guess": part.guess[place],
                    }
                )
    return pd.DataFrame(rows)


def _read_evaluation(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"mode": str})
    wanted = ["mode", "k", "sequence", *_CELLS]
    if missing := [column for column in wanted if column not in table]:
        raise UserError(f"{path}: no column '{missing[0]}'; expected {', '.join(wanted)}")
    return table


def _cube(table: pd.DataFrame) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Return values of k (K,), and each kind of count (K, S)."""
    cells = table.set_index(["k", "sequence"])[list(_CELLS)]
    unstacked = cells.unstack("sequence")  # noqa: PD010 - each cell stands once
    found = {column: unstacked[column].to_numpy(float) for column in _CELLS}
    return unstacked.index.to_numpy(), found


def _share(wrong: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):
        share: NDArray[np.float64] = wrong / answers
    return share
