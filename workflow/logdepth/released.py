"""Models as the paper's authors released them: a folder with config.yaml and model_<step>.pt."""

import hashlib
import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.models.gpt2 import VOCABULARY, from_huggingface
from logdepth.settings import mistakes

_PREFIX = "backbone."


class Released(NamedTuple):
    """A released model: weights of our Network, matrices (outputs, inputs), and its files."""

    weights: dict[str, torch.Tensor]
    run: Run
    paths: tuple[Path, Path]
    sha256: str


class _Section(BaseModel, strict=True, allow_inf_nan=False):
    """A part of config.yaml; keys that say nothing of the model are passed over."""


class _Model(_Section):
    family: Literal["gpt2_model"]
    depth: int = Field(ge=1)
    dim_embedding: int = Field(ge=VOCABULARY)
    headcount: int = Field(ge=1)
    vocab_size: Literal[30]


# A key we do not know may change the task.
class _Task(_Section, extra="forbid"):
    char_tokens: int = Field(ge=2)
    max_hops: int = Field(ge=1)
    min_hops: Literal[0]
    seq_len: int = Field(ge=3)


class _Training(_Section):
    task: Literal["InductionHopsFullSequenceTask"] = "InductionHopsFullSequenceTask"
    task_kwargs: _Task
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    train_steps: int = Field(ge=1)
    warmup_steps: int = Field(ge=0)
    seed: int = Field(ge=0)
    samples: int | None = Field(None, ge=1)


class _Config(_Section):
    model: _Model
    training: _Training


def read_released(folder: Path, samples: int | None = None) -> Released:
    """Read the model of a folder that the authors released, at its last step.

    Args:
        folder: holds config.yaml and model_<step>.pt.
        samples: size of the finite training set, where config.yaml has no training.samples.

    Raises:
        UserError: a file is missing, damaged, of another model, or holds more than weights.
    """
    if not folder.is_dir():
        raise _error(folder, "no such folder", "one with config.yaml and model_<step>.pt")
    path = folder / "config.yaml"
    config = _read_config(path)
    matches = [(re.fullmatch(r"model_(\d+)\.pt", p.name), p) for p in sorted(folder.iterdir())]
    files = {int(match[1]): file for match, file in matches if match}
    if not files:
        raise _error(folder, "no model_<step>.pt", "one such file of weights")
    step, last = max(files), config.training.train_steps
    if not 1 <= step <= last:
        raise _error(files[step], f"step {step} in its name", f"1 to training.train_steps, {last}")
    run = _run(path, config, step, samples)
    data = files[step].read_bytes()
    weights = from_huggingface(_checked(files[step], _load(files[step], data), config))
    return Released(weights, run, (path, files[step]), hashlib.sha256(data).hexdigest())


def _error(path: Path, wrong: str, right: str) -> UserError:
    return UserError(f"{path}: {wrong}; expected {right}")


def _read_config(path: Path) -> _Config:
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise _error(path, "no settings", "the sections 'model:' and 'training:'")
        return _Config.model_validate(content)
    except FileNotFoundError as error:
        raise _error(path, "no such file", "the one that was released with the weights") from error
    except ValidationError as error:
        raise UserError(f"{path}: {mistakes(error)[0]}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def _run(path: Path, config: _Config, step: int, samples: int | None) -> Run:
    model, training, task = config.model, config.training, config.training.task_kwargs
    told = {training.samples, samples} - {None}
    if len(told) > 1:
        wrong = f"training.samples is {training.samples}, but --samples {samples}"
        raise _error(path, wrong, "to leave --samples out")
    recipe = {
        "recipe": "paper",
        "steps": training.train_steps,
        # The authors save model_<t>.pt after update t, counted from 0.
        "stop_after": step + 1 if step + 1 < training.train_steps else None,
        "batch": training.batch_size,
        "samples": next(iter(told), None),
        "warmup": training.warmup_steps,
        "adamw_rate": training.learning_rate,
    }
    shape = {"depth": model.depth, "heads": model.headcount, "width": model.dim_embedding}
    # The authors draw seq_len tokens and cut the last: they train on one less.
    size = {"context": task.seq_len - 1, "alphabet": task.char_tokens, "max_k": task.max_hops}
    hop = {"name": "hop", **size}
    definition = {"task": hop, "model": {"form": "gpt2", **shape}, "training": recipe}
    try:
        return Run.model_validate(definition | {"seed": training.seed, "origin": "released"})
    except ValidationError as error:
        raise UserError(f"{path}: {mistakes(error)[0]}") from error


def _load(path: Path, data: bytes) -> Any:
    is_zip = data.startswith(b"PK\x03\x04")
    try:
        # torch does not look at the checksums of its own format.
        if is_zip and (broken := zipfile.ZipFile(io.BytesIO(data)).testzip()):
            raise zipfile.BadZipFile(broken)
        with warnings.catch_warnings(action="ignore"):  # about pickles that it then refuses
            return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:  # what is damaged may fail anywhere in the decoders
        wrong = f"not a file that torch.save wrote, or damaged ({len(data)} bytes)"
        if isinstance(error, pickle.UnpicklingError) and (is_zip or _is_pickle(data)):
            wrong = "contains more than weights (objects that run code) and was not loaded"
        raise _error(path, wrong, "a state dict, as it was released") from error


def _is_pickle(data: bytes) -> bool:
    # Only lists the instructions; none is carried out.
    try:
        with warnings.catch_warnings(action="ignore"):
            return len(list(pickletools.genops(data))) > 1
    except Exception:  # bytes at random may fail in any way
        return False


def _checked(path: Path, content: Any, config: _Config) -> dict[str, torch.Tensor]:
    """Return the state dict without its prefix, if it is what config.yaml describes."""
    if not isinstance(content, dict):
        raise _error(path, f"holds a {type(content).__name__}", "a state dict")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise _error(path, f"{name!r} is a {type(tensor).__name__}", "weights by name alone")
    prefix = _PREFIX if any(name.startswith(_PREFIX) for name in content) else ""
    state: dict[str, torch.Tensor] = {}
    for plain, shape in _shapes(config):
        name, asked = prefix + plain, f"{shape}, as config.yaml asks for"
        tensor = content.get(name)
        if tensor is None:
            raise _error(path, f"no weight {name}", f"one of shape {asked}")
        if tuple(tensor.shape) != shape:
            raise _error(path, f"{name} has shape {tuple(tensor.shape)}", asked)
        if tensor.dtype != torch.float32 or tensor.layout != torch.strided or tensor.is_meta:
            raise _error(path, f"{name} is {tensor.dtype}, {tensor.layout}", "plain float32")
        if bad := int((~tensor.isfinite()).sum()):
            raise _error(path, f"{name} has {bad} values that are not finite", "none")
        state[plain] = tensor
    # Older versions of transformers kept the causal mask among the weights.
    for name in sorted(content.keys() - {prefix + plain for plain in state}):
        if not re.fullmatch(rf"({_PREFIX})?h\.\d+\.attn\.(bias|masked_bias)", name):
            right = f"none but those of a GPT2Model of depth {config.model.depth} (model.depth)"
            shape = tuple(content[name].shape)
            raise _error(path, f"unexpected weight {name} of shape {shape}", right)
    return state


def _shapes(config: _Config) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the names and shapes of GPT2Model's weights, matrices as (inputs, outputs)."""
    m = config.model.dim_embedding
    yield "wte.weight", (config.model.vocab_size, m)
    yield "wpe.weight", (config.training.task_kwargs.seq_len, m)
    attention = {"ln_1": (m,), "attn.c_attn": (m, 3 * m), "attn.c_proj": (m, m)}
    mlp = {"ln_2": (m,), "mlp.c_fc": (m, 4 * m), "mlp.c_proj": (4 * m, m)}
    for block in range(config.model.depth):
        for part, shape in (attention | mlp).items():
            yield f"h.{block}.{part}.weight", shape
            yield f"h.{block}.{part}.bias", shape[-1:]
    yield "ln_f.weight", (m,)
    yield "ln_f.bias", (m,)
