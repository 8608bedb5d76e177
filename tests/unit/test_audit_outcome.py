"""Which commands are followed, and how close an output made again is to the recorded one."""

import json
import math
from pathlib import Path

import pytest

from audit_trail.errors import AuditError
from audit_trail.numbers import compare_files, gap
from audit_trail.project import Project
from audit_trail.records import Record, parse_statement
from audit_trail.reproduction.command import command_of, place_of
from audit_trail.study import StudyFolder
from logdepth.rebuilding import RULES
from statements import NONE, resource, statement

PROJECT = Project(rebuilding=RULES)
STUDY = StudyFolder(Path("tiny"))
RUN = {"model": {"depth": 2}, "task": {"name": "hop"}, "training": {"steps": 100}}
COMMAND = "logdepth train --output old/runs/r --record old/provenance/train/r.json"


def record_of(
    command,
    *,
    stage="train",
    name="r",
    outputs=("runs/r/model.safetensors", "runs/r/run.json"),
    inputs=(),
    external=(),
    study=False,
    **settings,
) -> Record:
    """Return a record, as somebody may have written it."""
    resources = [resource("input", path) for path in inputs]
    resources += [resource("external", path) for path in external]
    if study:
        resources.append(resource("study", f"provenance/studies/{NONE}.json"))
    made = statement(
        stage,
        command=command.split(" ") if isinstance(command, str) else command,
        outputs=dict.fromkeys(outputs, NONE),
        resources=resources,
        **settings,
    )
    return parse_statement(f"provenance/{stage}/{name}.json", NONE, made)


def words(record: Record) -> list[str]:
    return list(command_of(PROJECT, STUDY, record).arguments)


def refused(record: Record, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        words(record)


def test_a_training_has_its_recorded_settings_device_and_threads_and_no_checkpoints():
    command = [
        *("logdepth", "train", "--run", json.dumps(RUN), "--output", "results/a/runs/r"),
        *("--checkpoints", "results/a/sent", "--checkpoint-seconds=3", "--device", "auto"),
        *("--threads", "7", "--definition", "d" * 64 + "+1"),
        *("--record", "./results/a/provenance/train/r.json"),
    ]
    parameters = {"run": RUN, "device": "cuda"}
    record = record_of(command, parameters=parameters, machine={"torch": {"threads": 3}})
    run = json.dumps(RUN, sort_keys=True, separators=(",", ":"))
    assert words(record) == [
        *("train", f"--run={run}", "--output=results/a/runs/r", "--device=cuda", "--threads=3"),
        *("--definition=" + "d" * 64 + "+1", "--record=results/a/provenance/train/r.json"),
    ]
    # A file may have been named: what counts is what was read.
    command[3] = "config/run.yaml"
    assert words(record_of(command, parameters=parameters))[1] == f"--run={run}"


@pytest.mark.parametrize(
    ("parameters", "option"),
    [
        ({"k": [1, 2]}, "--k 1"),
        ({"hops": [1, 2]}, "--hops 1,2"),
        ({"threshold": [0.1]}, "--threshold 0.10"),
        ({"experiments": {"fast": ["a", "b"]}}, "--experiment fast=a,b"),
        ({"titles": {"fast": "by-hand"}}, "--title fast=by-hand"),
        ({"mode": "eval"}, "--mode eval"),
        ({"beside": [{"results": "x"}]}, '--beside {"results":"x"}'),
    ],
)
def test_options_have_recorded_values_as_this_and_older_commands_say_them(parameters, option):
    name, _, value = option.partition(" ")
    record = record_of(f"{COMMAND} {option}", parameters=parameters)
    assert words(record)[-1] == f"{name}={value}"


def test_files_move_to_the_working_folder():
    command = (
        "logdepth compare --study old/study.json --runs old/runs/ --published ../p/x.csv "
        "--output old/tables --record old/provenance/compare/x.json"
    )
    declared = {
        "inputs": ["runs/a/evaluation.csv"],
        "outputs": ["tables/c.csv"],
        "external": ["../p/x.csv"],
        "study": True,
    }
    record = record_of(command, stage="compare", name="x", **declared)
    assert words(record) == [
        *("compare", "--study=old/study.json", "--runs=old/runs", "--published=up/p/x.csv"),
        *("--output=old/tables", "--record=old/provenance/compare/x.json"),
    ]
    # Where the study lay elsewhere than below the working folder, it goes to results/.
    for typed in ("/home/x/old", "../old", "workflow/old"):
        moved = record_of(
            command.replace("old/", f"{typed}/"), stage="compare", name="x", **declared
        )
        assert command_of(PROJECT, STUDY, moved).folder == "results/tiny"
        assert words(moved)[2] == "--runs=results/tiny/runs"


def test_an_import_names_only_what_its_record_is_about():
    external = ["../released/depth2/config.yaml", "../released/depth2/model_9.pt"]
    command = "logdepth import ../released/depth2 ../released/depth4 --samples 7"
    parameters = {"run": {"training": {"samples": 7}}}
    record = record_of(command, stage="import", external=external, parameters=parameters)
    assert words(record) == ["import", "up/released/depth2", "--output=results/tiny", "--samples=7"]
    refused(record_of(command, stage="import"), "what was imported")
    refused(record_of(command, stage="import", external=["a/-x/b", "-y/c"]), "what was imported")
    refused(record_of(command, stage="import", external=["a/b\0"]), "leads out of the folder")
    odd = {"run": 5}
    assert "--samples" not in words(
        record_of(command, stage="import", external=external, parameters=odd)
    )


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--seed 1", "does not explain '--seed"),
        ("--run x.json", "does not explain '--run"),
        ("--deterministic", "has no value"),
        ("-- eval", "is no option"),
        ("--deterministic --threads 1", "has no value"),
        ("other", "does not explain 'other'"),
        ("-x", "does not explain '-x'"),
        ("--data old/runs/secret", "does not explain '--data"),
        ("--data old", "does not explain '--data"),
        ("--data /etc/passwd", "does not explain '--data"),
        ("--data old/../../x", "does not explain '--data"),
        ("--output old", "does not explain '--output"),
        ("--output=/tmp/x", "does not explain '--output"),
        ("--definition 00", "does not explain '--definition"),
        ("--record old/provenance/train/r.json", "does not name this record"),
        ("--title /etc/x", "leads out"),
        ('--title {"a":"\\u002e./x"}', "leads out"),
        ("--title x=../y", "leads out"),
        ("--title a\0b", "leads out"),
    ],
)
def test_a_word_that_the_record_does_not_explain_is_refused(word, message):
    texts = ["/etc/x", {"a": "../x"}, "a\0b"]
    titles = {"titles": {"x": "../y"}, "texts": texts}
    refused(record_of(f"{COMMAND} {word}", parameters=titles), message)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("rm train --record old/provenance/train/r.json", "none of logdepth"),
        ("logdepth evaluate --record old/provenance/train/r.json", "none of logdepth"),
        ("logdepth train --output old/runs/r", "does not name this record"),
        ("logdepth train --record old/provenance/train/other.json", "does not name this record"),
    ],
)
def test_another_command_than_the_records_is_refused(command, message):
    refused(record_of(command), message)
    refused(record_of("logdepth audit", stage="audit"), "cannot be run again")


def test_an_input_that_no_option_reads_is_refused():
    # A training would go on from it: its own folder is where checkpoints lie.
    for sent in ("runs/r/checkpoints/1.pt", "sent/1.pt"):
        for command in (COMMAND, f"{COMMAND} --checkpoints old/sent"):
            refused(record_of(command, inputs=[sent]), "no option of it reads the input")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("config/published.csv", "config/published.csv"),
        ("../../x/y", "up/up/x/y"),
        ("/etc/x", "root/etc/x"),
        ("//etc/x", "root/etc/x"),
        ("a/../../x", "a/up/up/x"),
        (".", "nothing"),
    ],
)
def test_an_input_from_elsewhere_stays_in_the_folder(name, place):
    assert place_of(name) == place


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("0.5", "0.5", 0),
        ("nan", "nan", 0),
        ("", "", 0),
        ("1.0", "1.00", 0),
        ("1.0", "1.001", 0.001 / 1.001),
        ("-1.0", "1.0", 2),
        ("0.0", "1e-300", 1),
        ("1e300", "2e300", 0.5),
        ("12", "12.0", 0),
        ("12", "13", math.inf),
        ("100000", "100001", math.inf),
        ("nan", "0.5", math.inf),
        ("0.5", "nan", math.inf),
        ("", "0.9", math.inf),
        ("inf", "1e308", math.inf),
        ("1e999", "1.5", math.inf),
        ("1_0", "10.0", math.inf),
        ("best", "worse", math.inf),
    ],
)
def test_cells_are_close_as_finite_numbers_only(before, after, expected):
    assert gap(before, after) == pytest.approx(expected)


TABLE = "n,mode,error,low,high,verdict\n1,eval,0.00004,,,best\n2,eval,0.5,0.4,0.6,best\n"


def compared(tmp_path, name, before, after):
    files = []
    for side, content in (("before", before), ("after", after)):
        path = tmp_path / side / name
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files.append((path, path.parent))
    return compare_files(tuple(files), PROJECT.tolerance)


@pytest.mark.parametrize(
    ("old", "new", "close", "detail"),
    [
        ("0.5", "0.5001", True, "0 of 12 cells"),
        (
            "0.5",
            "0.51",
            False,
            "row 2 (n=2, mode=eval, error=0.5, low=0.4): 0.5 → 0.51, 0.0196 of the larger",
        ),
        # An interval is blank: the error counts all the same, and hides no other row.
        (
            "0.00004",
            "0.9",
            False,
            "most error in row 1 (n=1, mode=eval, error=0.00004, low=): 0.00004 → 0.9",
        ),
        ("0.00004", "nan", False, "0.00004 → nan"),
        ("0.00004", "", False, "0.00004 → nothing"),
        ("0.00004,,,best\n2,eval,0.5", "nan,,,best\n2,eval,0.9", False, "2 of 12 cells"),
        ("0.6", "0.9", False, "most high in row 2"),
        (",best", ",worse", False, "most verdict in row 1"),
        ("2,eval", "3,eval", False, "most n in row 2"),
        ("best\n2", "best\n2,eval,0.5,0.4,0.6,best\n2", False, "2 and 3 rows"),
        ("error", "rate", False, "other columns"),
        ("0.5", "0.50", True, "0 of 12 cells"),
        ("\n1", "\n2", False, "1 of 12 cells"),
        ("\n2,", "\n2,x,", False, "cannot be compared"),
        ("mode", "n", False, "cannot be compared"),
        ("best\n2", 'best\n"2', False, "cannot be compared"),
        (TABLE, "", False, "cannot be compared"),
        (TABLE, b"\xff\xfe", False, "cannot be compared"),
        (TABLE, None, False, "is not there"),
    ],
)
def test_tables_are_compared_cell_by_cell(tmp_path, old, new, close, detail):
    after = TABLE.replace(old, new, 1) if isinstance(new, str) else new
    found = compared(tmp_path, "a.csv", TABLE, after)
    assert found[0] == close
    assert detail in found[1]


@pytest.mark.parametrize("name", ["a.pdf", "a.png", "a.safetensors", "a"])
def test_of_figures_and_weights_only_the_bytes_count(tmp_path, name):
    assert compared(tmp_path, name, "%PDF 1000 bytes", "%PDF") == (False, "other bytes")
