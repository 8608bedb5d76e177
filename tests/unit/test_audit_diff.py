"""What differs between jobs, how far numbers are apart, and the versions of a file."""

import json

import numpy as np
import pandas as pd
import pytest
from typer import Typer
from typer.testing import CliRunner

from audit_trail.comparison import compare, open_side
from audit_trail.deviations import deviations, lone_rows, plain
from audit_trail.differences import KINDS, differences
from audit_trail.study import open_study
from audit_trail.versions import present_state, versions
from audit_trail.commands import diff, history
from logdepth.errors import UserError
from logdepth.files import write_text
from logdepth.provenance import environment
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded


def run_job(
    study, name="train/fast-seed0-0123abcd", *, output="runs/a.csv", text="x\n1.0\n", **job
):
    settings = {"run": {"training": {"steps": 100, "betas": [0.9, 0.99]}}, "device": "cpu"}
    stage = name.partition("/")[0]
    record = study / "provenance" / f"{name}.json"
    inputs = job.pop("inputs", [])
    parameters = settings | job.pop("parameters", {})
    path = study / output
    made = Job(stage, ("logdepth.files",), parameters, job.pop("seeds", {}))
    with recorded(made, inputs=inputs, outputs=[path], record=record, definition=made.definition()):
        write_text(path, text)
    return path


def found(first, second):
    one, other = open_study(first), open_study(second)
    (before,), (after,) = one.records.values(), other.records.values()
    return [(d.kind, d.name, d.before, d.after) for d in differences(before, after, one, other)]


def test_equal_jobs_do_not_differ(tmp_path):
    for side in "ab":
        run_job(tmp_path / side)
    assert found(tmp_path / "a", tmp_path / "b") == []


def test_the_likeliest_cause_comes_first(tmp_path, monkeypatch):
    for side, text in (("a", "one"), ("b", "two")):
        write_text(tmp_path / "published.csv", text)
        known = environment.packages()
        monkeypatch.setattr(
            environment, "packages", lambda k=known, t=text: k | {"torch": t, "rich": t}
        )
        monkeypatch.setattr(environment, "machine", lambda t=text: {"host": t, "processor": t})
        steps = {"run": {"training": {"steps": len(text) if text == "one" else 50}}}
        run_job(
            tmp_path / side,
            inputs=[tmp_path / "published.csv"],
            parameters=steps | {"device": "cuda" if text == "two" else "cpu"},
            seeds={"run": len(side + text) if text == "two" else 0},
        )
    differing = found(tmp_path / "a", tmp_path / "b")
    assert [(kind, name) for kind, name, _, _ in differing] == [
        ("configuration", "run.training.steps"),
        ("seed", "run"),
        ("input", str(tmp_path / "published.csv")),
        ("numerics", "torch"),
        ("machine", "device"),
        ("machine", "processor"),
        ("package", "rich"),
        ("host", "host"),
    ]
    assert differing[0][2:] == ("3", "50")
    assert [kind for kind, *_ in differing] == sorted((k for k, *_ in differing), key=KINDS.index)


def test_runs_are_matched_by_label_and_effects_are_not_causes(tmp_path):
    for side, steps, hash_ in (("a", 100, "0123abcd"), ("b", 200, "89ab0123")):
        study = tmp_path / side
        run = f"fast-seed0-{hash_}"
        settings = {"run": {"training": {"steps": steps}}}
        made = run_job(
            study, f"train/{run}", output="runs/a.csv", text=f"x\n{steps}\n", parameters=settings
        )
        run_job(study, "fit/fits", output="t.csv", text=f"e\n{steps / 7}\n", inputs=[made])
    comparison = compare(open_side(tmp_path / "a"), open_side(tmp_path / "b"))
    assert set(comparison.pairs) == {"train/fast-seed0", "fit/fits"}
    assert comparison.equal == []
    assert next((str(c.difference), dict(c.jobs)) for c in comparison.causes) == (
        "configuration run.training.steps: 100 → 200",
        {"train": 1},
    )
    assert not [c for c in comparison.causes if c.difference.kind == "input"]


def counts(rng, rate, sequences=400):
    return pd.DataFrame(
        {
            "mode": "eval",
            "k": np.repeat([1, 2], sequences),
            "sequence": np.tile(np.arange(sequences), 2),
            "wrong": rng.binomial(50, rate, 2 * sequences),
            "symbols": 50,
        }
    )


@pytest.mark.parametrize(("rate", "far"), [(0.1, False), (0.12, True)])
def test_counts_are_compared_as_rates_in_standard_errors(tmp_path, rate, far):
    for name, p, seed in (("a", 0.1, 1), ("b", rate, 2)):
        counts(np.random.default_rng(seed), p).to_csv(tmp_path / f"{name}.csv", index=False)
    found = {d.column: d for d in deviations(tmp_path / "a.csv", tmp_path / "b.csv")}
    assert set(found) == {"error", "sequences_low", "sequences_high"}
    worst = found["error"]
    assert (worst.errors > 4) == far
    assert (worst.beyond == 2) == far
    one, other = (pd.read_csv(tmp_path / f"{n}.csv") for n in "ab")
    k = int(worst.where.rpartition("=")[2])
    for table, value in ((one, worst.before), (other, worst.after)):
        part = table[table["k"] == k]
        assert value == pytest.approx(part["wrong"].sum() / part["symbols"].sum())


def test_tables_of_errors_are_compared_by_their_intervals(tmp_path):
    table = pd.DataFrame(
        {
            "depth": [2, 3],
            "error": [0.5, 0.1],
            "sequences_low": [0.4, 0.09],
            "sequences_high": [0.6, 0.11],
        }
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    table.assign(error=[0.5, 0.11]).to_csv(tmp_path / "b.csv", index=False)
    (worst,) = deviations(tmp_path / "a.csv", tmp_path / "b.csv")
    assert worst.where == "depth=3"
    assert worst.errors == pytest.approx(0.01 / (np.hypot(0.01, 0.01) / 1.959964), rel=1e-6)
    assert deviations(tmp_path / "a.csv", tmp_path / "a.csv") == []
    table.rename(columns={"error": "other"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(ValueError, match="columns are others"):
        deviations(tmp_path / "a.csv", tmp_path / "b.csv")


def test_what_no_estimate_shows_is_noticed_too(tmp_path):
    before, after = tmp_path / "a.csv", tmp_path / "b.csv"
    before.write_text("n,slope,slope_low,slope_high,verdict\n1,0.5,0.4,0.6,best\n2,0.5,0.4,,best\n")
    after.write_text(before.read_text().replace("1,0.5,0.4,0.6", "1,0.5,0.3,0.6"))
    (end,) = deviations(before, after)
    assert (end.column, end.where) == ("slope_low", "n=1, verdict=best")
    assert end.errors == pytest.approx(0.1 / (np.hypot(0.1, 0.15) / 1.959964), rel=1e-6)
    after.write_text(before.read_text().replace("2,0.5,0.4,,best", "2,0.5,0.4,,worse"))
    assert lone_rows(before, after) == (1, 1)
    after.write_text(before.read_text().replace("1,0.5", "1,"))
    worst = deviations(before, after)[0]
    assert (worst.errors, worst.relative) == (np.inf, np.inf)
    assert plain(worst)["after"] == "nan"
    json.dumps([plain(d) for d in deviations(before, after)], allow_nan=False)


def test_a_list_that_is_lost_is_one_difference(tmp_path):
    for side in "ab":
        run_job(tmp_path / side)
    for kept in (tmp_path / "b" / "provenance" / "sources").iterdir():
        kept.unlink()
    assert found(tmp_path / "a", tmp_path / "b") == [("code", "(list of source)", "kept", "lost")]


def test_a_seed_is_told_once(tmp_path):
    for side, seed in (("a", 0), ("b", 1)):
        run_job(tmp_path / side, parameters={"run": {"seed": seed}}, seeds={"run": seed})
    assert found(tmp_path / "a", tmp_path / "b") == [("seed", "run", "0", "1")]


def test_the_versions_of_a_file_and_what_changed(tmp_path):
    study = tmp_path / "tiny"
    path = run_job(study, text="one")
    run_job(study, text="one")
    run_job(study, text="two", parameters={"run": {"training": {"steps": 200}}})
    opened = open_study(study)
    listed = versions(opened, "runs/a.csv")
    assert [version.summary for version in listed] == [
        "the first",
        "the same bytes, made again; nothing changed",
        "other bytes; configuration run.training.betas: [0.9,0.99] → none; configuration "
        "run.training.steps: 100 → 200",
    ]
    assert [version.present for version in listed] == [False, False, True]
    assert present_state(opened, listed, "runs/a.csv") == "the newest version is there"
    for content, state in (
        ("one", "an older version is there, from line 2 of the history"),
        ("three", "modified: what is there now is none of these versions"),
    ):
        path.write_text(content)
        assert present_state(opened, versions(opened, "runs/a.csv"), "runs/a.csv") == state
    path.unlink()
    assert present_state(opened, listed, "runs/a.csv").startswith("missing")
    record = next(iter(opened.records))
    assert len(versions(opened, record)) == 3
    (study / record).unlink()
    assert len(versions(open_study(study), "runs/a.csv")) == 3
    with pytest.raises(UserError, match="has never seen it"):
        versions(opened, "runs/b.csv")


def test_the_commands(tmp_path, monkeypatch):
    app = Typer()
    app.callback()(lambda: None)
    diff.register(app)
    history.register(app)
    first, second = tmp_path / "first", tmp_path / "second"
    run_job(first, "fit/fits", output="t.csv", text="n,error\n1,0.25\n")
    run_job(second, "fit/fits", output="t.csv", text="n,error\n1,0.5\n", seeds={"bootstrap": 3})

    def output(*arguments):
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    text = output("diff", first, second)
    assert "1 job on both sides; 0 of them wrote the same bytes" in text
    assert "  seed bootstrap: none → 3  (1 fit)" in text
    assert "error: 0.25 → 0.5 at n=1; 1 of 1 rows other" in text
    plain = json.loads(output("diff", first / "t.csv", second / "t.csv", "--json"))
    assert [cause["kind"] for cause in plain["causes"]] == ["seed"]
    assert output("diff", first, first).endswith("no difference\n")
    assert "1 version; the newest version is there" in output("history", first / "t.csv")
    listed = json.loads(output("history", first / "t.csv", "--json"))
    assert listed["versions"][0]["present"]
