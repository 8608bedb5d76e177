"""The definition of one run: everything that decides which model is trained, and nothing else."""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from logdepth.canonical import digest
from logdepth.config.construction import least_width, register_bits
from logdepth.errors import UserError

PAPER_VOCABULARY = 30


class Settings(BaseModel):
    """Base of every configuration class: unknown keys are refused, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                close = difflib.get_close_matches(str(key), cls.model_fields, 1)
                meant = f", did you mean '{close[0]}'?" if close else ""
                allowed = ", ".join(cls.model_fields)
                raise ValueError(f"unknown key '{key}'{meant} (allowed: {allowed})")
        return data


class Task(Settings):
    """The hop_k task of the paper's section 4.2: one hop token, then a string of symbols."""

    context: int = Field(99, ge=2)
    """Tokens in a sequence: the hop token and context - 1 symbols."""
    alphabet: int = Field(4, ge=2)
    """Number of symbols; neighbouring symbols of a string always differ."""
    max_hops: int = Field(16, ge=1)
    """Largest k; each k from 0 to this has a hop token and is drawn equally often."""

    @property
    def vocabulary(self) -> int:
        """Tokens in use: hop tokens 0..max_hops, the symbols, "no such position" and blank."""
        return self.max_hops + 1 + self.alphabet + 2


class FastModel(Settings):
    """Pre-norm causal transformer as the fast recipe trains it."""

    form: Literal["fast"]
    """The model of the project's own recipe."""
    depth: int = Field(1, ge=1)
    """Number of blocks, L; an experiment sets it from its ``depths``."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    width: int = Field(64, ge=2)
    """Width of the residual stream, m; an even number."""
    mlp_ratio: int = Field(4, ge=0)
    """Width of a block's MLP over the model's width; 0 leaves the MLP out."""
    init_std: float = Field(0.1, gt=0)
    """Standard deviation of embeddings and weights at the start."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        _check_heads(self.heads, self.width)
        if self.width % 2:
            raise ValueError(f"width is {self.width}, but sinusoidal positions need an even one")
        return self


class PaperModel(Settings):
    """GPT-2 as the authors used it: the last hidden state itself serves as logits."""

    form: Literal["paper"]
    """The authors' model, to the letter."""
    depth: int = Field(1, ge=1)
    """Number of blocks, L; an experiment sets it from its ``depths``."""
    heads: int = Field(4, ge=1)
    """Attention heads of a block, H; must divide the width."""
    width: int = Field(128, ge=PAPER_VOCABULARY)
    """Width of the residual stream, m; at least the vocabulary of 30 tokens."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Dropout of embeddings, attention weights and residual branches while training."""

    @model_validator(mode="after")
    def _shapes(self) -> Self:
        _check_heads(self.heads, self.width)
        return self


class FastRecipe(Settings):
    """Muon on the weight matrices of the blocks, AdamW on the rest, linear decay to zero."""

    recipe: Literal["fast"]
    """The project's own recipe."""
    steps: int = Field(2000, ge=1)
    """Optimiser steps."""
    batch: int = Field(64, ge=1)
    """Sequences of a step; every batch is fresh unless ``samples`` is set."""
    samples: int | None = Field(None, ge=1)
    """Sequences of a finite training set; its whole batches are repeated in a fixed order."""
    warmup: int = Field(100, ge=0)
    """Steps of linear warm-up."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the matrix products; attention itself is float32 on a CPU."""
    muon_rate: float = Field(0.02, gt=0)
    """Learning rate of Muon."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """Momentum of Muon."""
    adamw_rate: float = Field(3e-3, gt=0)
    """Learning rate of AdamW."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Averaging factors of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of both optimisers."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""

    @property
    def trained_steps(self) -> int:
        """Steps that are trained."""
        return self.steps

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        _check_schedule(self)
        return self


class PaperRecipe(Settings):
    """The authors' recipe: AdamW, linear warm-up, linear decay to zero."""

    recipe: Literal["paper"]
    """The authors' recipe, to the letter."""
    steps: int = Field(100_001, ge=1)
    """Optimiser steps of the schedule."""
    stop_after: int | None = Field(None, ge=1)
    """Steps to train if the schedule is cut short, while its rate is still above zero."""
    batch: int = Field(32, ge=1)
    """Sequences of a step; every batch is fresh unless ``samples`` is set."""
    samples: int | None = Field(None, ge=1)
    """Sequences of a finite training set; its whole batches are repeated in a fixed order."""
    warmup: int = Field(1000, ge=0)
    """Steps of linear warm-up."""
    precision: Literal["float32"] = "float32"
    """Arithmetic of the matrix products."""
    adamw_rate: float = Field(1e-4, gt=0)
    """Learning rate of AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Averaging factors of AdamW."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay of AdamW."""

    @property
    def trained_steps(self) -> int:
        """Steps that are trained."""
        return self.stop_after or self.steps

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        _check_schedule(self)
        if self.stop_after and self.stop_after > self.steps:
            raise ValueError(
                f"stop_after is {self.stop_after}, but the schedule ends at steps, {self.steps}"
            )
        return self


class CompiledRecipe(Settings):
    """No training: hop_k written down as weights, exact up to k = 2^(depth - 2).

    See the paper's Theorem 4.2.
    """

    recipe: Literal["compiled"]
    """The construction of the theory; needs 2 heads, 2 blocks and an MLP at least."""

    @property
    def samples(self) -> None:
        """Sequences of a finite training set; there is none."""
        return None

    @property
    def trained_steps(self) -> int:
        """Steps that are trained."""
        return 0


Model = Annotated[FastModel | PaperModel, Field(discriminator="form")]
TrainedRecipe = FastRecipe | PaperRecipe
Recipe = Annotated[FastRecipe | PaperRecipe | CompiledRecipe, Field(discriminator="recipe")]


class Run(Settings):
    """One trained model: task, model, recipe and seed."""

    task: Task
    """The task."""
    model: Model
    """The model."""
    training: Recipe
    """The recipe."""
    seed: int = Field(ge=0)
    """Seed of the starting weights, the data and dropout."""
    origin: Literal["trained", "released"] = "trained"
    """Whether this project made it, or its authors released it and we imported it."""

    @model_validator(mode="after")
    def _vocabulary(self) -> Self:
        if isinstance(self.model, PaperModel) and self.task.vocabulary > PAPER_VOCABULARY:
            raise ValueError(
                f"task.max_hops is {self.task.max_hops} with an alphabet of {self.task.alphabet}: "
                f"{self.task.vocabulary} tokens, but the paper's model has {PAPER_VOCABULARY}; "
                f"max_hops may be {PAPER_VOCABULARY - 3 - self.task.alphabet} at most"
            )
        return self

    @model_validator(mode="after")
    def _construction(self) -> Self:
        if isinstance(self.training, CompiledRecipe):
            _check_construction(self.task, self.model)
        return self

    @property
    def recipe(self) -> TrainedRecipe:
        """What it is trained with.

        Raises:
            UserError: it is compiled.
        """
        if isinstance(self.training, CompiledRecipe):
            raise UserError(
                f"{self.identifier}: nothing to train; right would be 'logdepth compile'"
            )
        return self.training

    @property
    def identifier(self) -> str:
        """Readable label and the first 8 hex digits of the hash over the whole definition."""
        model = self.model
        kind: str = model.form
        if isinstance(model, FastModel) and not model.mlp_ratio:
            kind = "fast-attention"
        if isinstance(self.training, CompiledRecipe):
            kind = f"compiled-{kind}"
        if self.origin == "released":
            kind = "released"
        data = f"-n{self.training.samples}" if self.training.samples else ""
        label = f"{kind}-L{model.depth}-H{model.heads}-m{model.width}{data}-seed{self.seed}"
        return f"{label}-{digest(self.model_dump(mode='json'))[:8]}"


def mistakes(error: ValidationError) -> list[str]:
    """Return a line for each mistake, with its key and what would be right."""
    lines = []
    details = error.errors()
    for detail in details:
        here = detail["loc"]
        if any(len(d["loc"]) > len(here) and d["loc"][: len(here)] == here for d in details):
            continue  # a mistake within this one says it better
        # Discriminated unions put their tag into the location; it is no key of the file.
        location = [
            str(part)
            for i, part in enumerate(detail["loc"])
            if not (i and detail["loc"][i - 1] in ("model", "training"))
            or part not in ("fast", "paper", "compiled")
        ]
        key = ".".join(location)
        message = detail["msg"].removeprefix("Value error, ")
        context = detail.get("ctx", {})
        if detail["type"].startswith("union_tag"):
            tag = str(context["discriminator"]).strip("'")
            key = f"{key}.{tag}"
            also = ", or 'compiled' for weights written by hand" if tag == "recipe" else ""
            message = f"should be 'fast' or 'paper'{also}"
        elif detail["type"] == "missing":
            message = "this key is required"
        elif detail["type"] != "value_error":
            message = f"{message[0].lower()}{message[1:]}, not {detail['input']!r}"
        lines.append(f"{key}: {message}" if key else message)
    return lines


def _check_heads(heads: int, width: int) -> None:
    if width % heads:
        fitting = [h for h in range(1, width + 1) if width % h == 0]
        raise ValueError(
            f"heads is {heads}, which does not divide width {width}; "
            f"right would be one of {', '.join(map(str, fitting[:12]))}"
        )


def _check_schedule(recipe: FastRecipe | PaperRecipe) -> None:
    if recipe.warmup >= recipe.steps:
        raise ValueError(
            f"warmup is {recipe.warmup}, but must be below steps, which is {recipe.steps}"
        )
    if recipe.samples is not None and recipe.samples < recipe.batch:
        raise ValueError(
            f"samples is {recipe.samples}, but must be at least one batch, which is {recipe.batch}"
        )


def _check_construction(task: Task, model: FastModel | PaperModel) -> None:
    if isinstance(model, FastModel) and not model.mlp_ratio:
        raise ValueError("model.mlp_ratio is 0, but a compiled model needs an MLP: 1 or more")
    if model.depth < 2 or model.heads < 2:
        raise ValueError("a compiled model needs a depth of 2 or more, and 2 heads or more")
    sizes = register_bits(task.context, task.alphabet, model.depth)
    if isinstance(model, PaperModel):
        sizes["classes"] = task.alphabet + 2
    needed = least_width(sizes, model.heads)
    if model.width < needed or model.width % 2:
        raise ValueError(
            f"model.width is {model.width}, but a compiled model of this task with "
            f"{model.heads} heads needs an even width of at least {needed}"
        )
