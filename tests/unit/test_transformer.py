"""The model: GPT-2 to the letter, causal, with the paper's sizes."""

import pytest
import torch

from logdepth.config.run import FastModel, PaperModel, Task
from logdepth.models.gpt2 import from_gpt2
from logdepth.models.transformer import Transformer, architecture, labels
from logdepth.tasks.hop import HopTask

TASK = Task(context=20, alphabet=4, max_hops=8)


def build(model, seed=0):
    return Transformer(architecture(TASK, model), torch.Generator().manual_seed(seed)).eval()


@pytest.mark.parametrize(("heads", "width", "depth"), [(4, 128, 3), (8, 256, 2), (1, 32, 1)])
def test_the_papers_form_is_gpt2(heads, width, depth):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=100, n_embd=width, n_layer=depth, n_head=heads
    )
    torch.manual_seed(1)
    reference = transformers.GPT2Model(config).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where an error would not show
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    paper = PaperModel(form="paper", depth=depth, heads=heads, width=width)
    model = Transformer(architecture(Task(), paper)).eval()
    model.load_state_dict(from_gpt2(reference.state_dict()))
    tokens = torch.randint(0, 30, (3, 99))
    with torch.no_grad():
        expected = reference(tokens).last_hidden_state
        assert (model(tokens) - expected).abs().max() < 1e-5
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == paper.dropout
    assert config.activation_function == "gelu_new"


def test_gpt2_starts_from_the_same_distribution():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=100, n_embd=128, n_layer=4, n_head=4
    )
    torch.manual_seed(1)
    reference = from_gpt2(transformers.GPT2Model(config).state_dict())
    ours = Transformer(architecture(Task(), PaperModel(form="paper", depth=4))).state_dict()
    for name, tensor in ours.items():
        assert tensor.std().item() == pytest.approx(reference[name].std().item(), rel=0.1), name
        assert tensor.mean().item() == pytest.approx(reference[name].mean().item(), abs=2e-3)


def test_a_weight_gpt2_does_not_have_is_refused():
    with pytest.raises(KeyError, match=r"h\.0\.lstm\.weight is not a weight of GPT2Model"):
        from_gpt2({"h.0.lstm.weight": torch.zeros(1)})


# Table 3 of the paper.
@pytest.mark.parametrize(
    ("heads", "width", "depth", "parameters"),
    [
        (4, 128, 2, 413_440),
        (4, 128, 3, 611_712),
        (4, 128, 4, 809_984),
        (4, 128, 5, 1_008_256),
        (4, 128, 6, 1_206_528),
        (8, 256, 2, 1_613_312),
        (8, 256, 6, 4_772_352),
    ],
)
def test_parameter_counts_of_table_3(heads, width, depth, parameters):
    spec = architecture(Task(), PaperModel(form="paper", depth=depth, heads=heads, width=width))
    assert sum(p.numel() for p in Transformer(spec).parameters()) == parameters


MODELS = [
    FastModel(form="fast", depth=2, heads=2, width=32, mlp_ratio=0),
    FastModel(form="fast", depth=2, heads=4, width=32),
    PaperModel(form="paper", depth=2, heads=2, width=32),
]


@pytest.mark.parametrize("model", MODELS)
def test_no_position_sees_a_later_one(model):
    net = build(model)
    tokens = HopTask(20, 4, 8).batch(0, 0, 4).tokens
    changed = tokens.clone()
    changed[:, 12:] = tokens[:, 12:].flip(1)
    with torch.no_grad():
        assert torch.equal(net(tokens)[:, :12], net(changed)[:, :12])
        assert not torch.equal(net(tokens)[:, 12:], net(changed)[:, 12:])


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_gets_a_finite_gradient(model):
    net = build(model)
    net(HopTask(20, 4, 8).batch(0, 0, 4).tokens).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_labels_of_both_forms():
    task = HopTask(20, 4, 8)
    targets = torch.tensor([[task.blank, task.first_symbol, task.bottom - 1, task.bottom]])
    paper, fast = architecture(TASK, MODELS[2]), architecture(TASK, MODELS[0])
    assert torch.equal(labels(paper, targets, task.first_symbol), targets)
    assert labels(fast, targets, task.first_symbol).tolist() == [[-100, 0, 3, 4]]


def test_dropout_acts_in_training_mode_only():
    net = build(MODELS[2])
    tokens = HopTask(20, 4, 8).batch(0, 0, 2).tokens
    with torch.no_grad():
        assert torch.equal(net(tokens), net(tokens))
        net.train()
        assert not torch.equal(net(tokens), net(tokens))
