"""In what a run of ours differs from the authors' training and evaluation."""

from typing import Any

from logdepth.config.run import (
    CompiledRecipe,
    FastModel,
    FastRecipe,
    PaperModel,
    PaperRecipe,
    Run,
)


def conditions_of(run: Run, dropout: str, *, alone: bool) -> str:
    """Return what was not as the authors had it, or "same".

    Args:
        run: a run with the authors' task and a size and training set of theirs.
        dropout: "on", as published, or "off".
        alone: whether no other seed was trained, which is a difference of knowledge: how far
            trainings differ stays unknown.
    """
    differences = _differences(run) if run.origin == "trained" else []
    if dropout == "off":
        differences.append("dropout off")
    differences = differences or ["same"]
    if alone and run.origin == "trained" and run.training.trained_steps:
        differences.append("seed variance unknown")
    return "; ".join(differences)


def _differences(run: Run) -> list[str]:
    model, training = run.model, run.training
    if isinstance(training, CompiledRecipe):
        return ["compiled, not trained"]
    if isinstance(training, FastRecipe):
        return ["our recipe and model" if isinstance(model, FastModel) else "our recipe"]
    # Two models were evaluated half-way through a longer schedule (the authors' notebooks).
    halfway = (model.heads, model.depth) == (4, 6) and training.samples in (None, 3000)
    schedule: dict[str, Any] = {"steps": 200_001, "stop_after": 100_001} if halfway else {}
    theirs = PaperRecipe(recipe="paper", samples=training.samples, **schedule).model_dump()
    ours = training.model_dump()
    result = []
    if isinstance(model, PaperModel):
        ours["dropout"] = model.dropout
        theirs["dropout"] = PaperModel(form="paper").dropout
    else:
        result.append("our model")
    changed = [name for name in theirs if ours[name] != theirs[name]]
    return result + [f"{name} {ours[name]} (theirs {theirs[name]})" for name in changed]
