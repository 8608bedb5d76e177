"""Optimisers and learning-rate schedule of the two recipes."""

import torch

from logdepth.config.run import FastRecipe, PaperRecipe
from logdepth.models.transformer import Transformer
from logdepth.training.muon import Muon
from logdepth.training.optimizer import AdamW, Optimizer


def optimizers(model: Transformer, recipe: FastRecipe | PaperRecipe) -> list[Optimizer]:
    """Return the recipe's optimisers; together they hold every parameter once.

    The fast recipe gives the weight matrices of the blocks to Muon and all else to AdamW; the
    paper's is AdamW alone.
    """
    if isinstance(recipe, PaperRecipe):
        return [_adamw(list(model.parameters()), recipe)]
    matrices = [p for p in model.blocks.parameters() if p.dim() == 2]
    taken = {id(p) for p in matrices}
    muon = Muon(
        matrices,
        lr=recipe.muon_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return [muon, _adamw([p for p in model.parameters() if id(p) not in taken], recipe)]


def rate_factor(step: int, warmup: int, steps: int) -> float:
    """Return the learning rate of a step over its peak: linear warm-up, then linear decay to 0.

    The formula of HuggingFace's ``get_linear_schedule_with_warmup``, which the authors used.
    """
    if step < warmup:
        return step / warmup
    return max(0.0, (steps - step) / (steps - warmup))


def _adamw(parameters: list[torch.nn.Parameter], recipe: FastRecipe | PaperRecipe) -> AdamW:
    return AdamW(
        parameters,
        lr=recipe.adamw_rate,
        betas=recipe.betas,
        weight_decay=recipe.weight_decay,
    )
