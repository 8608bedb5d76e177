"""A study of the theory, from nothing to its claims, in sizes that a test can afford."""

import subprocess
import sys

import pandas as pd
import pytest

from checkout import make_checkout
from logdepth.theory.catalog import CHECKS, JOBS

SMALL = """\
study: tiny
title: The theory, small
task: {context: 12, alphabet: 4, max_hops: 4}
seeds: [0]
evaluation: {sequences: 16, dropout: ["off", "on"]}
fit: {bootstrap: 12}
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
    model: {form: paper, heads: 2, width: 64}
    training: {recipe: compiled}
    depths: [2, 3, 4]
  trained:
    title: trained
    model: {form: fast, heads: 2, width: 16, mlp_ratio: 0}
    training: {recipe: fast, steps: 30, batch: 8, warmup: 2}
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
  heads: {draws: best_alignment, experiments: [compiled], depth: 4}
"""


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """A checkout in which the study of the theory is complete."""
    checkout = make_checkout(root, tmp_path_factory.mktemp("theory") / "checkout", SMALL)
    checkout.snakemake()
    return checkout


def test_every_claim_holds_and_says_how_to_try_it_again(done):
    claims = pd.read_csv(done.results / "tables/claims.csv")
    assert (claims["failures"] == 0).all()
    assert (claims["instances"] > 0).all()
    assert {"Theorem 3.1", "Theorem 3.4", "Theorem 4.2", "Corollary 4.3"} <= set(claims["theorem"])
    tables = {command.split()[1] for command in claims["command"]}
    assert tables <= {f"results/tiny/tables/{name}.csv" for name in CHECKS}
    assert len(tables) >= len(CHECKS) - 1
    text = (done.results / "tables/claims.md").read_text()
    assert text.count("\n|") >= len(claims)


def test_every_table_and_figure_is_there_and_verified(done):
    for name in JOBS:
        assert len(pd.read_csv(done.results / f"tables/{name}.csv"))
    verified = subprocess.run(
        [sys.executable, "-m", "logdepth", "audit", "verify", str(done.results)],
        cwd=done.folder,
        env=done.command()[1],
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_compiled_model_is_evaluated_like_a_trained_one(done):
    solved = pd.read_csv(done.results / "tables/solved_depths.csv")
    compiled = solved[(solved["kind"] == "compiled") & (solved["dropout"] == "off")]
    assert compiled["largest_solved"].tolist() == [1, 2, 4]
    errors = pd.read_csv(done.results / "tables/errors.csv")
    exact = errors[(errors["experiment"] == "compiled") & (errors["dropout"] == "off")]
    assert (exact[exact["hops"] <= 2 ** (exact["depth"] - 2)]["error"] == 0).all()
    assert (exact[exact["hops"] > 2 ** (exact["depth"] - 2)]["error"] > 0.2).all()


def test_what_changed_in_the_theory_runs_again_and_nothing_else(done, tmp_path):
    assert done.planned() == {}
    edited = done.copy(tmp_path / "edited")
    edited.edit("workflow/logdepth/theory/reductions.py", "% 2 or k < 6", "% 2 or k < 4")
    planned = edited.planned()
    assert planned["theory"] == 1
    assert planned["claims"] == 1
    assert not {"train", "compile", "evaluate", "fit"} & set(planned)
