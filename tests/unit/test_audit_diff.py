"""What differs between jobs, and the versions of a file."""

from pathlib import Path

import pytest

from audit_trail.__main__ import main
from audit_trail.differences import KINDS, compare, differences, open_side, versions
from audit_trail.errors import AuditError
from audit_trail.study import open_study
from statements import resource, write_job

RUN = {"run": {"training": {"steps": 100, "betas": [0.9, 0.99]}}, "device": "cpu"}


def run_job(study: Path, name="train/fast-seed0-0123abcd", **settings):
    settings.setdefault("files", {"runs/a.csv": "x\n1.0\n"})
    return write_job(study, name, parameters=RUN | settings.pop("parameters", {}), **settings)


def found(first, second):
    one, other = open_study(first), open_study(second)
    (before,), (after,) = one.records.values(), other.records.values()
    return [(d.kind, d.name, d.before, d.after) for d in differences(before, after, one, other)]


def test_equal_jobs_do_not_differ(tmp_path):
    for side in "ab":
        run_job(tmp_path / side)
    assert found(tmp_path / "a", tmp_path / "b") == []


def test_the_likeliest_cause_comes_first(tmp_path):
    for side, text in (("a", "1"), ("b", "2")):
        run_job(
            tmp_path / side,
            resources=[
                resource("external", "published.csv", text * 64),
                resource("lock", f"provenance/environments/{text * 64}.txt", text * 64),
            ],
            parameters={"run": {"steps": int(text)}, "device": text},
            seeds={"run": int(text)},
            packages={"torch": text},
            sources={"x": text},
            machine={"host": text, "processor": text},
        )
    differing = found(tmp_path / "a", tmp_path / "b")
    assert [(kind, name) for kind, name, _, _ in differing] == [
        ("configuration", "run.steps"),
        ("seed", "run"),
        ("input", "published.csv"),
        ("code", "x"),
        ("package", "torch"),
        ("machine", "device"),
        ("machine", "processor"),
        ("lock", "None"),
        ("host", "host"),
    ]
    assert differing[0][2:] == ("1", "2")
    assert [kind for kind, *_ in differing] == sorted((k for k, *_ in differing), key=KINDS.index)


def test_runs_are_matched_by_label_and_effects_are_not_causes(tmp_path):
    for side, steps, hash_ in (("a", 100, "0123abcd"), ("b", 200, "89ab0123")):
        run, files = f"fast-seed0-{hash_}", {"runs/a.csv": f"x\n{steps}\n"}
        run_job(tmp_path / side, f"train/{run}", files=files, parameters={"run": {"steps": steps}})
        write_job(
            tmp_path / side,
            "fit/fits",
            {"t.csv": f"e\n{steps / 7}\n"},
            parameters={"experiments": {"fast": [run]}},
            resources=[resource("input", "runs/a.csv", str(steps)[0] * 64)],
        )
    comparison = compare(open_side(tmp_path / "a"), open_side(tmp_path / "b"))
    assert next(iter(comparison)) == "2 jobs on both sides; 0 of them wrote the same bytes"
    assert comparison["different configuration:"] == ["run.steps: 100 → 200  (1 train)"]
    names = {line.partition(".csv")[0] for line in comparison["different numbers:"]}
    assert names == {"fit/fits: t", "train/fast-seed0: a"}
    assert len(comparison) == 3


def test_a_list_that_is_lost_or_altered_is_one_difference(tmp_path):
    for side in "ab":
        run_job(tmp_path / side)
    (kept,) = (tmp_path / "b" / "provenance" / "sources").iterdir()
    lost = [("code", "(list of source)", "kept", "lost")]
    for content in ('{"x":"2"}', "[", None):
        kept.write_text(content) if content else kept.unlink()
        assert found(tmp_path / "a", tmp_path / "b") == lost


def test_the_versions_of_a_file_and_what_changed(tmp_path):
    study = tmp_path / "tiny"
    path = study / "runs/a.csv"
    run_job(study, files={"runs/a.csv": "one"})
    run_job(study, files={"runs/a.csv": "one"})
    changed = {"run": {"training": {"steps": 200}}}
    run_job(study, files={"runs/a.csv": "two"}, parameters=changed)
    opened = open_study(study)
    first, *lines = versions(opened, "runs/a.csv")
    assert [line.strip() for line in lines[1::2]] == [
        "the first",
        "the same bytes, made again; nothing changed",
        "other bytes; configuration run.training.betas: [0.9,0.99] → none; configuration "
        "run.training.steps: 100 → 200",
    ]
    assert [line.split()[:2] for line in lines[::2]] == [
        ["line", "1"],
        ["line", "2"],
        ["line", "3"],
    ]
    assert first == f"{path}: 3 versions; the newest version is there"
    for content, state in (
        ("one", "an older version is there, from line 2 of the history"),
        ("three", "modified: what is there now is none of these versions"),
    ):
        path.write_text(content)
        assert versions(open_study(study), "runs/a.csv")[0].endswith(state)
    path.unlink()
    opened = open_study(study)
    assert versions(opened, "runs/a.csv")[0].endswith("missing: is not there")
    record = next(iter(opened.records))
    assert "3 versions" in versions(opened, record)[0]
    (study / record).unlink()
    assert "3 versions" in versions(open_study(study), "runs/a.csv")[0]
    with pytest.raises(AuditError, match="has never seen it"):
        versions(opened, "runs/b.csv")


def test_the_commands(tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    run_job(first, "fit/fits", files={"t.csv": "n,error\n1,0.25\n"})
    run_job(second, "fit/fits", files={"t.csv": "n,error\n1,0.5\n"}, seeds={"\x1b[2K": 3})
    run_job(second, "fit/other", files={"u.csv": ""})

    def output(*arguments):
        assert main([str(a) for a in arguments]) == 0
        return capsys.readouterr().out

    text = output("diff", first, second)
    assert "1 job on both sides; 0 of them wrote the same bytes" in text
    assert "only in the second:\n  fit/other\n" in text
    assert "different seed:\n  \\x1b[2K: none → 3  (1 fit)\n" in text
    assert "different numbers:\n  fit/fits: t.csv: 1 of 2 cells differ by more than 0.001" in text
    assert "different seed:" in output("diff", first / "t.csv", second / "t.csv")
    assert output("diff", first, first).endswith("no difference in what their records say\n")
    assert "1 version; the newest version is there" in output("history", first / "t.csv")
    (first / "runs" / "x").mkdir(parents=True)
    with pytest.raises(AuditError, match="no record is about it"):
        open_side(first / "runs" / "x")
