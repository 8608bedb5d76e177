r"""Share of wrong answers by encoding, number format and N (paper: precision p = Theta(log N)).

Wrong answers, in percent, of the hop\ :sub:`k` transformers at the temperature of Lemma A.2, on
strings chosen to be hard and for the *k* up to the largest that the transformer passes through
(measured; grey 0 is no error at all). In the last two rows of each table, states, weights and
attention are bfloat16 and sums float32; logits are float32, then bfloat16 as well. With 8 bits of
mantissa a logit tells apart positions up to 256. The theory asks for a number of bits that grows
with log *N*.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from logdepth.figures.style import WIDE_INCHES, Shown

TABLES = ("formats",)

ENCODINGS = ("circle", "quadratic", "bits")
FORMATS = {
    "float64": "float64",
    "float32": "float32",
    "bfloat16": "bf16, logits f32",
    "bfloat16 logits": "bf16, logits bf16",
}
# A step away from white, so that a small share is seen as well.
_SHADES = Normalize(-0.15, 0.75)


def prepare(tables: dict[str, pd.DataFrame], _shown: Shown) -> pd.DataFrame:
    """Return the table of formats with a column ``share``, wrong over answers."""
    table = tables["formats"]
    return table.assign(share=table["wrong"] / table["answers"])


def draw(data: pd.DataFrame) -> Figure:
    """Draw formats downwards and N to the right, each cell with its wrong answers in percent."""
    alphabets = sorted(set(data["alphabet"]))
    encodings = [name for name in ENCODINGS if name in set(data["encoding"])]
    figure = Figure(figsize=(WIDE_INCHES, 0.6 + 0.75 * len(alphabets)))
    axes = figure.subplots(len(alphabets), len(encodings), squeeze=False, sharex=True, sharey=True)
    for row, alphabet in zip(axes, alphabets, strict=True):
        for axis, encoding in zip(row, encodings, strict=True):
            chosen = (data["alphabet"] == alphabet) & (data["encoding"] == encoding)
            _draw_cells(axis, data[chosen])
        row[0].set_ylabel(rf"$|\Sigma|={alphabet}$")
    for axis, encoding in zip(axes[0], encodings, strict=True):
        axis.set_title(encoding)
    figure.supxlabel("length $N$ (in the cells: wrong answers in %)", fontsize=8)
    return figure


def _draw_cells(axis: Axes, part: pd.DataFrame) -> None:
    shares = part.pivot_table(index="precision", columns="length", values="share")
    shares = shares.reindex(list(FORMATS))
    wrong = shares.where(shares > 0)
    axis.imshow(wrong, cmap="Blues", norm=_SHADES, aspect="auto", interpolation="none")
    axis.grid(visible=False)
    axis.tick_params(length=0)
    axis.set_xticks(range(len(shares.columns)), shares.columns, fontsize=7)
    axis.set_yticks(range(len(FORMATS)), FORMATS.values(), fontsize=7)
    for (row, column), share in np.ndenumerate(shares.to_numpy()):
        axis.text(
            column,
            row,
            _percent(share),
            ha="center",
            va="center",
            fontsize=6.5,
            color="0.5" if share == 0 else "white" if _SHADES(share) > 0.55 else "black",
        )


def _percent(share: float) -> str:
    """Return a share in percent, so that nothing but 0 looks like 0."""
    if share == 0:
        return "0"
    if share < 0.0005:
        return "<.1"
    return f"{100 * share:.1f}" if share < 0.0995 else f"{100 * share:.0f}"
