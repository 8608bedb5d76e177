"""Trained models as safetensors files that carry the definition of their run."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from logdepth.canonical import canonical_json
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.files import atomic_path, write_csv, write_text
from logdepth.models.network import Network


def save_model(model: Network, run: Run, path: Path) -> None:
    """Write the weights and the run's definition; equal models give equal bytes."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(weights, {"run": canonical_json(run.content)}))


def write_run(folder: Path, run: Run, model: Network, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write model.safetensors, run.json and a CSV for each table, such as steps.csv."""
    save_model(model, run, folder / "model.safetensors")
    write_text(folder / "run.json", canonical_json(run.content) + "\n")
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)


def run_of(path: Path) -> Run:
    """Return the run that a model came from.

    Raises:
        UserError: not a model of this project, or damaged.
    """
    with _reading(path), safe_open(path, framework="pt") as file:
        return Run.model_validate(json.loads((file.metadata() or {})["run"]))


def load_set(path: Path) -> dict[str, torch.Tensor]:
    """Return a frozen evaluation set.

    Raises:
        UserError: not an evaluation set, or damaged.
    """
    try:
        data = load_file(path)
        missing = [name for name in ("k", "tokens", "targets", "counted") if name not in data]
        if missing:
            raise KeyError(missing[0])
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path}: not an evaluation set, or damaged ({error})") from error
    return data


def load_model(path: Path, device: torch.device) -> tuple[Network, Run]:
    """Return the model, in evaluation mode, and the run it came from.

    Raises:
        UserError: not a model of this project, or damaged.
    """
    run = run_of(path)
    with _reading(path), safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        model = run.model.build(run.task)
        model.load_state_dict(weights)
    return model.to(device).eval(), run


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such model") from error
    except (SafetensorError, KeyError, ValidationError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path}: not a model that 'logdepth train' wrote, or damaged ({reason})"
        ) from error
