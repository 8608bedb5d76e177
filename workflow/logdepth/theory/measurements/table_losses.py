"""How many messages the random table loses (in place of Fact B.2)."""

import numpy as np
import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.mpc.codes import RandomTable, loss_bound
from logdepth.theory.mpc.traffic import fans_for, full_load, private_columns

GROUPS = 12


def table(settings: Theory) -> pd.DataFrame:
    """Count lost messages under full load, with a new pattern and a new table each time.

    Returns:
        A row per messages s to and from a token and number of groups g from 1 to 12: tokens,
        fan (s), groups, columns (d), messages, lost, loss (lost over messages) and bound on the
        probability of that, (1 - (1 - 1/w)^(s^2 - 1))^g with w = 2 s^2.
    """
    tokens = max(settings.machines)
    rng = np.random.default_rng(settings.seed)
    rows = []
    for fan in fans_for(tokens, settings.fans):
        lost = np.zeros(GROUPS, np.int64)
        for trial in range(settings.instances):
            code = RandomTable(fan, GROUPS, seed=settings.seed + trial)
            private = private_columns(code, *full_load(tokens, fan, rng))
            # A table of g groups is the first g of these.
            lost += (~np.logical_or.accumulate(private, 1)).sum(0)
        messages = settings.instances * tokens * fan
        rows += [
            {
                "tokens": tokens,
                "fan": fan,
                "groups": groups,
                "columns": groups * 2 * fan**2,
                "messages": messages,
                "lost": count,
                "loss": count / messages,
                "bound": loss_bound(fan, groups),
            }
            for groups, count in enumerate(lost.tolist(), 1)
        ]
    return pd.DataFrame(rows)
