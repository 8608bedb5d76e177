"""``logdepth import``: the authors' models, to the letter, and nothing that is not one."""

import copy
import io
import json
import os
import pickle
import random
import re
import zipfile
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file

from command_line import logdepth_here
from logdepth.errors import UserError
from logdepth.evaluation.error_rates import count_errors, evaluation_set
from logdepth.files import sha256_of
from logdepth.released import read_released
from logdepth.training.store import load_model

CONFIG = {
    "model": {
        "depth": 2,
        "dim_embedding": 32,
        "dim_feedforward": 0,
        "family": "gpt2_model",
        "headcount": 4,
        "vocab_size": 30,
    },
    "training": {
        "batch_size": 32,
        "learning_rate": 0.0001,
        "seed": 42,
        "task": "InductionHopsFullSequenceTask",
        "task_kwargs": {"char_tokens": 4, "max_hops": 16, "min_hops": 0, "seq_len": 100},
        "train_steps": 100001,
        "warmup_steps": 1000,
    },
    "wandb": {"project": "induction-hops"},
}
CPU = torch.device("cpu")


def weights(depth=2, m=32):
    """A state dict with the names and shapes of the authors', written down by hand."""
    shapes = {"wte.weight": (30, m), "wpe.weight": (100, m)}
    for i in range(depth):
        for part, shape in {
            "ln_1": (m,),
            "attn.c_attn": (m, 3 * m),
            "attn.c_proj": (m, m),
            "ln_2": (m,),
            "mlp.c_fc": (m, 4 * m),
            "mlp.c_proj": (4 * m, m),
        }.items():
            shapes[f"h.{i}.{part}.weight"] = shape
            shapes[f"h.{i}.{part}.bias"] = shape[-1:]
    shapes |= {"ln_f.weight": (m,), "ln_f.bias": (m,)}
    generator = torch.Generator().manual_seed(1)
    return {f"backbone.{n}": torch.randn(s, generator=generator) for n, s in shapes.items()}


def changed(path, value):
    """CONFIG with one key set, or taken out when ``value`` is None."""
    config = copy.deepcopy(CONFIG)
    place = config
    *parents, key = path.split(".")
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return config


def release(folder, state=None, config=None, step=100000):
    folder.mkdir(parents=True, exist_ok=True)
    YAML().dump(CONFIG if config is None else config, folder / "config.yaml")
    torch.save(weights() if state is None else state, folder / f"model_{step}.pt")
    return folder


def refused(folder, **options):
    with pytest.raises(UserError) as caught:
        read_released(folder, **options)
    message = str(caught.value)
    assert message.startswith(str(folder))
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_the_function_is_gpt2s(tmp_path, prefix, transformers):
    sizes = transformers.GPT2Config(vocab_size=30, n_positions=100, n_embd=32, n_layer=2, n_head=4)
    torch.manual_seed(1)
    reference = transformers.GPT2Model(sizes).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where an error would not show
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    state = {f"{prefix}{name}": tensor for name, tensor in reference.state_dict().items()}
    found = read_released(release(tmp_path / "a", state))
    model = found.run.model.build(found.run.task).eval()
    model.load_state_dict(found.weights)
    tokens = torch.randint(0, 30, (3, 99))
    with torch.no_grad():
        assert (model(tokens) - reference(tokens).last_hidden_state).abs().max() < 1e-5


def test_the_command_writes_model_run_and_record_and_the_same_bytes_again(tmp_path):
    source, output = release(tmp_path / "released"), tmp_path / "out"
    digest = sha256_of(source / "model_100000.pt")
    seen = []
    for _ in range(2):
        done = logdepth_here("import", source, "--output", output)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        (line,) = done.stdout.splitlines()
        name = line.split(":")[0]
        assert re.fullmatch(r"released-hop-gpt2-L2-H4-m32-seed42-[0-9a-f]{8}", name)
        assert line == f"{name}: gpt2-L2-H4-m32, 100001 steps, weights sha256 {digest[:12]}"
        files = [output / "runs" / name / p for p in ("model.safetensors", "run.json")]
        assert sorted(p.name for p in (output / "runs" / name).iterdir()) == [p.name for p in files]
        seen.append([path.read_bytes() for path in files])
    assert seen[0] == seen[1]
    model, run = load_model(files[0], CPU)
    assert run.identifier == name
    assert run.origin == "released"
    assert json.loads(files[1].read_text()) == run.content
    assert torch.equal(
        model.blocks[1].mlp.hidden.weight, weights()["backbone.h.1.mlp.c_fc.weight"].T
    )
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in load_file(files[0]).items())
    record = json.loads((output / "provenance" / "import" / f"{name}.json").read_text())
    definition = record["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["stage"] == "import"
    inputs = {entry["name"]: entry["digest"] for entry in definition["resolvedDependencies"]}
    assert inputs[f"{source}/model_100000.pt"] == {"sha256": digest}
    assert inputs[f"{source}/config.yaml"] == {"sha256": sha256_of(source / "config.yaml")}
    assert [s["name"] for s in record["subject"]] == [
        f"runs/{name}/model.safetensors",
        f"runs/{name}/run.json",
    ]
    assert record["subject"][0]["digest"] == {"sha256": sha256_of(files[0])}


def test_the_definition_is_what_config_yaml_says(tmp_path):
    run = read_released(release(tmp_path / "a")).run
    assert run.model_dump(mode="json") == {
        "task": {"name": "hop", "context": 99, "alphabet": 4, "max_k": 16},
        "model": {"form": "gpt2", "depth": 2, "heads": 4, "width": 32, "dropout": 0.1},
        "training": {
            "recipe": "paper",
            "steps": 100001,
            "stop_after": None,
            "batch": 32,
            "samples": None,
            "warmup": 1000,
            "precision": "float32",
            "adamw_rate": 0.0001,
            "betas": [0.9, 0.999],
            "weight_decay": 0.01,
        },
        "seed": 42,
        "origin": "released",
    }


def test_the_largest_step_is_taken_and_a_schedule_cut_short_is_told(tmp_path):
    folder = release(tmp_path / "a", config=changed("training.train_steps", 200001))
    other = {name: 2 * tensor for name, tensor in weights().items()}
    release(folder, other, changed("training.train_steps", 200001), step=90000)
    (folder / "model_last.pt").write_bytes(b"not a step")
    found = read_released(folder)
    assert found.run.training.stop_after == 100001
    assert found.paths == (folder / "config.yaml", folder / "model_100000.pt")
    assert torch.equal(found.weights["tokens.weight"], weights()["backbone.wte.weight"])


def test_a_finite_training_set(tmp_path):
    told = release(tmp_path / "a", config=changed("training.samples", 3000))
    silent = release(tmp_path / "b")
    assert read_released(told).run.training.samples == 3000
    assert read_released(told, samples=3000).run == read_released(silent, samples=3000).run
    assert "-n3000-" in read_released(told).run.identifier
    message = refused(told, samples=1000)
    assert "training.samples is 3000, but --samples 1000; expected" in message
    assert "samples is 5, but must be at least one batch, which is 32" in refused(silent, samples=5)
    config = changed("training.train_steps", 100001)
    config["training"]["samples"] = None
    assert read_released(release(tmp_path / "c", config=config)).run.training.samples is None


def test_masks_that_older_versions_saved_are_left_out(tmp_path):
    state = weights()
    state["backbone.h.0.attn.bias"] = torch.ones(1, 1, 100, 100, dtype=torch.bool)
    state["backbone.h.0.attn.masked_bias"] = torch.tensor(-1e4)
    found = read_released(release(tmp_path / "a", state))
    assert found.weights.keys() == read_released(release(tmp_path / "b")).weights.keys()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model", None, "model: this key is required"),
        ("model.depth", None, "model.depth: this key is required"),
        ("model.depth", "2", "model.depth: input should be a valid integer, not '2'"),
        ("model.depth", 0, "model.depth: input should be greater than or equal to 1, not 0"),
        ("model.family", "mamba", "model.family: input should be 'gpt2_model', not 'mamba'"),
        ("model.vocab_size", 31, "model.vocab_size: input should be 30, not 31"),
        ("model.headcount", 5, "heads is 5, which does not divide width 32"),
        ("training.learning_rate", float("inf"), "training.learning_rate: input should be a fini"),
        ("training.task_kwargs", None, "training.task_kwargs: this key is required"),
        ("training.task_kwargs.min_hops", 1, "task_kwargs.min_hops: input should be 0, not 1"),
        ("training.task_kwargs.max_hops", 24, "has 31 tokens, but the form gpt2 has 30"),
        ("training.task_kwargs.period", 3, "task_kwargs.period: extra inputs are not permitted"),
        ("training.task", "ParityTask", "training.task: input should be 'InductionHopsFullSequ"),
        ("training.samples", 0, "training.samples: input should be greater than or equal to 1"),
        ("training.warmup_steps", 100001, "warmup is 100001, but must be below steps"),
        ("training.seed", -1, "training.seed: input should be greater than or equal to 0"),
    ],
)
def test_a_config_of_something_else(tmp_path, path, value, message):
    folder = release(tmp_path / "a", config=changed(path, value))
    found = refused(folder)
    assert found.startswith(f"{folder}/config.yaml: ")
    assert message in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML: "),
        (b"\xff\xfe\x00", "not YAML: "),
        (b"[" * 1000, "not YAML: "),
        (b"", "no settings; expected the sections 'model:' and 'training:'"),
        (b"- 1", "no settings; expected"),
        (b"!!python/object/apply:os.system ['true']", "not YAML: "),
    ],
)
def test_a_config_that_is_none(tmp_path, content, message):
    folder = release(tmp_path / "a")
    (folder / "config.yaml").write_bytes(content)
    assert refused(folder).startswith(f"{folder}/config.yaml: {message}")


def test_what_is_missing(tmp_path):
    assert f"{tmp_path}/none: no such folder; expected" in refused(tmp_path / "none")
    folder = release(tmp_path / "a")
    (folder / "model_100000.pt").rename(folder / "model.pt")
    assert "a: no model_<step>.pt; expected" in refused(folder)
    (folder / "config.yaml").unlink()
    assert "config.yaml: no such file; expected" in refused(folder)


@pytest.mark.parametrize("step", [0, 100002])
def test_a_step_outside_the_schedule(tmp_path, step):
    message = f"model_{step}.pt: step {step} in its name; expected 1 to training.train_steps"
    assert message in refused(release(tmp_path / "a", step=step))


def without(name):
    return {key: value for key, value in weights().items() if key != name}


def spoilt(value):
    state = weights()
    state["backbone.ln_f.bias"][3] = value
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([1, 2], "holds a list; expected a state dict"),
        ({"model_state_dict": weights()}, "'model_state_dict' is a dict; expected weights"),
        (weights() | {"step": 7}, "'step' is a int; expected weights by name alone"),
        (weights() | {3: torch.ones(1)}, "3 is a Tensor; expected weights by name alone"),
        ({}, "no weight wte.weight; expected one of shape (30, 32)"),
        (
            without("backbone.h.1.mlp.c_fc.bias"),
            "no weight backbone.h.1.mlp.c_fc.bias; expected one of shape (128,), as config",
        ),
        (weights(depth=1), "no weight backbone.h.1.ln_1.weight; expected one of shape (32,)"),
        (
            weights(depth=3),
            "unexpected weight backbone.h.2.attn.c_attn.bias of shape (96,); expected none "
            "but those of a GPT2Model of depth 2 (model.depth)",
        ),
        (
            weights() | {"read_out.weight": torch.ones(30, 32)},
            "unexpected weight read_out.weight of shape (30, 32)",
        ),
        (
            weights() | {"wte.weight": torch.ones(30, 32)},
            "unexpected weight wte.weight of shape (30, 32)",
        ),
        (
            weights() | {"backbone.wte.weight": torch.ones(31, 32)},
            "backbone.wte.weight has shape (31, 32); expected (30, 32), as config.yaml asks",
        ),
        (
            weights() | {"backbone.h.0.mlp.c_fc.weight": torch.ones(128, 32)},
            "backbone.h.0.mlp.c_fc.weight has shape (128, 32); expected (32, 128)",
        ),
        (weights(m=64), "has shape (30, 64); expected (30, 32)"),
        (
            weights() | {"backbone.ln_f.bias": torch.ones(32, dtype=torch.float64)},
            "backbone.ln_f.bias is torch.float64, torch.strided; expected plain float32",
        ),
        (
            weights() | {"backbone.ln_f.bias": torch.ones(32).to_sparse()},
            "backbone.ln_f.bias is torch.float32, torch.sparse_coo; expected plain float32",
        ),
        (spoilt(float("nan")), "backbone.ln_f.bias has 1 values that are not finite"),
        (spoilt(float("-inf")), "backbone.ln_f.bias has 1 values that are not finite"),
    ],
)
def test_weights_of_something_else(tmp_path, state, message):
    folder = release(tmp_path / "a", state)
    found = refused(folder)
    assert found.startswith(f"{folder}/model_100000.pt: ")
    assert message in found


def saved(content, **options):
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_is_never_run(tmp_path):
    witness = tmp_path / "witness"
    pickle.loads(pickle.dumps(Code(witness)))
    assert witness.exists()  # else the assertions below would say nothing
    witness.unlink()
    state = weights() | {"backbone.extra": Code(witness)}
    files = [saved(state), saved(state, _use_new_zipfile_serialization=False)]
    files += [pickle.dumps(state, protocol=protocol) for protocol in range(6)]
    folder = release(tmp_path / "a")
    for content in files:
        (folder / "model_100000.pt").write_bytes(content)
        assert "contains more than weights (objects that run code) and was not loaded" in refused(
            folder
        )
        assert not witness.exists()
    done = logdepth_here("import", folder, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "contains more than weights" in done.stderr
    assert not witness.exists()


def damaged_files():
    good, old = saved(weights()), saved(weights(), _use_new_zipfile_serialization=False)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/data.txt", "no weights")
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    yield from (b"", b"hello world\n", archive.getvalue(), bytes(flipped))
    for content in (good, old):
        yield from (content[:length] for length in (1, 3, 100, len(content) // 2))
        yield content[:-1]
    generator = random.Random(0)
    yield from (generator.randbytes(300) for _ in range(100))


def test_damaged_files(tmp_path):
    folder = release(tmp_path / "a")
    path = folder / "model_100000.pt"
    for content in damaged_files():
        path.write_bytes(content)
        expected = f"not a file that torch.save wrote, or damaged ({len(content)} bytes); expected"
        assert refused(folder).startswith(f"{path}: {expected}"), content[:20]


def test_nothing_is_written_when_one_of_several_is_refused(tmp_path):
    good = release(tmp_path / "good")
    bad = release(tmp_path / "bad", without("backbone.ln_f.bias"), changed("training.seed", 1))
    done = logdepth_here("import", good, bad, "--output", tmp_path / "out")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"logdepth import: error: {bad}/model_100000.pt: no weight backbone.ln")
    assert not (tmp_path / "out").exists()


def test_two_models_of_one_definition_do_not_overwrite_each_other(tmp_path):
    one, other = release(tmp_path / "one"), release(tmp_path / "other")
    done = logdepth_here("import", one, other, "--output", tmp_path / "out")
    assert done.returncode == 1
    message = f"error: {other}: the same run as {one} (released-hop-gpt2-L2-H4-m32-seed42-"
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("depth", "bounds"),
    [
        (2, {1: (0, 0.005), 2: (0.02, 0.08)}),
        (4, dict.fromkeys(range(1, 5), (0, 0.005)) | {16: (0.45, 0.65)}),
    ],
)
def test_the_released_models_make_the_known_errors(root, depth, bounds):
    default = root.parent / "shared/released"
    folder = Path(os.environ.get("LOGDEPTH_RELEASED", default)) / f"width4-depth{depth}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    found = read_released(folder)
    assert found.run.identifier.startswith(f"released-hop-gpt2-L{depth}-H4-m128-seed42-")
    model = found.run.model.build(found.run.task)
    model.load_state_dict(found.weights)
    data = evaluation_set(found.run.task, tuple(bounds), 20, seed=0)
    counts = count_errors(model, data, mode="eval")
    totals = counts.groupby("k")[["wrong", "symbols"]].sum()
    for k, (low, high) in bounds.items():
        assert low <= totals.wrong[k] / totals.symbols[k] < high, k


def test_other_weights_do_not_replace_an_imported_model(tmp_path):
    one, output = release(tmp_path / "one"), tmp_path / "out"
    assert logdepth_here("import", one, "--output", output).returncode == 0
    (model,) = output.glob("runs/*/model.safetensors")
    before = sha256_of(model)
    other = release(tmp_path / "other", spoilt(0.25))
    done = logdepth_here("import", other, "--output", output)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{model}: imported before, with other weights than {other} has" in line
    assert sha256_of(model) == before
