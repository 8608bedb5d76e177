r"""Error against k on strings longer than those of training, for models without positions.

Error against *k* at the largest depth, a panel for each architecture and a line for each length of
string, *N*; the shortest is that of training. There are as many answers at each length. Bars are
95 % intervals over sequences, bands 95 % intervals over seeds. The grey line is the best guess that
does without solving the task.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import Shown, error_lines_by_k, searches

TABLES = ("lengths",)


def prepare(tables: dict[str, pd.DataFrame], shown: Shown) -> pd.DataFrame:
    """Return the errors of the deepest models at k >= 1, with titles."""
    errors = tables["lengths"]
    return searches({"errors": errors[errors["depth"] == errors["depth"].max()]}, shown)


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors and the best guess, a line for each length."""
    return error_lines_by_k(data, line="context", symbol="N")
