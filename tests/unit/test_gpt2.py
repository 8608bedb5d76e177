"""GPT-2 to the letter, with the paper's sizes; what holds for every model is in test_models.py."""

import pytest
import torch

from logdepth.models.gpt2 import VOCABULARY, Gpt2, from_huggingface
from logdepth.tasks.hop import Hop

TASK = Hop(context=20, alphabet=4, max_k=8)


@pytest.mark.parametrize(("heads", "width", "depth"), [(4, 128, 3), (8, 256, 2), (1, 32, 1)])
def test_the_papers_form_is_gpt2(heads, width, depth, transformers):
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=100, n_embd=width, n_layer=depth, n_head=heads
    )
    torch.manual_seed(1)
    reference = transformers.GPT2Model(config).eval()
    with torch.no_grad():  # biases and norms start at 0 and 1, where an error would not show
        for parameter in reference.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    paper = Gpt2(depth=depth, heads=heads, width=width)
    model = paper.build(Hop()).eval()
    model.load_state_dict(from_huggingface(reference.state_dict()))
    tokens = torch.randint(0, 30, (3, 99))
    with torch.no_grad():
        expected = reference(tokens).last_hidden_state
        assert (model(tokens) - expected).abs().max() < 1e-5
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == paper.dropout
    assert config.activation_function == "gelu_new"


def test_gpt2_starts_from_the_same_distribution(transformers):
    config = transformers.GPT2Config(
        vocab_size=30, n_positions=100, n_embd=128, n_layer=4, n_head=4
    )
    torch.manual_seed(1)
    reference = from_huggingface(transformers.GPT2Model(config).state_dict())
    ours = Gpt2(depth=4).build(Hop()).state_dict()
    for name, tensor in ours.items():
        assert tensor.std().item() == pytest.approx(reference[name].std().item(), rel=0.1), name
        assert tensor.mean().item() == pytest.approx(reference[name].mean().item(), abs=2e-3)


def test_a_weight_gpt2_does_not_have_is_refused():
    with pytest.raises(KeyError, match=r"h\.0\.lstm\.weight is not a weight of GPT2Model"):
        from_huggingface({"h.0.lstm.weight": torch.zeros(1)})


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
    model = Gpt2(depth=depth, heads=heads, width=width)
    assert sum(p.numel() for p in model.build(Hop()).parameters()) == parameters
    assert model.parameters(Hop()) == parameters


def test_its_classes_are_the_token_ids():
    net = Gpt2(depth=1, heads=2, width=32).build(TASK)
    targets = torch.tensor([[TASK.blank, TASK.first_symbol, TASK.bottom - 1, TASK.bottom]])
    assert net.head is None
    assert torch.equal(net.labels(targets), targets)
    assert net.tokens.num_embeddings == VOCABULARY == 30
    assert net.positions.num_embeddings == TASK.context + 1
