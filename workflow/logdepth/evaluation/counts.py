"""The counts of a study's runs, as tables and as arrays."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.intervals import seed_interval, sequence_interval


@dataclass(frozen=True)
class Counts:
    """Wrong answers of the runs of one experiment under one dropout setting.

    Attributes:
        experiment: its name.
        dropout: "on" or "off".
        runs: (R,) identifiers.
        depths: (R,) depth of each run.
        seeds: (R,) seed of each run.
        alphabet: number of symbols of the task.
        hops: (K,) values of k, ascending.
        wrong: (R, K, S) wrong answers of each sequence.
        symbols: (K, S) answers of each sequence, the same for every run.
    """

    experiment: str
    dropout: str
    runs: list[str]
    depths: NDArray[np.int64]
    seeds: NDArray[np.int64]
    alphabet: int
    hops: NDArray[np.int64]
    wrong: NDArray[np.float64]
    symbols: NDArray[np.float64]

    def errors(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Return the pooled errors (R, K); ``weights`` (K, S) says how often a sequence counts."""
        weights = np.ones_like(self.symbols) if weights is None else weights
        answers = (self.symbols * weights).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            errors: NDArray[np.float64] = np.einsum("rks,ks->rk", self.wrong, weights) / answers
        return errors


def read_counts(runs_folder: Path, experiments: dict[str, list[str]]) -> list[Counts]:
    """Read the evaluations of a study.

    Args:
        runs_folder: holds <run>/run.json and <run>/evaluation.csv.
        experiments: identifiers of the runs of each experiment.

    Raises:
        UserError: the runs of an experiment were not evaluated on the same sequences.
    """
    result = []
    for experiment, identifiers in experiments.items():
        runs = [_read_run(runs_folder / name / "run.json") for name in identifiers]
        tables = [_read_evaluation(runs_folder / name / "evaluation.csv") for name in identifiers]
        for dropout in tables[0]["dropout"].unique():
            cubes = [_cube(table[table["dropout"] == dropout]) for table in tables]
            hops, _, symbols = cubes[0]
            for name, (other_hops, _, other_symbols) in zip(identifiers, cubes, strict=True):
                if not (
                    np.array_equal(hops, other_hops) and np.array_equal(symbols, other_symbols)
                ):
                    raise UserError(
                        f"{runs_folder / name}/evaluation.csv: not the sequences on which "
                        f"{identifiers[0]} was evaluated; evaluate both on one set"
                    )
            result.append(
                Counts(
                    experiment=experiment,
                    dropout=str(dropout),
                    runs=identifiers,
                    depths=np.array([run.model.depth for run in runs]),
                    seeds=np.array([run.seed for run in runs]),
                    alphabet=runs[0].task.alphabet,
                    hops=hops,
                    wrong=np.stack([wrong for _, wrong, _ in cubes]),
                    symbols=symbols,
                )
            )
    return result


def errors_by_run(counts: list[Counts]) -> pd.DataFrame:
    """Return a row for each run and k, with the interval over sequences."""
    rows = []
    for part in counts:
        for r, errors in enumerate(part.errors()):
            for k, error in enumerate(errors):
                low, high = sequence_interval(part.wrong[r, k], part.symbols[k])
                rows.append(
                    {
                        "experiment": part.experiment,
                        "run": part.runs[r],
                        "depth": part.depths[r],
                        "seed": part.seeds[r],
                        "dropout": part.dropout,
                        "hops": part.hops[k],
                        "error": error,
                        "sequences_low": low,
                        "sequences_high": high,
                        "sequences": part.symbols.shape[1],
                        "symbols": int(part.symbols[k].sum()),
                    }
                )
    return pd.DataFrame(rows)


def errors_by_depth(counts: list[Counts]) -> pd.DataFrame:
    """Return a row for each experiment, depth and k: the error pooled over seeds, two intervals."""
    rows = []
    for part in counts:
        errors = part.errors()
        for depth in np.unique(part.depths):
            chosen = part.depths == depth
            for k, hops in enumerate(part.hops):
                # Every seed answers the same sequences, so that a sequence is one draw for all.
                wrong = part.wrong[chosen, k].sum(0)
                symbols = part.symbols[k] * chosen.sum()
                sequences_low, sequences_high = sequence_interval(wrong, symbols)
                seeds_low, seeds_high = seed_interval(errors[chosen, k])
                rows.append(
                    {
                        "experiment": part.experiment,
                        "depth": depth,
                        "dropout": part.dropout,
                        "hops": hops,
                        "error": errors[chosen, k].mean(),
                        "sequences_low": sequences_low,
                        "sequences_high": sequences_high,
                        "seeds_low": seeds_low,
                        "seeds_high": seeds_high,
                        "seeds": int(chosen.sum()),
                        "sequences": part.symbols.shape[1],
                        "symbols": int(part.symbols[k].sum()),
                    }
                )
    return pd.DataFrame(rows)


def _read_run(path: Path) -> Run:
    return Run.model_validate(json.loads(path.read_text()))


def _read_evaluation(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype={"dropout": str})
    wanted = ["dropout", "hops", "sequence", "wrong", "symbols"]
    if missing := [column for column in wanted if column not in table]:
        raise UserError(f"{path}: no column '{missing[0]}'; right would be {', '.join(wanted)}")
    return table


def _cube(
    table: pd.DataFrame,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return values of k (K,), wrong answers (K, S) and answers (K, S)."""
    cells = table.set_index(["hops", "sequence"])
    wrong = cells["wrong"].unstack("sequence")  # noqa: PD010 - each cell stands once
    symbols = cells["symbols"].unstack("sequence")  # noqa: PD010
    return wrong.index.to_numpy(), wrong.to_numpy(float), symbols.to_numpy(float)
