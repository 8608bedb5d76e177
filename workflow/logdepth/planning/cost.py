"""What a run costs by its shape, as torch counts it on tensors without content.

One training step is taken on the device "meta", which computes shapes and no numbers. Counts are
kept in a file, by shape and source, since the workflow asks for them whenever it is parsed, and
torch takes two seconds to import.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from logdepth.canonical import digest
from logdepth.config.run import Run
from logdepth.files import write_text
from logdepth.models import MODELS
from logdepth.models.base import Model
from logdepth.provenance.definition import code_hash, source
from logdepth.recipes import RECIPES
from logdepth.recipes.base import Recipe
from logdepth.tasks import TASKS
from logdepth.tasks.base import Task

# Resident memory of a process that has imported torch and trains a tiny model, at most (2.13, CPU).
PROCESS_BYTES = 380 * 2**20
# Memory of a GPU that CUDA itself takes; assumed.
GPU_CONTEXT_BYTES = 500 * 2**20
_FLOAT = 4
# Bytes of a row, as train and evaluate write them, and rows by k that a run writes for each k.
_STEP_ROW, _K_ROW, _EVALUATION_ROW, _INTERVALS = 31, 25, 15, 100


@dataclass(frozen=True)
class Shape:
    """All that decides the cost of one training step.

    The recipe has nothing but batch and precision; its optimisers count.
    """

    task: Task
    model: Model
    recipe: Recipe

    @property
    def batch(self) -> int:
        """Sequences of a step."""
        return self.recipe.batch if self.recipe.is_trained else 1

    @property
    def group(self) -> "Shape":
        """The same with the least depth: shapes of one group differ in depth alone."""
        return replace(self, model=self.model.model_copy(update={"depth": 1}))

    @property
    def settings(self) -> list[dict[str, Any]]:
        """Those of the task, the model and the recipe, as plain JSON values."""
        return [part.model_dump(mode="json") for part in (self.task, self.model, self.recipe)]

    @property
    def key(self) -> str:
        """Hash of the settings and of the source that decides the cost."""
        modules = (
            TASKS.module(self.task),
            MODELS.module(self.model),
            RECIPES.module(self.recipe),
        )
        return digest([self.settings, source(modules), _counting()])


def shape_of(run: Run) -> Shape:
    """Return the shape of a run; runs that differ in seed, steps or rates share one."""
    recipe = run.training
    if recipe.is_trained:
        kept = {"batch": recipe.batch, "precision": recipe.precision, "warmup": 0}
        recipe = type(recipe).model_validate(kept)
    return Shape(run.task, run.model, recipe)


@dataclass(frozen=True)
class Cost:
    """What one training step of a shape costs.

    Attributes:
        parameters: trained ones.
        forward_flops: FLOPs of the products of one forward pass of a batch, 2 a multiply-add.
        step_flops: of one step, backward pass and optimisers included.
        optimizer_bytes: state of the optimisers.
        activation_bytes: that the forward pass keeps for the backward pass.
        kernels: operations that a step launches.
        fuses: whether several runs can train as one network.
    """

    parameters: int
    forward_flops: int
    step_flops: int
    optimizer_bytes: int
    activation_bytes: int
    kernels: int
    fuses: bool

    @property
    def memory_bytes(self) -> int:
        """About how many bytes training holds: weights, gradients, state and activations."""
        return 2 * _FLOAT * self.parameters + self.optimizer_bytes + self.activation_bytes

    @property
    def traffic_bytes(self) -> int:
        """The least bytes a step moves through GPU memory.

        Activations are written and read once; weights are read forward, backward and by the
        optimiser, which writes them, as it does its state; gradients are written once, and read by
        clipping and optimiser.
        """
        weights = _FLOAT * self.parameters
        return 2 * self.activation_bytes + (4 + 3) * weights + 2 * self.optimizer_bytes

    @property
    def work(self) -> dict[str, int]:
        """What ``step_range`` of a GPU asks of a step: flops, traffic and kernels."""
        return {
            "flops": self.step_flops,
            "traffic": self.traffic_bytes,
            "kernels": self.kernels,
        }

    def at_batch(self, batch: int, other: int) -> "Cost":
        """Return the same for the forward pass of another batch, counted for ``batch``."""
        return replace(
            self,
            forward_flops=self.forward_flops * other // batch,
            activation_bytes=self.activation_bytes * other // batch,
        )


def costs_of(runs: Iterable[Run], kept: Path | None = None) -> dict[Shape, Cost]:
    """Return the cost of the shape of every run.

    Args:
        runs: of a study.
        kept: file of the counts of earlier calls, which is brought up to date; None counts anew.
    """
    wanted = {shape: shape.key for shape in dict.fromkeys(shape_of(run) for run in runs)}
    known = _read(kept) if kept else {}
    if missing := {shape: key for shape, key in wanted.items() if key not in known}:
        from logdepth.planning.count import count  # with torch

        known |= {key: count(shape) for shape, key in missing.items()}
        if kept:
            content = {key: asdict(known[key]) for key in sorted(wanted.values())}
            write_text(kept, json.dumps(content, indent=1) + "\n")
    return {shape: known[key] for shape, key in wanted.items()}


@cache
def _counting() -> str:
    """Return the hash of the code that counts, which no definition of an output includes."""
    here = Path(__file__)
    files = [here.with_name("count.py"), here.parents[1] / "models/fused.py"]
    return digest([code_hash(path.read_text(encoding="utf-8")) for path in files])


def _read(path: Path) -> dict[str, Cost]:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {key: Cost(**cost) for key, cost in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # counted again


def checkpoint_bytes(run: Run, cost: Cost) -> int:
    """Return the bytes of one checkpoint; two are kept while a run trains, none afterwards."""
    metrics = 3 * _FLOAT * run.training.trained_steps
    return _FLOAT * cost.parameters + cost.optimizer_bytes + metrics


def disk_bytes(run: Run, cost: Cost, *, ks: int, sequences: int, modes: int) -> int:
    """Return about how many bytes a finished run leaves: weights, metrics and evaluation.

    ``ks`` is how many values of k are evaluated, on so many sequences each, in so many modes.
    """
    training = _STEP_ROW * run.training.trained_steps
    by_k = _K_ROW * _INTERVALS * len(run.task.ks)
    return _FLOAT * cost.parameters + training + by_k + _EVALUATION_ROW * ks * sequences * modes
