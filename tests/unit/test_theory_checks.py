"""The tables of checks: nothing fails, the same bytes each time, and each check can fail."""

import dataclasses
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch

from logdepth.config.run import Run
from logdepth.config.theory import Theory
from logdepth.errors import UserError
from logdepth.jobs import models_of
from logdepth.resolved import StudySummary
from logdepth.tables import SCHEMAS, read_table, write_table
from logdepth.theory.catalog import CHECKS
from logdepth.theory.checks import (
    compiled_models,
    construction,
    counterexamples,
    exchanges,
    protocols,
    reductions,
    round_trips,
    routing,
    trained_models,
)
from logdepth.theory.checks.claims import markdown, merge
from logdepth.theory.checks.outcomes import COLUMNS, Tally, extent, row, table_of, tally
from logdepth.theory.encodings import Bits, Circle, Quadratic
from logdepth.theory.heads import BFLOAT16, FLOAT32, FLOAT64
from logdepth.theory.hop_to_weights import compile_model, compile_softmax
from logdepth.theory.mpc.machine import Limits
from logdepth.theory.mpc.mpc_to_transformer import Compiled
from logdepth.theory.mpc.plan import Plan
from logdepth.theory.mpc.protocols.sums import PrefixSums
from logdepth.theory.mpc.round_trip import round_trip
from logdepth.theory.mpc.routing import RoutingHead
from logdepth.theory.mpc.transformer_to_mpc import AttentionProtocol
from logdepth.theory.printed import doubled_pointer
from logdepth.theory.programs import ladder
from logdepth.training.store import save_model

TINY = Theory(
    instances=2, lengths=(1, 2, 17), alphabets=(1, 3), max_hops=5, machines=(4, 16), tokens=(8,)
)
# To see a check fail, the least is enough in which what is wrong can show.
BRIEF = TINY.model_copy(
    update={"lengths": (1, 9), "alphabets": (3,), "machines": (4,), "max_hops": 3}
)
WITHOUT_MODELS = [name for name in CHECKS if name != "trained_models"]
TASK = {"name": "hop", "context": 12, "alphabet": 3, "max_k": 4}


def make(name, *arguments, settings=BRIEF):
    return import_module(f"logdepth.theory.checks.{name}").table(settings, *arguments)


def failed(table):
    return set(table[table.failures > 0].case)


def run_of(model, training, task):
    return Run.model_validate({"task": task, "model": model, "training": training, "seed": 1})


def saved(folder, model, training, weights=None, task=TASK):
    """Write a model with random weights, or with the given ones."""
    run = run_of(model, training, task)
    network = run.model.build(run.task, torch.Generator().manual_seed(1))
    if weights is not None:
        network.load_state_dict(weights(run))
    path = folder / f"{run.identifier}.safetensors"
    save_model(network, run, path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A model of each kind that a study may have."""
    folder = tmp_path_factory.mktemp("models")
    small = {"form": "softmax", "depth": 2, "heads": 2, "width": 8}
    built = {"form": "softmax", "depth": 4, "heads": 2, "width": 64, "mlp_ratio": 1}
    gpt2 = {"form": "gpt2", "depth": 1, "heads": 2, "width": 32}
    return [
        saved(folder, small, {"recipe": "muon"}),
        saved(folder, small | {"mlp_ratio": 0}, {"recipe": "muon"}),
        saved(folder, gpt2, {"recipe": "paper"}),
        # Its 120 answers must fit into a machine.
        saved(
            folder,
            small | {"width": 32},
            {"recipe": "muon"},
            task={"name": "s5", "context": 12, "max_k": 12},
        ),
        saved(
            folder,
            built,
            {"recipe": "compiled"},
            lambda run: compile_model(run.task, run.model).weights,
        ),
    ]


@pytest.fixture(scope="module")
def tables(models):
    made = {name: make(name, settings=TINY) for name in WITHOUT_MODELS}
    return made | {"trained_models": make("trained_models", models, settings=TINY)}


@pytest.mark.parametrize("name", CHECKS)
def test_nothing_fails_and_the_file_is_a_table_of_that_name(tables, name, tmp_path):
    table = tables[name]
    write_table(name, table, tmp_path / "table.csv")
    read = read_table(name, tmp_path / "table.csv")
    assert len(read) == len(table) > 0
    assert not [column for column in table if "second" in column or "time" in column]
    if name != "counterexamples":
        assert list(table)[: len(COLUMNS)] == COLUMNS
        assert failed(table) == set()
        assert not table.duplicated(["theorem", "claim", "case", "size"]).any()


@pytest.mark.parametrize("name", CHECKS)
def test_the_same_settings_give_the_same_bytes(tables, name, models, tmp_path):
    again = make(name, *[models] * (name == "trained_models"), settings=TINY)
    for number, table in enumerate((tables[name], again)):
        write_table(name, table, tmp_path / f"{number}.csv")
    assert (tmp_path / "0.csv").read_bytes() == (tmp_path / "1.csv").read_bytes()


@pytest.mark.parametrize("name", WITHOUT_MODELS)
def test_one_small_size_of_each_kind_is_enough(name, tmp_path):
    least = Theory(
        instances=2, lengths=(1,), alphabets=(1,), max_hops=1, machines=(4,), fans=(7,), tokens=(4,)
    )
    table = import_module(f"logdepth.theory.checks.{name}").table(least)
    write_table(name, table, tmp_path / "table.csv")
    assert name == "counterexamples" or failed(table) == set()


def test_a_row_of_which_nothing_was_tried_fails():
    lines = [
        row("Theorem 4.2", "a claim", "a case", "N = 1", counted)
        for counted in (Tally(3, 0), Tally())
    ]
    assert len(table_of(lines[:1])) == 1
    with pytest.raises(UserError, match=r"Theorem 4\.2, a claim, a case .*: nothing was tried"):
        table_of(lines)


def test_another_seed_draws_other_instances():
    other = TINY.model_copy(update={"seed": 1})
    drawn = [
        counterexamples.table(settings).query("inputs == 'uniform' and form == 'printed'")["wrong"]
        for settings in (TINY, other)
    ]
    assert not np.array_equal(*drawn)


# What was tried.


def test_every_k_length_alphabet_and_position_is_counted(tables):
    ladders = tables["construction"].query("claim.str.contains('ceil.* at every position')")
    instances = ladders.set_index("case")["instances"]
    strings, symbols = 7 + 2 * 8, {1: 2, 2: 3, 17: 3}
    everything = strings * 6 * sum(n * count for n, count in symbols.items())
    assert set(instances.index) == {
        *(f"{code}, {form}" for code in ("circle", "quadratic") for form in ("float64", "float32")),
        *(f"bits, {form}" for form in ("float64", "float32", "bfloat16")),
    }
    assert (instances == everything).all()


@pytest.mark.parametrize(
    ("code", "form", "size", "claimed"),
    [
        (Circle(), FLOAT64, (256, 256), True),
        (Circle(), FLOAT32, (256, 26), True),
        (Circle(), FLOAT32, (1024, 26), False),
        (Circle(), BFLOAT16, (8, 2), False),
        (Quadratic(), FLOAT32, (100, 100), True),
        (Quadratic(), FLOAT32, (512, 512), False),
        (Quadratic(), BFLOAT16, (8, 2), False),
        (Bits(), FLOAT32, (512, 512), True),
        (Bits(), BFLOAT16, (512, 512), True),
    ],
)
def test_exactness_is_claimed_where_a_format_resolves_the_margin(code, form, size, claimed):
    assert construction.is_claimed(code, form, *size) is claimed


def test_a_case_that_leaves_sizes_out_says_so():
    table = construction.table(TINY.model_copy(update={"lengths": (128,), "max_hops": 1}))
    limited = table[table.case.str.contains("where it resolves the margin")]
    assert limited.case.str.startswith("circle, float32").all()
    assert len(limited) == 1
    assert failed(table) == set()


def test_smallest_failures_are_spelt_out(tables):
    table = tables["counterexamples"]
    smallest = table[table.inputs == "smallest failure"].set_index("claim")
    assert smallest.loc["recursion over bits", ["string", "hops", "position"]].tolist() == [
        "aba",
        2,
        3,
    ]
    assert smallest.loc["recursion over bits", ["answer", "right"]].tolist() == ["b", "⊥"]
    assert smallest.loc["earlier positions only", ["string", "answer", "right"]].tolist() == [
        "aa",
        "⊥",
        "a",
    ]
    assert len(smallest) == 4
    others = table[table.inputs != "smallest failure"]
    assert (others[["string", "answer", "right"]] == "").all(axis=None)


def test_what_is_printed_fails_and_what_is_repaired_does_not(tables):
    table = tables["counterexamples"]
    wrong = table[table.inputs != "smallest failure"].groupby(["claim", "form"])["wrong"].max()
    assert (wrong.xs("repaired", level="form") == 0).all()
    assert (wrong.xs("printed", level="form") > 0).all()
    depths = table.query("claim == 'recursion over bits' and hops == 3").groupby("form")["depth"]
    assert depths.max().to_dict() == {"printed": 3, "repaired": 4}


def test_a_broken_repair_is_counted(tables):
    table = tables["counterexamples"].copy()
    row = table.query("claim == 'symbols N apart' and form == 'repaired' and inputs == 'all'")
    table.loc[row.index[0], "wrong"] = 0.5
    claims = counterexamples.repaired(table)
    assert claims.failures.tolist() == [0, 729 * 6 // 2, 0, 0]
    assert claims.theorem.tolist() == ["Theorem 4.2", "Lemma D.2", "Lemma D.1", "Lemma D.2"]


def test_models_count_their_rounds_and_machines(tables):
    table = tables["trained_models"]
    assert len(table) == 5 * len(trained_models.TILES)
    assert (table.machines_used <= table.machines).all()
    assert (table.difference_float64 < 1e-10).all()
    # Depth 2 of the trees: six exchanges a layer.
    depths = table["size"].str.extract(r"L = (\d+)")[0].astype(int)
    assert (table.rounds == 6 * depths + 1).all()


def test_models_without_attention_are_left_out():
    runs = [
        run_of({"form": form, "width": 32}, {"recipe": "muon"}, TASK)
        for form in ("softmax", "recurrent", "gpt2")
    ]
    summary = StudySummary("some", {}, (), {"all": runs})
    assert list(models_of(summary).values()) == [runs[0], runs[2]]
    assert models_of(None) == {}


def test_a_round_trip_has_a_layer_more_than_rounds_and_many_more_rounds(tables):
    table = tables["round_trips"]
    assert (table.layers == table.rounds + 1).all()
    assert (table.final_rounds > 10 * table.rounds).all()


# That a check can fail.


def test_a_program_for_another_k_fails(monkeypatch):
    monkeypatch.setattr(construction, "ladder", lambda k: ladder(k) if k < 3 else ladder(k - 1))
    assert {"bits, bfloat16", "circle, float64", "ladder"} <= failed(make("construction"))
    monkeypatch.setattr(construction, "ladder", lambda k: doubled_pointer(k) if k else ladder(k))
    assert "quadratic, float64" in failed(make("construction"))


def test_the_printed_circle_fails(monkeypatch):
    monkeypatch.setattr(construction, "ENCODINGS", (Circle(spacing=1), Bits()))
    table = make("construction").query("claim.str.contains('ceil.* at every position')")
    assert failed(table) == {"circle, float64", "circle, float32"}


def test_another_definition_fails(monkeypatch):
    monkeypatch.setattr(
        construction, "hop_by_definition", lambda string, hops, nowhere: [nowhere] * len(string)
    )
    assert failed(make("construction")) == {"uniform strings"}


def test_temperatures_too_low_fail(monkeypatch):
    monkeypatch.setattr("logdepth.theory.construction.safe_product", lambda n, s: 1.0)
    table = make("construction")
    assert (table[table.theorem == "Lemma A.2"].failures > 0).all()


def test_changed_weights_fail(monkeypatch):
    def broken(task):
        built = compile_softmax(task)
        weights = built.weights | {"head.weight": built.weights["head.weight"].roll(1, 0)}
        return dataclasses.replace(built, weights=weights)

    wrong = dataclasses.replace(compiled_models.CONSTRUCTIONS["softmax"], build=broken)
    monkeypatch.setitem(compiled_models.CONSTRUCTIONS, "softmax", wrong)
    monkeypatch.setattr(compiled_models, "compile_softmax", broken)
    table = make("compiled_models")
    assert failed(table) == {
        "softmax, float32",
        "softmax, bfloat16",
        f"softmax, float32, B = {compiled_models.TILE}",
    }


def test_a_head_that_looks_elsewhere_fails(monkeypatch):
    for case, right in compiled_models.CONSTRUCTIONS.items():
        wrong = dataclasses.replace(right, heads=lambda k, depth: [2] * (depth - 1))
        monkeypatch.setitem(compiled_models.CONSTRUCTIONS, case, wrong)
    assert failed(make("compiled_models")) == set(compiled_models.CONSTRUCTIONS)


def test_a_wrong_protocol_fails(monkeypatch):
    monkeypatch.setattr(PrefixSums, "answer", lambda self, machine, memory: (7,))
    table = make("protocols")
    assert failed(table) == {"prefix sums, fan-in 4"}
    assert table.failures.sum() == TINY.instances


def test_limits_that_let_a_word_more_through_fail(monkeypatch):
    monkeypatch.setattr(protocols, "Limits", lambda q, s, p: Limits(q, s + 1, p))
    assert failed(make("protocols")) == {
        "s + 1 words sent",
        "s + 1 words received, from two",
        "s + 1 words stored",
    }
    monkeypatch.setattr(protocols, "Limits", lambda q, s, p: Limits(q, s - 1, p))
    assert "s words stored, s words sent" in failed(make("protocols"))


def test_a_lost_message_fails(monkeypatch):
    decode = RoutingHead.decode

    def forgetful(self, first, mixed):
        inboxes = decode(self, first, mixed)
        return [inbox[: 1 if self.fan > 1 else None] for inbox in inboxes]

    monkeypatch.setattr(RoutingHead, "decode", forgetful)
    monkeypatch.setattr(routing, "_cycles", lambda settings: [])
    monkeypatch.setattr(routing, "_others", lambda settings: [])
    table = make("routing")
    assert set(table[table.failures > 0].theorem) == {"Lemma 3.2"}


def test_a_wrong_output_and_a_layer_too_many_fail(monkeypatch):
    monkeypatch.setattr(routing, "exchange_rows", lambda settings: [])
    right = make("routing").instances
    monkeypatch.setattr(Compiled, "read", lambda self, rows: [])
    table = make("routing")
    assert (table.failures > 0).all()
    assert (table.instances == right).all()
    monkeypatch.undo()
    monkeypatch.setattr(routing, "exchange_rows", lambda settings: [])
    compiled = Compiled.__init__

    def longer(self, *arguments, **options):
        compiled(self, *arguments, **options)
        self.layers = torch.nn.ModuleList([*self.layers, torch.nn.Identity()])

    monkeypatch.setattr(Compiled, "__init__", longer)
    assert (make("routing").failures == 1).all()


def test_vectors_and_columns_that_are_no_such_fail(monkeypatch):
    def keys(head, first, count, packets):
        return torch.full((count, head.query_width), 0.9 * head.query_width).double()

    monkeypatch.setattr(RoutingHead, "keys", keys)
    rows = exchanges.scores(TINY, np.random.default_rng(0))
    assert [row["failures"] > 0 for row in rows] == [True, True, True]
    monkeypatch.setattr(exchanges.KautzSingleton, "where", lambda self, a, b: 0 * a[:, None])
    found = list(exchanges.private_columns(TINY, np.random.default_rng(0)))
    assert [row["failures"] > 0 for row in found] == [True, True, False]


@pytest.mark.filterwarnings("ignore:invalid value encountered in divide")
def test_a_wrong_softmax_fails(monkeypatch):
    merge_parts = AttentionProtocol._merge

    def unscaled(self, layer, machine, phase, inbox):
        return merge_parts(self, layer, machine, phase, inbox[:1])

    monkeypatch.setattr(AttentionProtocol, "_merge", unscaled)
    table = make("attention_layers")
    outputs = table.theorem == "Theorem 3.4"
    assert (table[outputs].failures > 0).all()
    assert (table[~outputs].failures == 0).all()


def test_more_machines_or_rounds_than_stated_fail(monkeypatch):
    monkeypatch.setattr(Plan, "depth", 4)
    table = make("attention_layers")
    assert set(table[table.failures > 0].theorem) == {"Theorem C.1"}


def test_a_model_that_differs_fails(monkeypatch, models):
    run_model = trained_models.as_protocol

    def shifted(*arguments):
        found = run_model(*arguments)
        return found._replace(logits=found.logits + 1e-3 * found.logits.abs().max())

    monkeypatch.setattr(trained_models, "as_protocol", shifted)
    assert make("trained_models", models[:1]).failures.tolist() == [2, 2]


def test_a_round_trip_with_another_answer_fails(monkeypatch):
    def altered(protocol, inputs):
        trip = round_trip(protocol, inputs)
        one, two, three = trip.answers
        return dataclasses.replace(trip, answers=(one, two, [three[0] + 1, *three[1:]]))

    monkeypatch.setattr(round_trips, "round_trip", altered)
    assert (make("round_trips").failures == 1).all()


def test_a_wrong_reduction_or_a_wrong_transformer_fails(monkeypatch):
    draw = reductions.random_cycles_edges
    monkeypatch.setattr(
        reductions, "random_cycles_edges", lambda k, two, rng: draw(k, not two, rng)
    )
    table = make("reductions")
    counted = ~table.claim.str.contains("diameter") & (table.theorem != "Proposition E.4")
    assert (table[counted].failures == TINY.instances).all()
    assert (table[~counted].failures == 0).all()
    monkeypatch.undo()
    monkeypatch.setattr(reductions, "ladder", lambda k: ladder(k - 1))
    assert failed(make("reductions")) == {"by the hand-written transformer"}


# All in one table.


def test_claims_follow_the_papers_order_and_say_how_to_make_them(tables, tmp_path):
    claims = merge(tables, lambda name: f"make {name}")
    write_table("claims", claims, tmp_path / "claims.csv")
    assert len(read_table("claims", tmp_path / "claims.csv")) == len(claims)
    assert len(claims) == sum(map(len, tables.values())) - len(tables["counterexamples"]) + 4
    order = list(dict.fromkeys(claims.theorem))
    assert order == [
        "Section 2",
        "Theorem 3.1",
        "Theorems 3.1 and 3.4",
        "Lemma 3.2",
        "Corollary 3.3",
        "Theorem 3.4",
        "Corollary 3.5",
        "Definition 4.1",
        "Theorem 4.2",
        "Corollary 4.3",
        "Lemma A.2",
        "Proposition B.1",
        "Fact B.2",
        "Theorem B.3",
        "Lemma B.7",
        "Theorem C.1",
        "Lemma D.1",
        "Lemma D.2",
        "Proposition E.4",
    ]
    assert set(claims.command) == {f"make {name}" for name in CHECKS}


def test_the_text_has_a_line_for_each_theorem_claim_and_command():
    rows = [
        ("Lemma B.7", "beta", "by size", "s = 1", 5, 0),
        ("Theorem 3.1", "equal", "table", "|Σ| = 2", 1000, 0),
        ("Theorem 3.1", "equal", "explicit", "|Σ| = 2", 1000, 3),
        *(("Theorem 3.4", "logits", f"run {i}", "N = 9", 1, 0) for i in range(9)),
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    *_, first, second, third = markdown(merge({"routing": table}, str.upper)).splitlines()
    assert first == (
        r"| Theorem 3.1 | equal | table; explicit | \|Σ\| = 2 | 2,000 | **3** | `ROUTING` |"
    )
    runs = "run 0; …; run 8 (9 in all)"
    assert second == f"| Theorem 3.4 | logits | {runs} | N = 9 | 9 | 0 | `ROUTING` |"
    assert third == "| Lemma B.7 | beta | by size | s = 1 | 5 | 0 | `ROUTING` |"


@pytest.mark.parametrize(
    ("column", "value"),
    [("failures", 6), ("failures", -1), ("instances", 0), ("theorem", "Fermat"), ("claim", "")],
)
def test_what_is_no_claim_is_refused(column, value, tmp_path):
    row = dict(zip(COLUMNS, ("Lemma B.7", "beta", "by size", "s = 1", 5, 0), strict=True))
    write_table("protocols", pd.DataFrame([row]), tmp_path / "right.csv")
    with pytest.raises(UserError, match="not a table of protocols"):
        write_table("protocols", pd.DataFrame([row | {column: value}]), tmp_path / "wrong.csv")


def test_every_check_has_a_schema():
    assert {*CHECKS, "claims"} <= set(SCHEMAS)


def test_a_theorem_without_a_number_is_no_place_in_the_paper():
    row = dict(zip(COLUMNS, ("Theorem", "c", "c", "s", 1, 0), strict=True))
    with pytest.raises(ValueError, match="'Theorem' has no number"):
        merge({"protocols": pd.DataFrame([row])}, str)


def test_tallies_count():
    counted = tally([True, False, True])
    counted.compare(torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert counted == Tally(5, 2)
    with pytest.raises(ValueError, match="shapes"):
        counted.compare(torch.zeros(2), torch.zeros(1))
    assert (extent("N", [3]), extent("N", (5, 1, 3))) == ("N = 3", "N = 1..5")
