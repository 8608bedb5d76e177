"""A study of the theory, from nothing to its claims, in sizes that a test can afford."""

import json

import pandas as pd
import pytest
from ruamel.yaml import YAML

from checkout import make_checkout
from command_line import logdepth, logdepth_here
from logdepth.tables import read_table
from logdepth.theory.catalog import CHECKS, TABLES

SMALL = """\
study: tiny
title: The theory, small
task: {name: hop, context: 12, alphabet: 4, max_k: 4}
seeds: [0]
evaluation: {sequences: 16, modes: [eval, train]}
fit: {thresholds: [0.1, 0.05]}
alignment: {sequences: 3}
theory:
  instances: 3
  lengths: [1, 5, 9]
  alphabets: [1, 3]
  max_hops: 5
  machines: [8, 16]
  measured_lengths: [8, 16]
  fans: [1, 2]
  tokens: [8, 16]
  diameters: [2, 4]
experiments:
  compiled:
    title: by hand
    model: {form: gpt2, heads: 2, width: 64}
    training: {recipe: compiled}
    depths: [3]
  trained:
    title: trained
    model: {form: softmax, heads: 2, width: 16, mlp_ratio: 0}
    training: {recipe: muon, steps: 30, batch: 8, warmup: 2}
    depths: [1]
figures:
  fig01: {draws: mpc_execution}
  fig03: {draws: routing_example}
  fig04: {draws: mpc_as_attention}
  fig05: {draws: attention_as_mpc}
  construction_depth: {draws: construction_depth}
  temperature: {draws: temperature}
  precision: {draws: precision}
  routing_width: {draws: routing_width}
  attention_cost: {draws: attention_cost}
  protocol_rounds: {draws: protocol_rounds}
  heads: {draws: best_alignment, experiments: [compiled], depth: 3}
"""


# What compiled models, a check, and a figure of each source of data take: two measurements in one
# figure, solved depths, the attention of a model.
MADE = [
    *(f"results/tiny/tables/{name}.csv" for name in ("reductions", "errors")),
    *(
        f"results/tiny/figures/{name}.pdf"
        for name in ("routing_width", "construction_depth", "heads")
    ),
]
MADE_TABLES = ["reductions", "routing_width", "table_losses"]
CLAIMS = "results/tiny/tables/claims.csv"


def test_a_study_of_the_theory_from_nothing_to_its_claims(root, tmp_path, monkeypatch):
    # One test, for the study is made once: each process of the tests would make its own.
    done = make_checkout(root, tmp_path / "checkout", SMALL)
    done.snakemake(*MADE)
    check_tables(done)
    check_compiled_models(done)
    # The other checks by the commands of the rules, which have no need of a process each.
    assert done.planned(CLAIMS) == {"theory": len(CHECKS) - 1, "claims": 1}
    monkeypatch.chdir(done.folder)
    for words in done.commands(CLAIMS):
        made = logdepth_here(*words)
        assert made.returncode == 0, made.stderr
    check_claims(done)
    # All that was not asked for is left, each table and each figure, and nothing else.
    left = ("fig01", "fig03", "fig04", "fig05", "temperature", "precision", "attention_cost")
    figures = {f"figure_{name}": 1 for name in (*left, "protocol_rounds")}
    tables = {"theory": len(TABLES) - len(CHECKS) - 2, "training_table": 1, "paper_tables": 1}
    assert done.planned() == figures | tables
    done.edit("workflow/logdepth/theory/reductions.py", "% 2 or k < 6", "% 2 or k < 4")
    assert done.planned(CLAIMS) == {"theory": 1, "claims": 1}
    done.config.write_text(SMALL + "beside: [{results: results/none, experiment: a, title: b}]\n")
    assert (
        "config/tiny.yaml: beside: results/none/tables/thresholds.csv: no such file; expected "
        "the folder of a finished study"
    ) in done.refused()


def check_claims(done):
    claims = pd.read_csv(done.results / "tables/claims.csv")
    assert (claims["failures"] == 0).all()
    assert (claims["instances"] > 0).all()
    assert {"Theorem 3.1", "Theorem 3.4", "Theorem 4.2", "Corollary 4.3"} <= set(claims["theorem"])
    tables = {command.split()[1] for command in claims["command"]}
    assert tables == {f"results/tiny/tables/{name}.csv" for name in CHECKS}
    text = (done.results / "tables/claims.md").read_text()
    for theorem in set(claims["theorem"]):
        assert f"\n| {theorem} |" in text


def check_tables(done):
    for name in MADE_TABLES:
        assert len(read_table(name, done.results / f"tables/{name}.csv"))
    _, environment = done.command()
    verified = logdepth("audit", "verify", done.results, cwd=done.folder, env=environment)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def check_compiled_models(done):
    solved = pd.read_csv(done.results / "tables/solved_depths.csv")
    compiled = solved[(solved["kind"] == "compiled") & (solved["mode"] == "eval")]
    assert compiled["largest_solved"].tolist() == [2]
    errors = pd.read_csv(done.results / "tables/errors.csv")
    exact = errors[(errors["experiment"] == "compiled") & (errors["mode"] == "eval")]
    assert (exact[exact["k"] <= 2 ** (exact["depth"] - 2)]["error"] == 0).all()
    assert (exact[exact["k"] > 2 ** (exact["depth"] - 2)]["error"] > 0.2).all()


@pytest.mark.parametrize("name", [name for name in TABLES if name not in {*CHECKS, *MADE_TABLES}])
def test_the_command_writes_every_other_table(name, tmp_path):
    settings = json.dumps(YAML(typ="safe").load(SMALL)["theory"])
    path = tmp_path / f"{name}.csv"
    done = logdepth_here("theory", name, "--settings", settings, "--output", path)
    assert done.returncode == 0, done.stderr
    assert len(read_table(name, path))
