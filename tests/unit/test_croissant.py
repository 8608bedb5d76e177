"""The description of the frozen sets, as the library of Croissant reads it."""

import json
import logging

import mlcroissant
import pytest
from ruamel.yaml import YAML

from audit_trail.study import open_study
from command_line import error, logdepth_here


def described(folder):
    done = logdepth_here("croissant", folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# One set, five of them, and one that was published under earlier names.
@pytest.mark.parametrize("study", ["laptop", "law_alphabets", "theory"])
def test_every_frozen_set_is_described(root, study, caplog):
    folder = root / "results/published" / study
    with caplog.at_level(logging.WARNING):
        read = mlcroissant.Dataset(jsonld=described(folder))
    assert not caplog.messages
    assert not read.metadata.ctx.issues.errors
    records = {
        r.outputs[0].name: r for r in open_study(folder).records.values() if r.stage == "data"
    }
    files = {file.content_url: file.sha256 for file in read.metadata.distribution}
    assert files == {name: record.outputs[0].sha256 for name, record in records.items()}
    rows = {row["frozen_sets/set"]: row for row in read.records("frozen_sets")}
    assert rows.keys() == records.keys()
    for name, row in rows.items():
        assert json.loads(row["frozen_sets/task"]) == records[name].parameters["task"]
        assert row["frozen_sets/sequences"] == records[name].parameters["sequences"]


def test_the_library_refuses_what_is_no_description(root):
    content = described(root / "results/published/laptop")
    del content["distribution"][0]["contentUrl"]
    with pytest.raises(mlcroissant.ValidationError, match="contentUrl"):
        mlcroissant.Dataset(jsonld=content)


def test_a_study_without_sets(tmp_path):
    (tmp_path / "runs").mkdir()
    assert "has no frozen set" in error(logdepth_here("croissant", tmp_path))


def test_what_the_workflow_catalog_reads(root):
    usage = YAML(typ="safe").load(root / ".snakemake-workflow-catalog.yml")["usage"]
    flags = usage["mandatory-flags"]["flags"].split()
    assert (root / flags[flags.index("--configfile") + 1]).is_file()
    assert usage["software-stack-deployment"]["apptainer"]
    assert (root / "config/README.md").is_file()
