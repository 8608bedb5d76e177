"""What a run costs by its shape: arithmetic, memory, disk and launches."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from logdepth.config.run import (
    PAPER_VOCABULARY,
    CompiledRecipe,
    FastModel,
    FastRecipe,
    PaperModel,
    Run,
    Task,
)

if TYPE_CHECKING:
    # It would import torch, which takes a second; the workflow counts whenever it is parsed.
    from logdepth.models.transformer import Architecture

# Of Newton and Schulz in Muon, which cannot be imported without torch; each multiplies three times.
ITERATIONS = 5
# Resident memory of a process that has imported torch and trains a tiny model, at most (2.13, CPU).
PROCESS_BYTES = 380 * 2**20
# Memory of a GPU that CUDA itself takes; assumed.
GPU_CONTEXT_BYTES = 500 * 2**20
_FLOAT = 4
# Bytes of a row, as train and evaluate write them.
_STEP_ROW, _HOPS_ROW, _EVALUATION_ROW = 31, 25, 15


@dataclass(frozen=True)
class Sizes:
    """What of an ``Architecture`` decides what it costs; the attributes are the same.

    Attributes:
        vocabulary: number of token ids.
        context: largest number of tokens.
        depth: number of blocks, L.
        heads: attention heads of a block, H.
        width: width of the residual stream, m.
        mlp_ratio: width of the MLP over m; 0 for blocks of attention alone.
        dropout: while training.
        classes: outputs of the head; None without a head.
    """

    vocabulary: int
    context: int
    depth: int
    heads: int
    width: int
    mlp_ratio: int
    dropout: float
    classes: int | None


Spec: TypeAlias = "Sizes | Architecture"


@dataclass(frozen=True)
class Shape:
    """All that decides the cost of one training step.

    Attributes:
        spec: the sizes of the model.
        tokens: of a sequence.
        batch: sequences of a step.
        precision: of the matrix products.
        recipe: whose optimisers.
    """

    spec: Sizes
    tokens: int
    batch: int
    precision: Literal["float32", "bfloat16"]
    recipe: Literal["fast", "paper"]

    @property
    def group(self) -> "Shape":
        """The same with no depth: shapes of one group differ in depth alone."""
        return replace(self, spec=replace(self.spec, depth=0))


def shape_of(run: Run) -> Shape:
    """Return the shape of a run; runs that differ in seed, steps or rates share one."""
    recipe = run.training
    if isinstance(recipe, CompiledRecipe):
        # Nothing is trained; what evaluates it sets the batch.
        recipe = FastRecipe(recipe="fast", batch=1, warmup=0)
    spec = sizes(run.task, run.model)
    return Shape(spec, run.task.context, recipe.batch, recipe.precision, recipe.recipe)


def sizes(task: Task, model: FastModel | PaperModel) -> Sizes:
    """Return the sizes of the architecture that a configuration stands for."""
    depth, heads, width = model.depth, model.heads, model.width
    if isinstance(model, PaperModel):
        context = task.context + 1
        return Sizes(PAPER_VOCABULARY, context, depth, heads, width, 4, model.dropout, None)
    classes = task.alphabet + 1
    return Sizes(task.vocabulary, task.context, depth, heads, width, model.mlp_ratio, 0.0, classes)


def matrices(spec: Spec) -> list[tuple[int, int]]:
    """Return (rows, columns) of each weight matrix of one block."""
    m, hidden = spec.width, spec.mlp_ratio * spec.width
    attention = [(3 * m, m), (m, m)]
    return [*attention, (hidden, m), (m, hidden)] if hidden else attention


def parameters(spec: Spec) -> int:
    """Return the number of trained parameters."""
    m = spec.width
    norms = (4 if spec.mlp_ratio else 2) * m
    block = sum(rows * columns + rows for rows, columns in matrices(spec)) + norms
    embeddings = (spec.vocabulary + spec.context) * m
    return embeddings + spec.depth * block + 2 * m + (spec.classes or 0) * m


def forward_flops(spec: Spec, tokens: int, batch: int) -> int:
    """Return the FLOPs of the matrix products of one forward pass, 2 for each multiply-add.

    Scores and values count over all tokens x tokens pairs: the causal half is computed too.
    """
    weights = sum(rows * columns for rows, columns in matrices(spec))
    block = 2 * tokens * weights + 2 * 2 * tokens**2 * spec.width
    head = 2 * tokens * spec.width * (spec.classes or 0)
    return batch * (spec.depth * block + head)


def muon_flops(spec: Spec) -> int:
    """Return the FLOPs of Muon's Newton-Schulz iterations in one step."""
    block = 0
    for shape in matrices(spec):
        short, long = sorted(shape)
        block += ITERATIONS * 2 * (2 * short**2 * long + short**3)
    return spec.depth * block


def step_flops(shape: Shape) -> int:
    """Return the FLOPs of the matrix products of one training step.

    The backward pass multiplies twice for each product of the forward pass.
    """
    training = 3 * forward_flops(shape.spec, shape.tokens, shape.batch)
    return training + (muon_flops(shape.spec) if shape.recipe == "fast" else 0)


def optimizer_bytes(shape: Shape) -> int:
    """Return the bytes of the optimisers' state: one number a parameter for Muon, two for AdamW."""
    total = parameters(shape.spec)
    if shape.recipe == "paper":
        return 2 * _FLOAT * total
    muon = shape.spec.depth * sum(rows * columns for rows, columns in matrices(shape.spec))
    return _FLOAT * (muon + 2 * (total - muon))


def activation_bytes(shape: Shape) -> int:
    """Return about how many bytes the forward pass keeps for the backward pass.

    Counted from what autograd saves on a CPU. Active dropout keeps the attention weights three
    times, which fused attention on a GPU need not do.
    """
    spec = shape.spec
    # Numbers a token over the width: inputs of norms and matrices, query, key, value, activations.
    half = shape.precision == "bfloat16"
    block = 6.25 if half else 6.0
    if spec.mlp_ratio:
        # Without a head it is GPT-2, whose activation keeps its gate as well.
        kept = 2 if spec.classes else 3
        block += 1.75 + spec.mlp_ratio if half else 2 + kept * spec.mlp_ratio
    if spec.dropout:
        block += 3 * spec.heads * shape.tokens / spec.width + 2
    rest = 2 + 3 * (spec.classes or spec.width) / spec.width
    numbers = shape.batch * shape.tokens * spec.width * (spec.depth * block + rest)
    return int(_FLOAT * numbers)


def memory_bytes(shape: Shape) -> int:
    """Return about how many bytes training holds: weights, gradients, state and activations."""
    weights = _FLOAT * parameters(shape.spec)
    return 2 * weights + optimizer_bytes(shape) + activation_bytes(shape)


def traffic_bytes(shape: Shape) -> int:
    """Return the least bytes a step moves through GPU memory.

    Activations are written and read once; weights are read forward, backward and by the optimiser,
    which writes them, as it does its state; gradients are written once, and read by clipping and
    optimiser.
    """
    weights = _FLOAT * parameters(shape.spec)
    return 2 * activation_bytes(shape) + (4 + 3) * weights + 2 * optimizer_bytes(shape)


def kernels(shape: Shape) -> int:
    """Return about how many operations a step launches: a count of what the CPU dispatches."""
    spec = shape.spec
    mlp = bool(spec.mlp_ratio)
    block = 31 if mlp else 16
    if shape.precision == "bfloat16":
        block += 30 if mlp else 19
    if spec.dropout:
        block += 8 if mlp else 4
    # Muon takes all matrices of one shape together.
    alike = len(set(matrices(spec))) if shape.recipe == "fast" else 0
    # Making the batch, loss, clipping, fused AdamW, metrics.
    return 155 + spec.depth * block + alike * (8 + 3 * ITERATIONS)


def checkpoint_bytes(run: Run) -> int:
    """Return the bytes of one checkpoint; two are kept while a run trains, none afterwards."""
    shape = shape_of(run)
    metrics = 3 * _FLOAT * run.training.trained_steps
    return _FLOAT * parameters(shape.spec) + optimizer_bytes(shape) + metrics


def disk_bytes(run: Run, *, hops: int, sequences: int, settings: int) -> int:
    """Return about how many bytes a finished run leaves: weights, metrics and evaluation.

    Args:
        run: the definition.
        hops: evaluated values of k.
        sequences: evaluated for each of them.
        settings: of dropout while evaluating.
    """
    from logdepth.training.metrics import INTERVALS  # with torch

    weights = _FLOAT * parameters(shape_of(run).spec)
    training = _STEP_ROW * run.training.trained_steps
    by_hops = _HOPS_ROW * INTERVALS * (run.task.max_hops + 1)
    return weights + training + by_hops + _EVALUATION_ROW * hops * sequences * settings
