"""Transformers for the playground: weights as text, for the forward pass of playground.js."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from logdepth.config.run import Run
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop
from logdepth.website.gallery import Study

if TYPE_CHECKING:
    from logdepth.models.network import Network

# Of a file of weights that may go into a page, in bytes.
_LARGEST = 5 << 20
_SOLVED = 0.1


def models(studies: Iterable[Study]) -> list[dict[str, Any]]:
    """Return the model written by hand, and a trained one if there is any, the former first.

    The trained one is that which solves the largest k; of several the shallowest. Without one, the
    other is for the default task.
    """
    import torch

    from logdepth.theory.hop_to_weights import compile_softmax
    from logdepth.training.store import load_model

    task, trained = Hop(), []
    found = [(-_solved(path), run.model.depth, str(path)) for path, run in _candidates(studies)]
    if found:
        solved, _, path = min(found)
        network, run = load_model(Path(path), torch.device("cpu"))
        assert isinstance(run.task, Hop)
        task = run.task
        about = {"title": "A trained model", "file": path, "solved": -solved}
        trained = [about | exported(task, run.model, network)]
    by_hand = compile_softmax(task)
    about = {"title": "The model written by hand", "file": "", "solved": task.max_k}
    return [about | exported(by_hand.task, by_hand.model, by_hand.network()), *trained]


def exported(task: Hop, model: Any, network: "Network") -> dict[str, Any]:
    """Return a network of the form softmax or gpt2 as plain JSON values, weights as float32."""
    weights = {
        name: {
            "shape": list(tensor.shape),
            "data": base64.b64encode(tensor.float().numpy().tobytes()).decode(),
        }
        for name, tensor in network.state_dict().items()
    }
    return {
        **model.model_dump(mode="json", include={"form", "depth", "heads", "width"}),
        **task.model_dump(mode="json", include={"context", "alphabet", "max_k"}),
        # The token that the first class stands for.
        "first_class": task.answers.start if isinstance(model, Softmax) else 0,
        "weights": weights,
    }


def _candidates(studies: Iterable[Study]) -> Iterable[tuple[Path, Run]]:
    """Yield weights that were trained here on hop_k, with their runs."""
    from logdepth.training.store import run_of

    for study in studies:
        for path in sorted(study.folder.glob("runs/*/model.safetensors")):
            if path.stat().st_size > _LARGEST or not (path.parent / "evaluation.csv").is_file():
                continue
            run = run_of(path)
            known = isinstance(run.task, Hop) and isinstance(run.model, Softmax | Gpt2)
            if known and run.training.is_trained:
                yield path, run


def _solved(model: Path) -> int:
    """Return the largest k up to which a model errs in less than a tenth of its answers."""
    table = pd.read_csv(model.parent / "evaluation.csv")
    sums = table[table["mode"] == "eval"].groupby("k")[["wrong", "symbols"]].sum()
    good = sums["wrong"] < _SOLVED * sums["symbols"]
    return int(good.cummin().loc[1:].sum())
