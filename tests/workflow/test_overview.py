"""What the commands runs, status and gc say of a study, and what gc removes."""

import io
import shutil

import pandas as pd
import pytest
from filelock import FileLock

from audit_trail.writer import append_entry
from command_line import error, logdepth_here
from logdepth.config.run import Run
from logdepth.config.study import load_study
from logdepth.resolved import resolve_in

PART = "runs/.evaluation.csv.abc.part"
FOREIGN = "notes.txt"


@pytest.fixture
def here(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    return finished


def said(*words):
    done = logdepth_here(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(*words):
    return pd.read_csv(io.StringIO(said("runs", "--csv", *words)))


def without_depth_2(checkout):
    checkout.edit("config/tiny.yaml", "depths: [1, 2]", "depths: [1]")
    (run,) = checkout.results.glob("runs/*-L2-*")
    return run.name


def test_a_finished_study_has_its_jobs_and_runs(here):
    records = {path.relative_to(here.results) for path in here.results.glob("provenance/*/*.json")}
    count = sum(path.parts[1] not in ("environments", "sources", "studies") for path in records)
    line = f"results/tiny: {count} of {count} jobs done, 0 out of date, 0 missing, 0 at work"
    assert said("status").startswith(line)
    runs = table("--sort", "training.steps", "--reverse")
    assert set(runs["state"]) == {"finished"}
    assert runs["training.steps"].tolist() == [400, 400, 4] == runs["step"].tolist()
    errors = pd.read_csv(here.results / "tables/errors_by_run.csv")
    for _, run in runs.iterrows():
        known = errors[errors["run"] == run["run"]]
        right = (known["error"] * known["symbols"]).sum() / known["symbols"].sum()
        assert run["error"] == pytest.approx(right, rel=1e-4)
    assert runs["run"].iloc[0] in said("runs")
    assert "--sort nothing: no such column; expected one of study" in error(
        logdepth_here("runs", "--sort", "nothing")
    )
    assert "--study none: not in results; expected one of tiny" in error(
        logdepth_here("status", "--study", "none")
    )


def test_a_study_that_was_only_planned(fresh, monkeypatch):
    monkeypatch.chdir(fresh.folder)
    assert "results: no study; expected one that was started" in error(logdepth_here("runs"))
    study = resolve_in(load_study(fresh.config), fresh.results)
    study.summary.write(fresh.results / "study.json")  # as the workflow does whenever it is read
    assert said("status").startswith("results/tiny: 0 of 14 jobs done, 0 out of date, 14 missing")
    assert set(table()["state"]) == {"missing"}
    assert said("gc") == "results/tiny: nothing to remove\n"


def test_after_a_crash_the_folder_says_how_far_it_was(here):
    (run,) = here.results.glob("runs/*-L2-*")
    (run / "model.safetensors").unlink()
    log = here.results / "logs/train" / f"{run.name}.log"
    lines = log.read_text().splitlines()
    half = next(line for line in lines if "step 200/400" in line)
    log.write_text("\n".join([*lines[: lines.index(half) + 1], "Killed", ""]))
    text = said("status")
    assert " 1 missing" in text
    assert f"{run.name}: step 200/400" in text
    assert "(not at work on this machine)" in text
    assert "of training left" in text
    states = table().set_index("run")["state"]
    assert states.pop(run.name) == "training"
    assert set(states) == {"finished"}
    log.unlink()
    assert table().set_index("run")["state"][run.name] == "missing"


def test_what_is_asked_for_otherwise_now_is_out_of_date(here):
    here.edit("config/tiny.yaml", "thresholds: [0.1, 0.05]", "thresholds: [0.1, 0.2]")
    assert ", 1 out of date, 0 missing" in said("status")  # the fit
    file = here.results / "study.json"
    file.write_text(file.read_text().replace('"steps":400', '"steps":401'))
    assert table("--sort", "training.steps")["state"].tolist() == ["finished", "missing", "missing"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "modules", ("logdepth.tasks.parity",))  # of other source
        assert table("--sort", "training.steps")["state"].tolist() == [
            "stale",
            "missing",
            "missing",
        ]


def test_what_no_study_refers_to_is_listed_and_then_removed(here):
    run = without_depth_2(here)
    steps = here.results / "runs" / run / "steps.csv"
    steps.write_text(steps.read_text().replace("1", "2", 1))  # somebody's own now
    for name in (PART, FOREIGN, f"runs/{run}/{FOREIGN}"):
        (here.results / name).write_text("mine")
    kept = here.results / "checkpoints" / run / "step-000000200-0123456789abcdef.pt"
    other = kept.with_name("mine.pt")
    for path in (kept, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    published = here.folder / "results/published/tiny"
    shutil.copytree(here.results, published)
    before = files(here.folder / "results")

    listed = said("gc").splitlines()
    assert files(here.folder / "results") == before
    names = {line.partition(": ")[0].removeprefix("results/tiny/") for line in listed[:-1]}
    own = {f"runs/{run}/{name}" for name in ("model.safetensors", "run.json", "by_k.csv")}
    own |= {f"runs/{run}/evaluation.csv", PART, kept.relative_to(here.results).as_posix()}
    own |= {
        f"{k}/{s}/{run}.{e}"
        for k, e in (("logs", "log"), ("benchmarks", "tsv"))
        for s in ("train", "evaluate")
    }
    assert names == own
    assert listed[-1].startswith(f"results/tiny: {len(own)} files")

    assert said("gc", "--remove").splitlines()[:-1] == listed[:-1]
    gone = before - files(here.folder / "results")
    assert gone == {f"tiny/{name}" for name in own}
    assert (steps.exists(), other.exists()) == (True, True)
    assert said("gc").splitlines() == ["results/tiny: nothing to remove"]
    # The history tells of it: nothing is missing, and the chain holds.
    verified = logdepth_here("audit", "verify", "results/tiny").stdout
    assert "missing" not in verified
    assert "broken" not in verified


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_somebody_works_on_is_left_alone(here):
    without_depth_2(here)
    before = files(here.results)
    with FileLock(here.folder / ".snakemake/tiny.lock"):
        done = logdepth_here("gc", "--remove")
    assert "results/tiny: another Snakemake is at work here; wait for it" in done.stderr
    assert files(here.results) == before
    append_entry(here.results, {"event": "published", "withheld": {}})
    assert "results/tiny: published results; left alone" in logdepth_here("gc", "--remove").stderr
    assert files(here.results) == before


def test_a_study_without_settings_is_left_alone(here):
    here.config.unlink()
    done = logdepth_here("gc", "--remove")
    assert "results/tiny: left alone: config/tiny.yaml" in done.stderr
    assert not done.stdout
