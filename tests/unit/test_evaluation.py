"""Errors on frozen sets, and their intervals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.counts import Counts, errors_by_depth, errors_by_run, read_counts
from logdepth.evaluation.error_rates import count_errors, evaluate, evaluation_set
from logdepth.evaluation.intervals import seed_interval, sequence_interval
from logdepth.evaluation.selection import best_trial, trial_table
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.recipes.muon import MuonRecipe
from logdepth.tasks.hop import Hop

TASK = Hop(context=30, alphabet=4, max_k=5)
HEADER = "mode,k,sequence,wrong,symbols,late_wrong,late_symbols"
FORMS = {"softmax": Softmax(), "gpt2": Gpt2()}


class Oracle(torch.nn.Module):
    """Answers as hop_k says, but for the sequences it is told to get wrong."""

    def __init__(self, form, wrong_every=0):
        super().__init__()
        network = FORMS[form].build(TASK)
        self.labels = network.labels
        self.classes = network.head.out_features if network.head else None
        self.width = network.width
        self.parameter = torch.nn.Parameter(torch.zeros(1))
        self.wrong_every = wrong_every

    def draw_from(self, seed):
        pass

    def forward(self, tokens):
        right = TASK.encode(tokens[:, 1:] - TASK.first_symbol, tokens[:, 0]).targets
        if self.wrong_every:
            right[:: self.wrong_every] = TASK.bottom
        if self.classes is not None:
            right = (right - TASK.first_symbol).clamp(max=self.classes - 1)
        return torch.nn.functional.one_hot(right, self.classes or self.width).float()


@pytest.mark.parametrize("form", FORMS)
def test_an_oracle_makes_no_error(form):
    data = evaluation_set(TASK, (0, 1, 5), 40, seed=3)
    table = count_errors(Oracle(form), data, mode="eval")
    assert table["wrong"].sum() == 0
    assert table.groupby("k").size().tolist() == [40, 40, 40]
    # 3k + 1 of the 29 positions have no k-th hop.
    assert set(table.loc[table["k"] == 5, "symbols"]) == {29 - 16}
    assert set(table.loc[table["k"] == 0, "symbols"]) == {29}


@pytest.mark.parametrize("form", FORMS)
def test_late_answers_are_those_of_the_last_quarter(form):
    data = evaluation_set(TASK, (0, 1, 5), 40, seed=3)
    table = count_errors(Oracle(form, wrong_every=4), data, mode="eval")
    # 7 of 30 tokens; for k = 5, a few of them have no fifth hop.
    assert set(table.loc[table["k"] < 5, "late_symbols"]) == {7}
    late = data["counted"][2, :, 23:].sum(1)
    assert table.loc[table["k"] == 5, "late_symbols"].tolist() == late.tolist()
    wrong = table["wrong"] > 0
    assert (table["late_wrong"] == table["late_symbols"].where(wrong, 0)).all()


@pytest.mark.parametrize("form", FORMS)
def test_wrong_answers_are_counted_at_symbols_only(form):
    data = evaluation_set(TASK, (2,), 40, seed=3)
    table = count_errors(Oracle(form, wrong_every=4), data, mode="eval")
    wrong = table[table["wrong"] > 0]
    assert wrong["sequence"].tolist() == list(range(0, 40, 4))
    assert (wrong["wrong"] == wrong["symbols"]).all()


def test_the_frozen_set_is_frozen_and_apart_from_training():
    first, again = (evaluation_set(TASK, (1, 2), 8, seed=0) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["tokens"][0], first["tokens"][1])
    training = TASK.batch(0, 0, 8).tokens
    assert not torch.equal(first["tokens"][0][:, 1:].long(), training[:, 1:])
    trials = evaluation_set(TASK, (1, 2), 8, seed=0, stream="selection")
    assert not torch.equal(first["tokens"][0][:, 1:], trials["tokens"][0][:, 1:])
    # A set with more values of k holds the same sequences for each of them.
    more = evaluation_set(TASK, (0, 1, 2), 8, seed=0)
    assert torch.equal(more["tokens"][1:], first["tokens"])


def test_the_mode_is_a_setting_with_a_seed():
    model = Gpt2(depth=2, heads=2, width=32).build(TASK, torch.Generator().manual_seed(0))
    data = evaluation_set(TASK, (1,), 16, seed=0)
    off, off_again = (count_errors(model, data, mode="eval", seed=s) for s in (0, 1))
    on, on_again, other = (count_errors(model, data, mode="train", seed=s) for s in (0, 0, 1))
    assert off.equals(off_again)
    assert on.equals(on_again)
    assert not on.equals(off)
    assert not on.equals(other)
    assert not model.training
    both = evaluate(model, data, ["train", "eval"], 0)
    assert ",".join(both) == HEADER
    for mode, table in (("eval", off), ("train", on)):
        part = both[both["mode"] == mode].drop(columns="mode").reset_index(drop=True)
        assert part.equals(table)


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
    expected = binomtest(int(wrong.sum()), 4000).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx(expected, rel=2e-3)


def test_sequence_interval_counts_sequences_when_answers_go_together():
    # Every sequence is wholly right or wholly wrong: 20 answers of each say no more than one.
    wrong = np.array([20] * 30 + [0] * 70)
    expected = binomtest(30, 100).proportion_ci(method="wilson")
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
        "eval",
        ["a", "b"],
        np.array([2, 2]),
        np.array([0, 1]),
        np.array([1, 2]),
        np.array([0.6, 0.5]),
        wrong,
        np.full((2, 4), 4.0),
        np.array([[0.0, 4.0], [2.0, 0.0]]),
        np.array([8.0, 0.0]),
    )


def test_tables_of_errors():
    by_run, by_depth = errors_by_run([example()]), errors_by_depth([example()])
    assert by_run["error"].tolist() == [0.0, 0.5, 0.25, 0.5]
    assert by_depth["error"].tolist() == [0.125, 0.5]
    assert by_depth["seeds"].tolist() == [2, 2]
    assert by_depth["symbols"].tolist() == [16, 16]
    assert by_depth["guess"].tolist() == by_run["guess"].tolist()[:2] == [0.6, 0.5]
    # At late positions nothing was answered for k = 2.
    assert by_depth["late_symbols"].tolist() == [8, 0]
    assert by_depth["late_error"].tolist() == [0.125, pytest.approx(math.nan, nan_ok=True)]
    assert by_run["late_error"].tolist()[::2] == [0.0, 0.25]
    assert (by_depth["sequences_low"] <= by_depth["error"]).all()


def write_run(runs, seed, rows, header=HEADER):
    """Write the evaluation of a run, whose rows end before the late answers; return the run."""
    rows = "".join(f"{row},0,{row.split(',')[2]}\n" for row in rows.splitlines())
    run = Run(task=TASK, model=Softmax(depth=1), training=MuonRecipe(), seed=seed)
    folder = runs / run.identifier
    folder.mkdir(parents=True)
    (folder / "evaluation.csv").write_text(f"{header}\n{rows}")
    return run


def test_counts_are_read_back(tmp_path):
    first = write_run(tmp_path, 0, "eval,1,0,1,4\neval,1,1,0,3\neval,2,0,2,2\neval,2,1,2,2\n")
    second = write_run(tmp_path, 1, "eval,2,1,1,2\neval,2,0,2,2\neval,1,1,3,3\neval,1,0,0,4\n")
    (part,) = read_counts(tmp_path, {"x": [first, second]})
    assert (part.experiment, part.mode) == ("x", "eval")
    assert part.runs == [first.identifier, second.identifier]
    assert part.ks.tolist() == [1, 2]
    assert part.errors() == pytest.approx(np.array([[1 / 7, 1], [3 / 7, 3 / 4]]))
    assert part.seeds.tolist() == [0, 1]
    assert part.depths.tolist() == [1, 1]
    assert part.guess.tolist() == [TASK.guess(1), TASK.guess(2)]
    assert part.late_symbols.tolist() == [0 + 1, 0 + 1]


def test_each_mode_and_experiment_has_its_counts(tmp_path):
    rows = [f"{mode},1,0,{wrong},4\n" for mode, wrong in (("train", 3), ("eval", 1))]
    first, second = (write_run(tmp_path, seed, "".join(rows)) for seed in (0, 1))
    parts = read_counts(tmp_path, {"x": [first], "y": [second, first]})
    found = [(part.experiment, part.mode, part.errors().ravel().tolist()) for part in parts]
    assert found == [
        ("x", "train", [0.75]),
        ("x", "eval", [0.25]),
        ("y", "train", [0.75, 0.75]),
        ("y", "eval", [0.25, 0.25]),
    ]
    assert parts[2].runs == [second.identifier, first.identifier]


def test_runs_evaluated_on_different_sets_are_not_mixed(tmp_path):
    first = write_run(tmp_path, 0, "eval,1,0,1,4\n")
    second = write_run(tmp_path, 1, "eval,1,0,1,5\n")
    message = rf"{second.identifier}/evaluation\.csv: not the sequences on which "
    with pytest.raises(UserError, match=f"{message}{first.identifier} was"):
        read_counts(tmp_path, {"x": [first, second]})


def test_a_table_without_a_column_is_named(tmp_path):
    run = write_run(tmp_path, 0, "", header="mode,k")
    with pytest.raises(UserError, match=r"/evaluation\.csv: no column 'sequence'"):
        read_counts(tmp_path, {"x": [run]})


def test_the_trial_of_the_least_mean_error_is_chosen(tmp_path):
    runs = []
    # Wrong answers of 4 at k = 0, of 4 at k = 1, and of 2 at k = 2; nothing is asked at k = 3.
    for seed, (none, one, two) in enumerate([(4, 0, 1), (0, 2, 1), (0, 1, 0), (4, 0, 0)]):
        run = Run(task=TASK, model=Softmax(depth=1), training=MuonRecipe(), seed=seed)
        folder = tmp_path / run.identifier
        folder.mkdir()
        rows = [f"0,0,{none},4", f"1,0,{one},2", "1,1,0,2", f"2,0,{two},2", "3,0,0,0"]
        text = "\n".join(["mode,k,sequence,wrong,symbols", *(f"eval,{row}" for row in rows)])
        (folder / "trial.csv").write_text(text)
        runs.append(run)
    table = trial_table(tmp_path, {"a": runs[:2], "b": runs[2:], "c": runs[2:]})
    # k = 0 is no search, and each other k counts as much.
    assert table["error"].tolist() == [0.25, 0.5, 0.125, 0, 0.125, 0]
    assert table["run"].tolist()[:2] == [run.identifier for run in runs[:2]]
    assert best_trial(table) == "b"
    assert best_trial(table[table["trial"] != "b"]) == "c"
