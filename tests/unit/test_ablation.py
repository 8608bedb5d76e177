"""Heads switched off, and positions shuffled."""

import torch

from logdepth.evaluation.ablation import ablation_table, head_off
from logdepth.evaluation.error_rates import evaluation_set
from logdepth.figures import ablation as figure
from logdepth.figures.style import Shown
from logdepth.models.softmax import Softmax
from logdepth.tasks.hop import Hop
from logdepth.theory.hop_to_weights import compile_softmax

TASK = Hop(context=24, alphabet=4, max_k=4)
DATA = evaluation_set(TASK, tuple(TASK.ks), 12, seed=0)


def test_a_head_that_is_off_leaves_the_stream_as_without_its_part():
    model = Softmax(depth=1, heads=2, width=16, mlp_ratio=0).build(TASK).eval()
    layer = model.blocks[0].mixer
    tokens = TASK.batch(0, 0, 3).tokens
    with torch.no_grad():
        before = model(tokens)
        with head_off(layer, 1):
            off = model(tokens)
        torch.testing.assert_close(model(tokens), before, rtol=0, atol=0)
        layer.output.weight[:, 8:] = 0
        torch.testing.assert_close(model(tokens), off)
    assert not torch.equal(before, off)


def test_the_ladder_loses_what_its_heads_compute():
    """Its second layer finds find^1 and the last doubles the pointer to find^4."""
    model = compile_softmax(TASK).network()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    table = ablation_table(model, DATA, 12, seed=0)
    errors = table.pivot_table(index=["ablation", "layer", "head"], columns="k", values="error")
    assert (errors.loc["none"] == 0).all(axis=None)
    assert (errors.loc["positions"][[1, 2, 3, 4]] > 0.3).all(axis=None)
    # Every head is tried, and hop_0 needs none of them for its pointer.
    layers = [block.mixer.heads for block in model.blocks]
    assert len(errors.loc["head"]) == sum(layers)
    worst = errors.loc["head"].groupby("layer").max()
    assert (worst.loc[2, [1, 2, 3, 4]] > 0.3).all()
    assert worst.loc[len(layers), 4] > 0.3
    # The model is left as it was.
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_the_figure_has_a_row_for_each_ablation():
    model = Softmax(depth=2, heads=2, width=16).build(TASK).eval()
    table = ablation_table(model, DATA, 12, seed=0).assign(depth=2)
    shown = figure.prepare({"ablation": table}, Shown({}, {}))
    (axis, _) = figure.draw(shown).axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["nothing", "1.1", "1.2", "2.1", "2.2", "positions"]
    assert len(axis.texts) == len(labels) * 4
    errors = [round(100 * error) for error in shown["error"]]
    assert [int(text.get_text()) for text in axis.texts] == errors


def test_fewer_sequences_are_the_first_of_the_set():
    model = Softmax(depth=1, heads=1, width=16).build(TASK).eval()
    few = {name: part if name == "k" else part[:, :5] for name, part in DATA.items()}
    assert ablation_table(model, DATA, 5, 0).equals(ablation_table(model, few, 5, 0))
