"""Attacks on a real finished study, and what ``logdepth audit verify`` says of each."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit_trail.__main__ import main
from audit_trail.findings import REASONS
from checkout import Checkout
from command_line import logdepth_here
from forgery import HISTORY, alter, forge, forge_output, lines_of, write_history

EXITS = {
    "verified": 0,
    "stale": 3,
    "not checked": 10,
    "foreign": 4,
    "missing": 5,
    "broken chain": 6,
    "record missing": 7,
    "record altered": 8,
    "modified": 9,
}
FIGURE, ERRORS = "figures/depth_law.png", "tables/errors.csv"
FIGURE_RECORD, ERRORS_RECORD = "provenance/figure/depth_law.json", "provenance/tabulate/tables.json"
# What to replace in the table of errors by what.
NUMBER = ("fast,2,eval,1,0.", "fast,2,eval,1,0.0")


@pytest.fixture
def verify(
    finished: Checkout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Verify the study; return what is not verified, as {artefact: (state, reasons)}."""
    monkeypatch.chdir(finished.folder)

    def run(*arguments: str, path: Path | None = None) -> dict[str, Any]:
        code = main(["verify", str(path or finished.results), "--json", *arguments])
        report = json.loads(capsys.readouterr().out)
        assert code == report["exit"] == EXITS[report["verdict"]]
        (study,) = report["studies"]
        assert {p["reason"] for a in study["artefacts"] for p in a["problems"]} <= set(REASONS)
        return {
            a["name"]: (a["state"], {p["reason"] for p in a["problems"]})
            for a in study["artefacts"]
            if a["state"] != "verified"
        }

    return run


def test_an_untouched_study_is_verified(finished, verify, capsys):
    assert verify() == {}
    assert main(["verify", str(finished.results)]) == 0
    assert capsys.readouterr().out.endswith("verdict: verified\n")


def test_a_number_changed_in_a_table(finished, verify):
    alter(finished.results / ERRORS, *NUMBER)
    assert verify() == {ERRORS: ("modified", {"bytes"})}


def test_a_figure_replaced_by_another(finished, verify):
    other = finished.results / "figures/error_by_k.png"
    shutil.copy2(other, finished.results / FIGURE)
    assert verify() == {FIGURE: ("modified", {"bytes"})}


def test_one_flipped_bit_in_a_model(finished, verify):
    model = sorted(finished.results.glob("runs/*/model.safetensors"))[0]
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    name = model.relative_to(finished.results).as_posix()
    assert verify() == {name: ("modified", {"bytes"})}
    table = verify(path=finished.results / FIGURE)
    assert table == {name: ("modified", {"bytes"})}, "a figure is verified with all it came from"


def test_an_edited_record(finished, verify):
    alter(finished.results / FIGURE_RECORD, '"cores": ', '"cores": 1')
    # What its outputs are compared with is in the history.
    assert verify() == {FIGURE_RECORD: ("record altered", {"edited"})}


def test_a_deleted_record(finished, verify):
    (finished.results / FIGURE_RECORD).unlink()
    assert verify() == {FIGURE_RECORD: ("record missing", {"record"})}


def test_a_record_copied_from_another_run(finished, verify):
    one, other, *_ = sorted((finished.results / "provenance/train").iterdir())
    shutil.copy2(other, one)
    name = one.relative_to(finished.results).as_posix()
    assert verify() == {name: ("record altered", {"edited"})}


def test_an_output_that_two_records_claim(finished, verify):
    one, other, *_ = sorted((finished.results / "provenance/train").iterdir())
    claimed = f"runs/{other.stem}/run.json"

    def claim(statement: dict[str, Any]) -> None:
        statement["subject"][0]["name"] = claimed

    forge(finished.results, one.relative_to(finished.results).as_posix(), claim)
    assert "claimed" in verify()[claimed][1]


def test_an_older_version_put_back(finished, template, redrawn, verify):
    # The same bytes by another job: what comes back is its older record.
    shutil.copytree(redrawn.results, finished.results, dirs_exist_ok=True)
    shutil.copy2(template.results / FIGURE_RECORD, finished.results / FIGURE_RECORD)
    assert verify()[FIGURE_RECORD] == ("record altered", {"edited"})


@pytest.mark.parametrize("kept", [slice(None, -1), slice(1, None)])
def test_a_truncated_history(finished, verify, kept):
    lines = (finished.results / HISTORY).read_bytes().splitlines(keepends=True)
    lost = json.loads(lines[-1 if kept.start is None else 0])["record"]
    (finished.results / HISTORY).write_bytes(b"".join(lines[kept]))
    found = verify()
    assert found[lost] == ("record altered", {"history"})
    if kept.start:
        assert found[HISTORY] == ("broken chain", {"history"})


def test_a_history_cut_anew_with_its_record(finished, verify):
    write_history(finished.results, lines_of(finished.results)[1:])
    lost = set(verify())
    assert any(name.startswith("provenance/") for name in lost), "the record is left over"


def test_a_reordered_history(finished, verify):
    lines = (finished.results / HISTORY).read_bytes().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    (finished.results / HISTORY).write_bytes(b"".join(lines))
    assert verify() == {HISTORY: ("broken chain", {"history"})}


def test_a_garbled_line_of_the_history(finished, verify):
    lines = (finished.results / HISTORY).read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"\n"
    (finished.results / HISTORY).write_bytes(b"".join(lines))
    assert verify()[HISTORY] == ("broken chain", {"history"})


def test_a_deleted_history(finished, verify):
    (finished.results / HISTORY).unlink()
    found = verify()
    assert found[HISTORY] == ("broken chain", {"history"})
    assert found[FIGURE_RECORD] == ("record altered", {"history"})


def test_a_table_swapped_with_its_record_and_history_breaks_the_chain(finished, verify):
    alter(finished.results / ERRORS, *NUMBER)
    forge_output(finished.results, ERRORS, ERRORS_RECORD)
    assert verify() == {
        f"figures/{name}.{kind}": ("broken chain", {"input"})
        for name in ("error_by_k",)
        for kind in ("pdf", "png", "csv")
    }


def key(folder: Path, name: str) -> Path:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def sign(checkout: Checkout, path: Path) -> subprocess.CompletedProcess[str]:
    return logdepth_here("audit", "sign", checkout.results, "--key", path)


def signatures_of(checkout: Checkout) -> list[Path]:
    return list((checkout.results / "provenance/signatures").iterdir())


def test_a_figure_swapped_with_its_record_and_history_breaks_the_signature(
    finished, verify, tmp_path
):
    signers = tmp_path / "signers"
    for name in ("author", "stranger"):
        public = key(tmp_path, name).with_suffix(".pub").read_text().split()
        if name == "author":
            signers.write_text(f"author@example.org {public[0]} {public[1]}\n")
    signed = ["--signers", str(signers)]
    assert verify(*signed) == {HISTORY: ("broken chain", {"signature"})}
    assert sign(finished, tmp_path / "stranger").returncode == 0
    assert verify(*signed) == {HISTORY: ("broken chain", {"signature"})}
    assert sign(finished, tmp_path / "author").returncode == 0
    assert verify(*signed) == verify() == {}

    (finished.results / FIGURE).write_bytes((finished.results / FIGURE).read_bytes() + b"\0")
    forge_output(finished.results, FIGURE, FIGURE_RECORD)
    files = [f"provenance/signatures/{path.name}" for path in signatures_of(finished)]
    assert verify() == dict.fromkeys(files, ("broken chain", {"signature"}))
    assert verify(*signed) == verify() | {HISTORY: ("broken chain", {"signature"})}
    for path in signatures_of(finished):
        path.unlink()
    assert verify() == {}, "without its signature a forgery of everything is not to be seen"
    assert sign(finished, tmp_path / "stranger").returncode == 0
    assert verify(*signed) == {HISTORY: ("broken chain", {"signature"})}


def test_what_came_after_the_signature_is_not_signed(finished, redrawn, verify, tmp_path):
    author = key(tmp_path, "author")
    public = author.with_suffix(".pub").read_text().split()
    (tmp_path / "signers").write_text(f"author {public[0]} {public[1]}\n")
    assert sign(finished, author).returncode == 0
    shutil.copytree(redrawn.results, finished.results, dirs_exist_ok=True)
    assert verify() == {}
    found = verify("--signers", str(tmp_path / "signers"))
    assert found == {HISTORY: ("broken chain", {"signature"})}


def test_nobody_signs_a_study_that_was_touched(finished, tmp_path):
    alter(finished.results / ERRORS, *NUMBER)
    done = sign(finished, key(tmp_path, "author"))
    assert done.returncode == 1
    assert "tables/errors.csv: modified: its sha256 is" in done.stderr
    assert not (finished.results / "provenance/signatures").exists()


def test_an_output_of_uncommitted_code(uncommitted, verify, capsys, monkeypatch):
    monkeypatch.chdir(uncommitted.folder)

    def verified(*arguments: str) -> dict[str, Any]:
        return verify(*arguments, path=uncommitted.results)

    found = verified()
    outputs = {f"figures/depth_law.{kind}" for kind in ("pdf", "png", "csv")}
    assert found == dict.fromkeys(outputs, ("broken chain", {"uncommitted"}))
    assert verified("--allow", "uncommitted") == found, "what is allowed is still told"
    assert main(["verify", str(uncommitted.results), "--allow", "uncommitted"]) == 0
    capsys.readouterr()

    def lie(statement: dict[str, Any]) -> None:
        for resource in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            resource["annotations"].pop("uncommittedSha256", None)

    forge(uncommitted.results, FIGURE_RECORD, lie)
    found = verified()
    assert {name: found.pop(name) for name in outputs} == dict.fromkeys(
        outputs, ("broken chain", {"source"})
    )
    # The list of the older version, which no line names any more, is named after its own bytes.
    assert not found


def test_a_commit_that_is_gone(finished, verify):
    shutil.rmtree(finished.folder / ".git")
    finished.git("init", "-q")
    finished.git("add", ".")
    finished.git("commit", "-qm", "another start")
    found = verify()
    assert found.pop(FIGURE) == ("broken chain", {"commit"})
    assert {reason for _, reasons in found.values() for reason in reasons} == {"commit"}


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        ("environments/*.txt", "lock"),
        ("environments/*.json", "packages"),
        ("studies/*.json", "study"),
    ],
)
def test_a_lock_package_list_or_study_that_is_gone_or_altered(finished, verify, kept, reason):
    for path in (finished.results / "provenance").glob(kept):
        path.write_text(path.read_text() + "\n")
    assert verify()[FIGURE] == ("broken chain", {reason})
    for path in (finished.results / "provenance").glob(kept):
        path.unlink()
    assert verify()[FIGURE] == ("broken chain", {reason})


def test_code_that_changed_since_with_its_time_kept(finished, verify):
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
    outputs = {f"figures/depth_law.{kind}" for kind in ("pdf", "png", "csv")}
    assert verify() == dict.fromkeys(outputs, ("stale", {"code"}))
    finished.edit("workflow/logdepth/figures/depth_law.py", 'color="C2"', 'color="C3"')
    finished.edit("workflow/logdepth/figures/style.py", '"""The look', '"""How they look')
    assert verify() == {}, "a docstring is no code"


def test_a_symbolic_link_in_place_of_a_file_or_folder(finished, verify, tmp_path):
    (finished.results / ERRORS).rename(tmp_path / "errors.csv")
    (finished.results / ERRORS).symlink_to(tmp_path / "errors.csv")
    assert verify() == {ERRORS: ("modified", {"link"})}
    (finished.results / "figures").rename(tmp_path / "figures")
    (finished.results / "figures").symlink_to(tmp_path / "figures")
    found = verify()
    assert found[FIGURE] == ("modified", {"link"})
    assert found["figures"] == ("foreign", {"link"})


def test_a_file_that_no_rule_made(finished, verify):
    (finished.results / "tables/extra.csv").write_text("depth,error\n")
    (finished.results / "provenance/environments/extra.txt").write_text("x")
    assert verify() == {
        "tables/extra.csv": ("foreign", {"foreign"}),
        "provenance/environments/extra.txt": ("foreign", {"foreign"}),
    }


def test_an_output_that_is_gone(finished, verify):
    (finished.results / ERRORS).unlink()
    assert verify() == {ERRORS: ("missing", {"output"})}


def test_a_copy_is_verified_with_nothing_but_python(finished, root, tmp_path):
    shutil.copytree(finished.results, tmp_path / "mailed" / "tiny")
    # All that it imports.
    shutil.copytree(root / "workflow/audit_trail", tmp_path / "verifier/audit_trail")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        # No site packages, no environment: the standard library alone.
        code = "import sys, runpy; sys.path.insert(0, 'verifier'); sys.argv[0] = 'verify'; "
        code += "runpy.run_module('audit_trail', run_name='__main__')"
        command = [sys.executable, "-I", "-S", "-c", code, "verify", "mailed", *arguments]
        return subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True)

    done = run()
    assert done.returncode == EXITS["not checked"], done.stdout + done.stderr
    assert "started outside of a clone" in done.stdout
    assert run("--allow", "repository").returncode == 0
    alter(tmp_path / "mailed/tiny" / ERRORS, *NUMBER)
    done = run()
    assert done.returncode == 9
    assert "modified        tables/errors.csv: its sha256 is" in done.stdout


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("config", "config: no study in it; expected results"),
        ("README.md", "README.md: no folder above it is a study"),
        ("results/tiny/logs/fit/fits.log", "no record says how it was made"),
    ],
)
def test_a_wrong_path_is_one_line(finished, monkeypatch, path, message):
    monkeypatch.chdir(finished.folder)
    done = logdepth_here("audit", "verify", path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_word_that_allows_nothing_is_refused(finished, capsys):
    with pytest.raises(SystemExit):
        main(["verify", str(finished.results), "--allow", "uncomitted"])
    assert "invalid choice: 'uncomitted' (choose from" in capsys.readouterr().err


def test_what_is_published_verifies_without_its_weights(finished, verify, tmp_path):
    target = finished.folder / "results/published/tiny"

    def publish() -> subprocess.CompletedProcess[str]:
        return logdepth_here("audit", "publish", finished.results, "--to", target)

    (finished.results / "tables/extra.csv").write_text("not of the workflow")
    for _ in range(2):
        done = publish()
        assert done.returncode == 0, done.stderr
        assert "4 outputs withheld" in done.stdout
    assert not list(target.rglob("*.safetensors"))
    assert not (target / "tables/extra.csv").exists()
    assert verify(path=target) == {}
    finished.git("add", "-f", "results/published")
    (target / ERRORS).unlink()
    assert verify(path=target) == {ERRORS: ("missing", {"output"})}
    alter(finished.results / ERRORS, *NUMBER)
    before = sorted(target.rglob("*"))
    done = publish()
    assert done.returncode == 1
    assert "tables/errors.csv: modified" in done.stderr
    assert sorted(target.rglob("*")) == before


def test_what_this_project_has_published_verifies(root, capsys):
    # Code may have changed since, and a checkout may come without its commits; bytes may not.
    allowed = [word for reason in ("stale", "commit", "repository") for word in ("--allow", reason)]
    code = main(["verify", str(root / "results/published"), *allowed])
    assert code == 0, capsys.readouterr().out
