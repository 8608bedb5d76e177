"""Errors on frozen sets, and their intervals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from logdepth.config.run import FastModel, PaperModel, Run, Task
from logdepth.errors import UserError
from logdepth.evaluation.counts import Counts, errors_by_depth, errors_by_run, read_counts
from logdepth.evaluation.errors import count_errors, evaluation_set
from logdepth.evaluation.intervals import seed_interval, sequence_interval
from logdepth.models.transformer import Transformer, architecture
from logdepth.tasks.hop import HopTask

TASK = Task(context=30, alphabet=4, max_hops=5)
HOP = HopTask(30, 4, 5)


class Oracle(torch.nn.Module):
    """Answers as hop_k says, but for the sequences it is told to get wrong."""

    def __init__(self, form, wrong_every=0):
        super().__init__()
        kind = FastModel if form == "fast" else PaperModel
        self.spec = architecture(TASK, kind(form=form))
        self.parameter = torch.nn.Parameter(torch.zeros(1))
        self.wrong_every = wrong_every

    def forward(self, tokens):
        right = HOP.encode(tokens[:, 1:] - HOP.first_symbol, tokens[:, 0]).targets
        if self.wrong_every:
            right[:: self.wrong_every] = HOP.bottom
        if self.spec.classes is not None:
            right = (right - HOP.first_symbol).clamp(max=self.spec.classes - 1)
        width = self.spec.classes or self.spec.width
        return torch.nn.functional.one_hot(right, width).float()


@pytest.mark.parametrize("form", ["fast", "paper"])
def test_an_oracle_makes_no_error(form):
    data = evaluation_set(TASK, (0, 1, 5), 40, seed=3)
    table = count_errors(Oracle(form), TASK, data, dropout=False)
    assert table["wrong"].sum() == 0
    assert table.groupby("hops").size().tolist() == [40, 40, 40]
    # 3k + 1 of the 29 positions have no k-th hop.
    assert set(table.loc[table["hops"] == 5, "symbols"]) == {29 - 16}
    assert set(table.loc[table["hops"] == 0, "symbols"]) == {29}


@pytest.mark.parametrize("form", ["fast", "paper"])
def test_wrong_answers_are_counted_at_symbols_only(form):
    data = evaluation_set(TASK, (2,), 40, seed=3)
    table = count_errors(Oracle(form, wrong_every=4), TASK, data, dropout=False)
    wrong = table[table["wrong"] > 0]
    assert wrong["sequence"].tolist() == list(range(0, 40, 4))
    assert (wrong["wrong"] == wrong["symbols"]).all()


def test_the_frozen_set_is_frozen_and_apart_from_training():
    first, again = (evaluation_set(TASK, (1, 2), 8, seed=0) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["tokens"][0], first["tokens"][1])
    training = HOP.batch(0, 0, 8).tokens
    assert not torch.equal(first["tokens"][0][:, 1:].long(), training[:, 1:])
    # A set with more values of k holds the same sequences for each of them.
    more = evaluation_set(TASK, (0, 1, 2), 8, seed=0)
    assert torch.equal(more["tokens"][1:], first["tokens"])


def test_dropout_is_a_setting_with_a_seed():
    spec = architecture(TASK, PaperModel(form="paper", depth=2, heads=2, width=32))
    model = Transformer(spec, torch.Generator().manual_seed(0))
    data = evaluation_set(TASK, (1,), 16, seed=0)
    off, off_again = (count_errors(model, TASK, data, dropout=False, seed=s) for s in (0, 1))
    on, on_again, other = (count_errors(model, TASK, data, dropout=True, seed=s) for s in (0, 0, 1))
    assert off.equals(off_again)
    assert on.equals(on_again)
    assert not on.equals(off)
    assert not on.equals(other)
    assert not model.training


counts = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30)


@given(counts)
def test_sequence_interval_holds_the_error(pairs):
    wrong = [min(a, b) for a, b in pairs]
    symbols = [max(a, b) for a, b in pairs]
    low, high = sequence_interval(wrong, symbols)
    if not sum(symbols):
        assert math.isnan(low)
        return
    error = sum(wrong) / sum(symbols)
    assert -1e-12 <= low <= error + 1e-12
    assert error - 1e-12 <= high <= 1 + 1e-12


def test_sequence_interval_of_independent_answers_is_wilsons():
    random = np.random.default_rng(5)
    wrong = random.random(4000) < 0.3
    low, high = sequence_interval(wrong, np.ones(4000))
    expected = proportion_confint(wrong.sum(), 4000, method="wilson")
    assert (low, high) == pytest.approx(expected, rel=2e-3)


def test_sequence_interval_counts_sequences_when_answers_go_together():
    # Every sequence is wholly right or wholly wrong: 20 answers of each say no more than one.
    wrong = np.array([20] * 30 + [0] * 70)
    expected = proportion_confint(30, 100, method="wilson")
    assert sequence_interval(wrong, np.full(100, 20)) == pytest.approx(expected, rel=1e-2)


def test_no_error_is_no_proof():
    low, high = sequence_interval(np.zeros(100), np.full(100, 20))
    assert low == pytest.approx(0, abs=1e-12)
    assert 0.02 < high < 0.05


def test_sequence_interval_covers():
    random = np.random.default_rng(seed := 8)
    truth, hits = 0.1, 0
    for _ in range(400):
        # Sequences of different difficulty: answers of one sequence go together.
        chance = random.beta(0.5, 4.5, size=200)
        low, high = sequence_interval(random.binomial(20, chance), np.full(200, 20))
        hits += low <= truth <= high
    assert 0.91 < hits / 400 < 0.98, f"seed {seed}: {hits} of 400"


def test_seed_interval():
    assert seed_interval([0.1, 0.1, 0.1]) == pytest.approx((0.1, 0.1))
    low, high = seed_interval([0.1, 0.2, 0.3])
    assert (low, high) == pytest.approx((0.0, 0.2 + 4.302653 * 0.1 / math.sqrt(3)))
    assert all(math.isnan(end) for end in seed_interval([0.1]))


def example(errors=((0.0, 0.5), (0.25, 0.5))):
    """Two runs of one depth, k = 1 and 2, four sequences of four answers each."""
    wrong = np.array([[[4 * e] * 4 for e in run] for run in errors])
    return Counts(
        "x",
        "off",
        ["a", "b"],
        np.array([2, 2]),
        np.array([0, 1]),
        4,
        np.array([1, 2]),
        wrong,
        np.full((2, 4), 4.0),
    )


def test_tables_of_errors():
    by_run, by_depth = errors_by_run([example()]), errors_by_depth([example()])
    assert by_run["error"].tolist() == [0.0, 0.5, 0.25, 0.5]
    assert by_depth["error"].tolist() == [0.125, 0.5]
    assert by_depth["seeds"].tolist() == [2, 2]
    assert by_depth["symbols"].tolist() == [16, 16]
    assert (by_depth["sequences_low"] <= by_depth["error"]).all()


def test_weights_count_sequences():
    part = example()
    part.wrong[0, 0, 0] = 4
    weights = np.array([[4.0, 0, 0, 0], [1, 1, 1, 1]])
    assert part.errors()[0, 0] == 0.25
    assert part.errors(weights)[0, 0] == 1.0


def write_run(folder, seed, rows):
    folder.mkdir(parents=True)
    run = Run.model_validate(
        {
            "task": TASK.model_dump(),
            "model": {"form": "fast", "depth": 1},
            "training": {"recipe": "fast"},
            "seed": seed,
        }
    )
    (folder / "run.json").write_text(run.model_dump_json())
    (folder / "evaluation.csv").write_text("dropout,hops,sequence,wrong,symbols\n" + rows)


def test_counts_are_read_back(tmp_path):
    write_run(tmp_path / "a", 0, "off,1,0,1,4\noff,1,1,0,3\noff,2,0,2,2\noff,2,1,2,2\n")
    write_run(tmp_path / "b", 1, "off,2,1,1,2\noff,2,0,2,2\noff,1,1,3,3\noff,1,0,0,4\n")
    (part,) = read_counts(tmp_path, {"x": ["a", "b"]})
    assert part.hops.tolist() == [1, 2]
    assert part.errors() == pytest.approx(np.array([[1 / 7, 1], [3 / 7, 3 / 4]]))
    assert part.seeds.tolist() == [0, 1]


def test_runs_evaluated_on_different_sets_are_not_mixed(tmp_path):
    write_run(tmp_path / "a", 0, "off,1,0,1,4\n")
    write_run(tmp_path / "b", 1, "off,1,0,1,5\n")
    with pytest.raises(UserError, match=r"b/evaluation\.csv: not the sequences on which a was"):
        read_counts(tmp_path, {"x": ["a", "b"]})


def test_a_table_without_a_column_is_named(tmp_path):
    write_run(tmp_path / "a", 0, "")
    (tmp_path / "a" / "evaluation.csv").write_text("dropout,hops\n")
    with pytest.raises(UserError, match=r"a/evaluation\.csv: no column 'sequence'"):
        read_counts(tmp_path, {"x": ["a"]})
