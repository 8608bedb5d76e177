"""Trained models as safetensors files that carry the definition of their run."""

import json
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from logdepth.canonical import canonical_json
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.files import atomic_path
from logdepth.models.transformer import Transformer, architecture


def save_model(model: Transformer, run: Run, path: Path) -> None:
    """Write the weights and the run's definition; equal models give equal bytes."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights, {"run": canonical_json(run.model_dump(mode="json"))}))


def load_model(path: Path, device: torch.device) -> tuple[Transformer, Run]:
    """Return the model, in evaluation mode, and the run it came from.

    Raises:
        UserError: not a model of this project, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        run = Run.model_validate(json.loads(metadata["run"]))
        model = Transformer(architecture(run.task, run.model))
        model.load_state_dict(weights)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such model") from error
    except (SafetensorError, KeyError, ValidationError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a model that 'logdepth train' wrote, or damaged ({reason})"
        ) from error
    return model.to(device).eval(), run
