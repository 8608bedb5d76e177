"""GPT-2 as the authors used it (paper: Table 2), and its weights as HuggingFace names them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from logdepth.models.base import Model, check_heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from logdepth.models.network import Network
    from logdepth.tasks.base import Task

# The authors' embedding has room for so many tokens, whatever the task.
VOCABULARY = 30

_NAMES = {
    "wte.weight": "tokens.weight",
    "wpe.weight": "positions.weight",
    "ln_f.weight": "norm.weight",
    "ln_f.bias": "norm.bias",
}
_PARTS = {
    "ln_1": "mixer_norm",
    "attn.c_attn": "mixer.query_key_value",
    "attn.c_proj": "mixer.output",
    "ln_2": "mlp_norm",
    "mlp.c_fc": "mlp.hidden",
    "mlp.c_proj": "mlp.output",
}


class Gpt2(Model):
    """HuggingFace's GPT2Model without a head: the last hidden state is the logits."""

    has_attention: ClassVar[bool] = True

    form: Literal["gpt2"] = "gpt2"
    """The authors' model, to the letter."""
    depth: int = Field(1, ge=1)
    """Number of blocks, L; an experiment sets it from its ``depths``."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    width: int = Field(128, ge=VOCABULARY)
    """Width of the residual stream, m; at least the vocabulary of 30 tokens."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of embeddings, attention weights and residual branches while training."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        check_heads(self.heads, self.width)
        return self

    def check(self, task: Task) -> None:
        """Raise a ValueError if the task has too many tokens."""
        if task.vocabulary > VOCABULARY:
            raise ValueError(
                f"the task has {task.vocabulary} tokens, but the form gpt2 has {VOCABULARY}; "
                f"expected a smaller task (its max_k is {task.max_k}), or another form"
            )

    def build(self, task: Task, generator: torch.Generator | None = None) -> Network:
        """Return the network for a task."""
        from logdepth.models.layers import MLP, Attention
        from logdepth.models.network import Block, Network

        def block() -> Block:
            attention = Attention(self.width, self.heads, self.dropout)
            mlp = MLP(self.width, 4 * self.width, "gelu_tanh")
            return Block(self.width, attention, mlp, self.dropout)

        return Network(
            block,
            vocabulary=VOCABULARY,
            # The authors' position table has room for 100 tokens, one more than they use.
            context=task.context + 1,
            depth=self.depth,
            width=self.width,
            answers=None,
            positions="normal",
            dropout=self.dropout,
            init_std=0.02,
            generator=generator,
        )

    def label(self) -> str:
        """Return form, depth, heads and width."""
        return f"{self.form}-L{self.depth}-H{self.heads}-m{self.width}"


def from_huggingface(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename and transpose the weights of a GPT2Model for ``Network.load_state_dict``.

    GPT-2's Conv1D layers keep (inputs, outputs) matrices, linear layers (outputs, inputs). The
    causal-mask buffers of older versions are left out.

    Raises:
        KeyError: a name that GPT2Model does not have.
    """
    result = {}
    for name, tensor in state.items():
        if re.fullmatch(r"h\.\d+\.attn\.(bias|masked_bias)", name):
            continue
        if name in _NAMES:
            result[_NAMES[name]] = tensor
            continue
        match = re.fullmatch(r"h\.(\d+)\.(.+)\.(weight|bias)", name)
        if match is None or match[2] not in _PARTS:
            raise KeyError(f"{name} is not a weight of GPT2Model")
        is_conv1d = match[3] == "weight" and tensor.dim() == 2
        result[f"blocks.{match[1]}.{_PARTS[match[2]]}.{match[3]}"] = (
            tensor.T.contiguous() if is_conv1d else tensor
        )
    return result
