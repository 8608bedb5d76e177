"""No training: hop_k written down as weights; see ``logdepth.theory.hop_to_weights``.

The sizes are whole numbers alone, so that a configuration that does not fit is refused before
anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.recipes.base import Recipe
from logdepth.tasks.hop import Hop

if TYPE_CHECKING:
    from logdepth.models.base import Model
    from logdepth.tasks.base import Task


class Compiled(Recipe):
    """No training: hop_k written down as weights, exact up to k = 2^(depth - 2).

    See the paper's Theorem 4.2.
    """

    is_trained: ClassVar[bool] = False

    recipe: Literal["compiled"] = "compiled"
    """The construction of the theory; needs 2 heads, 2 blocks and an MLP at least."""

    def check(self, task: Task, model: Model) -> None:
        """Raise a ValueError if the construction does not fit."""
        if not isinstance(task, Hop):
            raise ValueError(f"the recipe compiled is for the task hop, not {task.name}")
        if not isinstance(model, Softmax | Gpt2):
            raise ValueError(
                f"the recipe compiled is for the forms softmax and gpt2, not {model.form}"
            )
        if isinstance(model, Softmax) and not model.mlp_ratio:
            raise ValueError("model.mlp_ratio is 0, but a compiled model needs an MLP: 1 or more")
        if model.depth < 2 or model.heads < 2:
            raise ValueError("a compiled model needs a depth of 2 or more, and 2 heads or more")
        sizes = register_bits(task.context, task.alphabet, model.depth)
        if isinstance(model, Gpt2):
            sizes["classes"] = task.alphabet + 2
        needed = least_width(sizes, model.heads)
        if model.width < needed or model.width % 2:
            raise ValueError(
                f"model.width is {model.width}, but a compiled model of this task with "
                f"{model.heads} heads needs an even width of at least {needed}"
            )


def bits_for(count: int) -> int:
    """Return the bits that tell ``count`` numbers apart, at least 1."""
    return max(1, (count - 1).bit_length())


def ladder_layers(max_k: int) -> int:
    """Return the blocks after the second that k up to ``max_k`` takes, ceil(log2 max_k)."""
    return (max_k - 1).bit_length()


def register_bits(context: int, alphabet: int, depth: int) -> dict[str, int]:
    """Return the bits of each register of the residual stream.

    A place has as many as the hop token's message at least, which starts out in a place register.
    """
    # One for each block after the second, one that says whether k is 0.
    hops = depth - 1
    place, symbol = max(bits_for(context), hops), bits_for(alphabet + 1)
    return {
        "place": place,
        "lower": place,
        "upper": place,
        "symbol": symbol,
        "found": symbol,
        "hops": hops,
    }


def least_width(sizes: dict[str, int], heads: int) -> int:
    """Return the width that the registers and the heads need.

    Every bit stands beside its opposite, and a head fetches two places and a symbol at once.
    """
    per_head = max(2 * sizes["place"] + sizes["found"], sizes["symbol"] + 3)
    return max(2 * sum(sizes.values()), heads * per_head)
