"""The causal transformer of both recipes: GPT-2 as the authors used it, and the fast form."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from logdepth.config.run import PAPER_VOCABULARY, FastModel, PaperModel, Task
from logdepth.models.layers import MLP, Attention, Dropout


@dataclass(frozen=True)
class Architecture:
    """Everything that decides the shape of the function the model computes.

    Attributes:
        vocabulary: number of token ids.
        context: largest number of tokens.
        depth: number of blocks, L.
        heads: attention heads of a block, H.
        width: width of the residual stream, m.
        mlp_ratio: width of the MLP over m; 0 for blocks of attention alone.
        activation: of the MLP; "gelu_tanh" is GPT-2's approximation.
        dropout: of embeddings, attention weights and residual branches.
        classes: outputs of the head; None makes the last hidden state the logits.
        positions: how the learned position embeddings start.
        init_std: standard deviation of embeddings and weights at the start.
    """

    vocabulary: int
    context: int
    depth: int
    heads: int
    width: int
    mlp_ratio: int
    activation: Literal["gelu", "gelu_tanh"]
    dropout: float
    classes: int | None
    positions: Literal["normal", "sinusoid"]
    init_std: float


def architecture(task: Task, model: FastModel | PaperModel) -> Architecture:
    """Return the architecture that a configuration stands for.

    The paper's form is HuggingFace's GPT2Model without a language-model head (paper: Table 2);
    the fast form has a head of its own over the symbols and "no such position".
    """
    if isinstance(model, PaperModel):
        return Architecture(
            vocabulary=PAPER_VOCABULARY,
            # The authors' position table has room for 100 tokens, one more than they use.
            context=task.context + 1,
            depth=model.depth,
            heads=model.heads,
            width=model.width,
            mlp_ratio=4,
            activation="gelu_tanh",
            dropout=model.dropout,
            classes=None,
            positions="normal",
            init_std=0.02,
        )
    return Architecture(
        vocabulary=task.vocabulary,
        context=task.context,
        depth=model.depth,
        heads=model.heads,
        width=model.width,
        mlp_ratio=model.mlp_ratio,
        activation="gelu",
        dropout=0.0,
        classes=task.alphabet + 1,
        positions="sinusoid",
        init_std=model.init_std,
    )


class Block(nn.Module):
    """Pre-norm block: attention, then (unless mlp_ratio is 0) an MLP, each added to the stream."""

    def __init__(self, spec: Architecture) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(spec.width)
        self.attention = Attention(spec.width, spec.heads, spec.dropout)
        hidden = spec.mlp_ratio * spec.width
        self.mlp_norm = nn.LayerNorm(spec.width) if hidden else None
        self.mlp = MLP(spec.width, hidden, spec.activation) if hidden else None
        self.drop = Dropout(spec.dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n, m) to (batch, n, m)."""
        x = x + self.drop(self.attention(self.attention_norm(x)))
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.drop(self.mlp(self.mlp_norm(x)))
        return x


class Transformer(nn.Module):
    """Causal transformer over token ids."""

    def __init__(self, spec: Architecture, generator: torch.Generator | None = None) -> None:
        """Build the model and draw its starting weights from ``generator``."""
        super().__init__()
        self.spec = spec
        self.tokens = nn.Embedding(spec.vocabulary, spec.width)
        self.positions = nn.Embedding(spec.context, spec.width)
        self.drop = Dropout(spec.dropout)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width)
        self.head = nn.Linear(spec.width, spec.classes, bias=False) if spec.classes else None
        self._initialise(generator)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map token ids (batch, n) to logits (batch, n, classes), or (batch, n, m) without head."""
        x = self.drop(self.tokens(tokens) + self.positions.weight[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.norm(x)
        if self.head is not None:
            logits = self.head(logits)
        return logits

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator | None) -> None:
        spec = self.spec
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.dim() == 2:
                residual = name.endswith("output.weight")
                scale = 1 / math.sqrt(2 * spec.depth) if residual else 1.0
                parameter.normal_(std=spec.init_std * scale, generator=generator)
        if spec.positions == "sinusoid":
            self.positions.weight.copy_(
                spec.init_std * math.sqrt(2) * _sinusoids(spec.context, spec.width)
            )


def labels(spec: Architecture, targets: torch.Tensor, first_symbol: int) -> torch.Tensor:
    """Turn target tokens into the classes the model's logits are about.

    Args:
        spec: of the model. Without a head, classes are the token ids themselves, blank included, as
            in the authors' code; with one, class 0 is the first symbol, "no such position" follows
            the last, and blank is ignored.
        targets: int64 (batch, n) token ids.
        first_symbol: token id of symbol 0.

    Returns:
        int64 (batch, n); -100 where no class is right.
    """
    if spec.classes is None:
        return targets
    shifted = targets - first_symbol
    return torch.where(shifted < spec.classes, shifted, -100)


def _sinusoids(context: int, width: int) -> torch.Tensor:
    frequencies = 100.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(context), frequencies)
    return torch.cat([angles.cos(), angles.sin()], 1)
