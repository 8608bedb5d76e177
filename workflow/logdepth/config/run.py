"""The definition of one run: everything that decides which model is trained, and nothing else."""

from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from logdepth.canonical import digest
from logdepth.models import MODELS
from logdepth.models.base import Model
from logdepth.recipes import RECIPES
from logdepth.recipes.base import Recipe
from logdepth.settings import Settings
from logdepth.tasks import TASKS
from logdepth.tasks.base import Task

if TYPE_CHECKING:
    AnyTask: TypeAlias = Task
    AnyModel: TypeAlias = Model
    AnyRecipe: TypeAlias = Recipe
else:
    AnyTask, AnyModel, AnyRecipe = TASKS.union(), MODELS.union(), RECIPES.union()


class Run(Settings):
    """One trained model: task, model, recipe and seed."""

    task: AnyTask
    """The task."""
    model: AnyModel
    """The model."""
    training: AnyRecipe
    """The recipe."""
    seed: int = Field(ge=0)
    """Seed of the starting weights, the data and dropout."""
    origin: Literal["trained", "released"] = "trained"
    """Whether this project made it, or its authors released it and we imported it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.model.check(self.task)
        self.training.check(self.task, self.model)
        return self

    @property
    def identifier(self) -> str:
        """Readable label and the first 8 hex digits of the hash over the whole definition."""
        made = "" if self.training.is_trained else f"{self.training.recipe}-"
        made = "released-" if self.origin == "released" else made
        samples = self.training.train_samples
        data = f"-n{samples}" if samples else ""
        label = f"{made}{self.task.label()}-{self.model.label()}{data}-seed{self.seed}"
        return f"{label}-{digest(self.content)[:8]}"

    @property
    def content(self) -> dict[str, Any]:
        """The definition as plain JSON values."""
        return self.model_dump(mode="json")

    @property
    def modules(self) -> tuple[str, ...]:
        """Where its own code starts: its task, its model and its recipe."""
        return (
            TASKS.module(self.task),
            MODELS.module(self.model),
            RECIPES.module(self.training),
        )


def longer(task: Task, times: int) -> Task:
    """Return a task with strings several times as long, for models that read any length.

    Raises:
        ValueError: its strings cannot be so long, or then have other tokens.
    """
    found = type(task)(**dict(task) | {"context": times * task.context})
    if (found.vocabulary, found.answers) != (task.vocabulary, task.answers):
        raise ValueError("longer strings have other tokens")
    return found
