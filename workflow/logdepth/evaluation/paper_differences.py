"""In what a run of ours differs from the authors' training and evaluation."""

from typing import Any

from logdepth.config.run import Run
from logdepth.models.gpt2 import Gpt2
from logdepth.recipes.paper import PaperRecipe


def conditions_of(run: Run, mode: str, *, alone: bool) -> str:
    """Return what was not as the authors had it, or "same".

    Args:
        run: a run with the authors' task and a size and training set of theirs.
        mode: of evaluation, "train", as published, or "eval".
        alone: whether no other seed was trained, which is a difference of knowledge: how far
            trainings differ stays unknown.
    """
    differences = _differences(run) if run.origin == "trained" else []
    if mode == "eval":
        differences.append("dropout off")
    differences = differences or ["same"]
    if alone and run.origin == "trained" and run.training.trained_steps:
        differences.append("seed variance unknown")
    return "; ".join(differences)


def _differences(run: Run) -> list[str]:
    model, training = run.model, run.training
    if not training.is_trained:
        return ["compiled, not trained"]
    if not isinstance(training, PaperRecipe):
        return ["our recipe" if isinstance(model, Gpt2) else "our recipe and model"]
    # Two models were evaluated half-way through a longer schedule (the authors' notebooks).
    four_heads = getattr(model, "heads", None) == 4
    halfway = four_heads and model.depth == 6 and training.samples in (None, 3000)
    schedule: dict[str, Any] = {"steps": 200_001, "stop_after": 100_001} if halfway else {}
    theirs = PaperRecipe(samples=training.samples, **schedule).model_dump()
    ours = training.model_dump()
    result = []
    if isinstance(model, Gpt2):
        ours["dropout"] = model.dropout
        theirs["dropout"] = Gpt2().dropout
    else:
        result.append("our model")
    changed = [name for name in theirs if ours[name] != theirs[name]]
    return result + [f"{name} {ours[name]} (theirs {theirs[name]})" for name in changed]
