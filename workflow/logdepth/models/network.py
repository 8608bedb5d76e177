"""The network around the blocks of every architecture: embeddings, residual stream, head."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from logdepth.models.layers import Dropout, Noise
from logdepth.random import stream_start


class Block(nn.Module):
    """Pre-norm block: what mixes tokens, then (if there is one) an MLP, each added to the stream.

    Weight matrices that write to the stream are layers named ``output``: they start smaller.
    """

    def __init__(
        self, width: int, mixer: nn.Module, mlp: nn.Module | None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.mixer_norm = nn.LayerNorm(width)
        self.mixer = mixer
        self.mlp_norm = nn.LayerNorm(width) if mlp else None
        self.mlp = mlp
        self.drop = Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n, m) to (batch, n, m)."""
        x = x + self.drop(self.mixer(self.mixer_norm(x)))
        if self.mlp is not None and self.mlp_norm is not None:
            x = x + self.drop(self.mlp(self.mlp_norm(x)))
        return x


class Network(nn.Module):
    """Token and position embeddings, blocks, a last norm and a head.

    Attributes:
        width: of the residual stream, m.
        depth: number of blocks that a token goes through, L.
        context: number of tokens that it was built for.
        blocks: the different blocks, in order; ``Muon`` takes their matrices.
        noise: what dropout draws from.
        used: how many blocks a token goes through now: all, but for a network that still grows.
    """

    def __init__(
        self,
        block: Callable[[], Block],
        *,
        vocabulary: int,
        context: int,
        depth: int,
        width: int,
        answers: range | None,
        group: int | None = None,
        positions: Literal["normal", "sinusoid", "none"] = "sinusoid",
        dropout: float = 0.0,
        init_std: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network and draw its starting weights.

        Args:
            block: makes a block.
            vocabulary: number of token ids.
            context: largest number of tokens; any number without position embeddings.
            depth: number of blocks that a token goes through.
            width: of the residual stream.
            answers: token ids that the head has a class for; None makes the last hidden state the
                logits, a number for each token id.
            group: number of different blocks, gone through until the depth is reached; by default
                all are different.
            positions: how the learned position embeddings start; "none" leaves them out.
            dropout: of embeddings.
            init_std: standard deviation of embeddings and weights at the start.
            generator: of the starting weights.
        """
        super().__init__()
        self.width, self.depth, self.used = width, depth, depth
        self.context = context
        self._answers = answers
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = None if positions == "none" else nn.Embedding(context, width)
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(block() for _ in range(group or depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(answers), bias=False) if answers else None
        self.noise = Noise()
        for layer in self.modules():
            if isinstance(layer, Dropout):
                layer.noise = self.noise
        self._initialise(init_std, generator)
        if self.positions is not None and positions == "sinusoid":
            with torch.no_grad():
                self.positions.weight.copy_(init_std * math.sqrt(2) * _sinusoids(context, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map token ids (batch, n) to logits (batch, n, classes), or (batch, n, m) without head."""
        x = self.drop(self.embed(tokens))
        for place in range(self.used):
            x = self.blocks[place % len(self.blocks)](x)
        logits: torch.Tensor = self.norm(x)
        if self.head is not None:
            logits = self.head(logits)
        return logits

    def embed(self, tokens: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Return the embeddings of tokens, (..., n), and of their places from ``first`` on.

        Returns:
            (..., n, m), their sum.
        """
        embedded: torch.Tensor = self.tokens(tokens)
        if self.positions is not None:
            places = torch.arange(first, first + tokens.shape[-1], device=tokens.device)
            embedded = embedded + self.positions(places.expand_as(tokens))
        return embedded

    def draw_from(self, seed: int) -> None:
        """Let dropout draw the numbers of a seed from here on."""
        self.noise.begin(torch.tensor([stream_start("dropout", seed)]))

    @torch.no_grad()
    def silence(self, first: int) -> None:
        """Let the blocks from some place on, from 0, write nothing to the stream."""
        for name, parameter in self.blocks[first:].named_parameters():
            if name.endswith(("output.weight", "output.bias")):
                parameter.zero_()

    def labels(self, targets: torch.Tensor) -> torch.Tensor:
        """Turn target tokens into the classes the logits are about.

        Without a head, classes are the token ids themselves, also those that are no answer, as in
        the authors' code; with one, class i is the i-th answer.

        Args:
            targets: int64 (batch, n) token ids.

        Returns:
            int64 (batch, n); -100 where no class is right.
        """
        if self._answers is None:
            return targets
        shifted = targets - self._answers.start
        return torch.where((shifted >= 0) & (shifted < len(self._answers)), shifted, -100)

    @torch.no_grad()
    def _initialise(self, std: float, generator: torch.Generator | None) -> None:
        for name, parameter in self.named_parameters():
            if "bias" in name:
                parameter.zero_()
            elif parameter.dim() == 2:
                residual = name.endswith("output.weight")
                scale = 1 / math.sqrt(2 * self.depth) if residual else 1.0
                parameter.normal_(std=std * scale, generator=generator)


def _sinusoids(context: int, width: int) -> torch.Tensor:
    frequencies = 100.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.outer(torch.arange(context), frequencies)
    return torch.cat([angles.cos(), angles.sin()], 1)
