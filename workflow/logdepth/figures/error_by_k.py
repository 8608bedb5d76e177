"""Error against k, a line for each depth (paper: Figures 2 and 6).

Error against *k*, a line for each depth. Bars are 95 % intervals over sequences, bands 95 %
intervals over seeds. The grey line is the best guess that does without solving the task: for hop_k
from the symbol at the position alone, which comes back after two hops in half of all cases and is
never met after one, so that odd and even *k* differ where nothing is solved.
"""

import pandas as pd
from matplotlib.figure import Figure

from logdepth.figures.style import error_lines_by_k, searches

TABLES = ("errors",)

prepare = searches


def draw(data: pd.DataFrame) -> Figure:
    """Draw the errors and the best guess; bars are intervals over sequences, bands over seeds."""
    return error_lines_by_k(data, line="depth", symbol="L")
