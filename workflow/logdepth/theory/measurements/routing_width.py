"""How wide a head is that delivers messages (paper: Lemma 3.2)."""

import pandas as pd

from logdepth.config.theory import Theory
from logdepth.theory.mpc.codes import KautzSingleton, RandomTable, paper_columns
from logdepth.theory.mpc.routing import RoutingHead
from logdepth.theory.mpc.traffic import fans_for

WORD_BITS = 16


def table(settings: Theory) -> pd.DataFrame:
    """Compare the width of a head that routes messages of one word, for each code.

    Returns:
        A row per number of tokens N, messages s to and from a token, and code ("paper", "explicit"
        or "table"): tokens, fan (s), code, columns (d), query_width, numbers_width
        (4 d + query_width: a packet is four numbers, as in the paper) and bits_width (the same with
        packets in binary, words of 16 bits). The paper's row has the constants of its proof, d =
        24 s^4 ln N.
    """
    return pd.DataFrame(
        [
            row
            for tokens in sorted(set(settings.machines))
            for fan in fans_for(tokens, settings.fans)
            for row in _rows(tokens, fan)
        ]
    )


def _rows(tokens: int, fan: int) -> list[dict[str, int | str]]:
    code = RandomTable(fan)
    head = RoutingHead(tokens, fan, 1, WORD_BITS, code, temperature=1.0)
    columns = {
        "paper": paper_columns(tokens, fan**2),
        "explicit": KautzSingleton(tokens, fan**2).columns,
        "table": code.columns,
    }
    return [
        {
            "tokens": tokens,
            "fan": fan,
            "code": name,
            "columns": count,
            "query_width": head.query_width,
            "numbers_width": 4 * count + head.query_width,
            "bits_width": head.packet * count + head.query_width,
        }
        for name, count in columns.items()
    ]
