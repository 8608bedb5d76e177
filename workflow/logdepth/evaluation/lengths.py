"""What models answer on strings longer than those of training."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from logdepth.config.run import Run, longer
from logdepth.evaluation.counts import counts_of, errors_by_depth
from logdepth.evaluation.error_rates import count_errors, evaluation_set
from logdepth.models.network import Network


def length_table(
    experiments: Mapping[str, list[Run]],
    load: Callable[[Run], Network],
    lengths: Sequence[int],
    ks: Sequence[int] | None,
    sequences: int,
    seed: int,
) -> pd.DataFrame:
    """Return the errors of models on strings several times as long.

    There are as many answers at each length, up to rounding: fewer sequences of the longer ones.

    Args:
        experiments: the runs of each, of models without position embeddings.
        load: returns the network of a run, on the device to use.
        lengths: how many times as long as in training.
        ks: values of k; by default all of the task.
        sequences: for each k, at the length of training.
        seed: of the frozen sets; at the length of training that of the evaluation.

    Returns:
        The columns of ``errors_by_depth`` and context, the number of tokens of a string.
    """
    found = []
    for experiment, runs in experiments.items():
        networks = [load(run) for run in runs]
        for times in lengths:
            task = longer(runs[0].task, times)
            data = evaluation_set(
                task, tuple(sorted(ks or task.ks)), max(2, sequences // times), seed
            )
            tables = [count_errors(network, data, mode="eval") for network in networks]
            counts = counts_of(experiment, "eval", runs, tables, task)
            found.append(errors_by_depth([counts]).assign(context=task.context))
    return pd.concat(found, ignore_index=True)
