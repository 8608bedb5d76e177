"""Jobs as they are declared: what the workflow passes is what the command records."""

import json

import pytest

from logdepth import jobs
from logdepth.config.study import load_study, read_study
from logdepth.resolved import read_summary, resolve


def many(seeds: int):
    content = {
        "study": "many",
        "title": "Many",
        "task": {"name": "hop", "context": 10, "alphabet": 4, "max_k": 2},
        "seeds": list(range(seeds)),
        "experiments": {
            "many": {
                "title": "many",
                "model": {"form": "softmax", "heads": 2, "width": 16},
                "training": {"recipe": "muon"},
                "depths": [1, 2],
            }
        },
        "theory": {},
    }
    return resolve(read_study(content, "many.yaml"))


def test_no_command_line_grows_with_the_number_of_runs():
    few, more = many(1), many(30)
    short, long = jobs.jobs_of(few), jobs.jobs_of(more)
    about_all = set(short) & set(long) - {name for name in short if few.runs.keys() & {name}}
    assert {"tabulate/tables", "fit/fits", "theory/trained_models", "figure/depth_law"} <= about_all
    for name in about_all:
        if name.partition("/")[2] not in few.runs:
            assert long[name].options == short[name].options, name


def test_study_json_holds_what_commands_need(tmp_path):
    summary = many(3).summary
    summary.write(tmp_path / "study.json")
    assert read_summary(tmp_path / "study.json") == summary
    before = (tmp_path / "study.json").stat().st_mtime_ns
    summary.write(tmp_path / "study.json")
    assert (tmp_path / "study.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["laptop", "paper", "smoke", "speedrun", "theory"])
def test_a_command_makes_the_job_that_the_workflow_declared(root, tmp_path, name):
    # Each command has the same function build its job, from study.json where it is about many runs.
    resolved = resolve(load_study(root / f"config/{name}.yaml"))
    resolved.summary.write(tmp_path / "study.json")
    read = read_summary(tmp_path / "study.json")
    declared = jobs.jobs_of(resolved)
    study = resolved.study
    again = {
        "tabulate/tables": jobs.tabulate(read),
        "curves/training": jobs.curves(read),
        "describe/tables": jobs.describe(read),
        "compare/comparison": jobs.compare(read),
        "fit/fits": jobs.fit(read, study.fit.thresholds),
        "depths/solved_depths": jobs.depths(read, study.beside),
        **{
            f"figure/{figure}": jobs.figure(spec, read) for figure, spec in resolved.figures.items()
        },
        **{
            f"evaluate/{run}": jobs.evaluate(spec, study.evaluation.modes, study.evaluation.seed)
            for run, spec in read.runs.items()
        },
    }
    for record, job in again.items():
        assert job.definition() == declared[record].definition(), record


def test_the_order_of_experiments_counts(root):
    content = {"task": {"name": "hop"}, "study": "two", "title": "Two"}
    one = {
        "title": "one",
        "model": {"form": "softmax"},
        "training": {"recipe": "muon"},
        "depths": [1],
    }
    two = one | {"depths": [2]}
    forwards, backwards = (
        jobs.jobs_of(resolve(read_study(content | {"experiments": order}, "two.yaml")))
        for order in ({"one": one, "two": two}, {"two": two, "one": one})
    )
    tables = "tabulate/tables"
    assert forwards[tables].definition() != backwards[tables].definition()
    assert json.dumps(forwards[tables].parameters, sort_keys=True) == json.dumps(
        backwards[tables].parameters, sort_keys=True
    )
