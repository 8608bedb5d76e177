"""What somebody may send in place of results: no command hangs, breaks off, or follows a link.

Each hostile file is a finding of that file; what is behind it is looked at all the same.
"""

import contextlib
import copy
import io
import itertools
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from audit_trail.__main__ import main
from audit_trail.differences import differences, versions
from audit_trail.errors import AuditError
from audit_trail.repository import Repository
from audit_trail.reproduce import make_plan
from audit_trail.study import StudyFolder, open_study
from audit_trail.tracing.show import as_page, as_text
from audit_trail.tracing.trace import Tracer
from audit_trail.verify import verify
from forgery import HISTORY, lines_of, write_history
from small_study import ERRORS, ERRORS_RECORD, FIGURE, FIGURE_RECORD, RUN, TRAIN_RECORD, make_clone

SECRET = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2hunter2\n"
SIGNATURE = "provenance/signatures/000003-0123456789ab.json"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clone(tmp_path_factory.mktemp("template") / "clone")


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a finished study; the process is in it, and a private key outside of it."""
    shutil.copytree(template, tmp_path / "clone", symlinks=True)
    (tmp_path / "id_ed25519").write_text(SECRET)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "diary.txt").write_text(SECRET)
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def kept(study: Path, folder: str) -> str:
    """Return the name of a file that records share."""
    path = sorted((study / "provenance" / folder).glob("*.json"))[0]
    return path.relative_to(study).as_posix()


def replace(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def sparse(path: Path) -> None:
    replace(path).touch()
    os.truncate(path, 60 << 30)


def nested(path: Path) -> None:
    """Move folders within folders to a place; they are made once, which takes long."""
    nest = KEY[0].parent / "nest"
    if not nest.exists():
        nest.mkdir()
        here = Path.cwd()
        os.chdir(nest)
        # Deeper than the longest path: each part is made from the one before.
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        os.chdir(here)
    nest.rename(replace(path))


def folder(path: Path) -> None:
    replace(path).mkdir()
    (path / "x").write_text(SECRET)


# What may stand in place of any file.
KINDS: dict[str, Callable[[Path], Any]] = {
    "a pipe": lambda path: os.mkfifo(replace(path)),
    "a link to a key": lambda path: replace(path).symlink_to("../" * 9 + str(KEY[0])[1:]),
    "a link to a device": lambda path: replace(path).symlink_to("/dev/zero"),
    "a link to a folder": lambda path: replace(path).symlink_to(KEY[0].parent / "private"),
    "a link to itself": lambda path: replace(path).symlink_to(path.name),
    "a folder": folder,
    "1200 folders": nested,
    "60 GB of holes": sparse,
    "UTF-16": lambda path: replace(path).write_bytes('{"a": 1}'.encode("utf-16")),
    "half a character": lambda path: replace(path).write_bytes(
        b'{"event": "\\ud800", "time": "t"}'
    ),
    "deep JSON": lambda path: replace(path).write_bytes(b"[" * 50_000 + b"]" * 50_000),
    "infinity": lambda path: replace(path).write_bytes(b'{"entries": Infinity}'),
    "a key twice": lambda path: replace(path).write_bytes(b'{"type": 1, "type": 2}'),
    "a key": lambda path: replace(path).write_text(SECRET),
    "nothing": lambda path: replace(path).write_bytes(b""),
}
KEY = [Path()]


def places(study: Path) -> dict[str, str]:
    return {
        "an output": ERRORS,
        "a run": f"runs/{RUN}/run.json",
        "a record": ERRORS_RECORD,
        "the history": HISTORY,
        "the list of packages": kept(study, "environments"),
        "the list of source": kept(study, "sources"),
        "a signature": SIGNATURE,
        "a signature's signature": f"{SIGNATURE}.sig",
        "a file that does not belong": "tables/extra.csv",
        "another that does not": "provenance/environments/id_ed25519",
    }


def commands(clone: Path, out: Path) -> list[Callable[[], Any]]:
    """Return every command about a study; git is asked in the first one and in those that write."""
    study = clone / "results/tiny"
    figure, table = study / FIGURE, study / ERRORS
    asked = [
        ["verify", "results", "--json"],
        ["verify", figure],
        ["verify", study, "--at-least", "2"],
        ["trace", figure],
        ["trace", figure, "--row", "k=1", "--json"],
        ["trace", figure, "--pages", out],
        ["history", table],
        ["history", study / ERRORS_RECORD],
        ["diff", study, clone / "other"],
        ["export", study, "--crate", out / "crate", "--repository", clone],
        ["publish", study, "--to", out / "published"],
        ["sign", study, "--key", out / "none"],
    ]
    return [partial(main, [*map(str, words)]) for words in asked]


# Commands that ask git about the clone that they are started from.
IN_CLONE = (0, 10)


def ask(command: Callable[[], Any]) -> tuple[int, str, str]:
    """Run a command as ``logdepth audit`` does; return its exit code, and what it prints."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = command() or 0
        except (AuditError, OSError) as error:
            code = 1
            print(error, file=errors)
        except SystemExit as ended:
            code = ended.code
    return code, output.getvalue(), errors.getvalue()


def written(folder: Path) -> str:
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []
    assert not [p for p in folder.rglob("*") if p.is_symlink()]
    return "".join(p.read_bytes().decode("latin-1") for p in files)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_file_in_any_place_is_a_finding_for_every_command(clone, tmp_path, kind):
    KEY[0] = tmp_path / "id_ed25519"
    pristine, study, out = tmp_path / "pristine", clone / "results/tiny", tmp_path / "out"
    study.rename(pristine)
    shutil.copytree(pristine, clone / "other")
    for place, name in places(pristine).items():
        shutil.copytree(pristine, study)
        KINDS[kind](study / name)
        for i, command in enumerate(commands(clone, out)):
            shutil.rmtree(out, ignore_errors=True)
            os.chdir(clone if i in IN_CLONE else tmp_path)
            code, output, errors = ask(command)
            told = f"{kind} as {place}: command {i}: {output}{errors}"
            assert 0 <= code <= 10, told
            assert "hunter2" not in output + errors + written(out), told
            if i == 0:
                (found,) = json.loads(output)["studies"]
                states = {a["name"]: a["state"] for a in found["artefacts"]}
                assert code >= 3, told
                inside = [n for n in states if n == name or n.startswith(f"{name}/")]
                assert [n for n in inside if states[n] != "verified"], told
        if kind == "1200 folders":
            (study / name).rename(tmp_path / "nest")
        shutil.rmtree(study)
    # Python's own gives up on the deep ones.
    subprocess.run(["rm", "-rf", tmp_path / "nest"], check=True)


def test_a_folder_that_is_a_link_to_itself_stops_no_command(clone, tmp_path):
    shutil.copytree(clone / "results/tiny", clone / "other")
    shutil.rmtree(clone / "results/tiny/figures")
    (clone / "results/tiny/figures").symlink_to("figures")
    for i, command in enumerate(commands(clone, tmp_path / "out")):
        code, output, errors = ask(command)
        assert 0 <= code <= 10, f"command {i}: {output}{errors}"
        assert i or "is a symbolic link" in output


def test_a_forged_table_is_found_behind_a_file_that_cannot_be_read(clone, monkeypatch):
    study = clone / "results/tiny"
    (study / ERRORS).write_text("forged")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) in ("run.json", "figure"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    found = verify(open_study(study)).problems
    assert [p.state for p in found[ERRORS]] == ["modified"]
    assert [p.state for p in found[f"runs/{RUN}/run.json"]] == ["not checked"]


@pytest.mark.parametrize(
    "name", ["\x1b[31m", "a\nverdict: verified", "\u202ecsv.txt", "\udcff", "é"]
)
def test_names_and_titles_obey_no_terminal(clone, name):
    study = clone / "results/tiny"
    (study / "tables" / f"{name}.csv").write_text("x")

    def rename(statement: dict[str, Any]) -> None:
        build = statement["predicate"]["buildDefinition"]
        build["externalParameters"]["title"] = name
        build["resolvedDependencies"][0]["name"] = f"tables/{name}.csv"

    entries = lines_of(study)
    rename(entries[-1]["statement"])
    text = json.dumps(entries[-1]["statement"], indent=1, sort_keys=True) + "\n"
    (study / FIGURE_RECORD).write_text(text)
    write_history(study, entries)
    shutil.copytree(study, clone / "other")
    (clone / f"results/{name}").mkdir()
    (clone / f"results/{name}" / "tables").mkdir()
    for i, command in enumerate(commands(clone, clone.parent / "out")):
        for line in "".join(ask(command)[1:]).split("\n"):
            assert line.isprintable(), i
            assert not line.startswith("verdict: verified"), i


NASTY: tuple[Any, ...] = (
    *(None, True, 0, -1, 10**30, 1.5, "", "\x1b[31m\n", "..", "/etc/passwd", "../../x", "a" * 400),
    *("\ud800", ".. raw:: html", "2099-01-01T00:00:00Z", "1970-01-01", [], {}, [[]], {"a": None}),
    *(["x"] * 50, {"name": "x"}, "f" * 40, "0" * 64, "external", "lock", "code", "study", "--x"),
)


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a value, as the mapping or list and the key in it."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [p for key in keys for p in places_in(value[key])]


def mutate(value: Any, chance: random.Random) -> Any:
    """Change, move, double or remove one to three things in a statement; return it."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        parent, key = chance.choice(places_in(value))
        match chance.randint(0, 5):
            case 0:
                del parent[key]
            case 1 if isinstance(parent, list):
                parent.insert(0, copy.deepcopy(parent[key]))
            case 2 if isinstance(parent, dict):
                parent[str(chance.choice(NASTY))[:9]] = parent.pop(key)
            case _:
                parent[key] = copy.deepcopy(chance.choice(NASTY))
    return value


def test_no_mutated_record_stops_a_command(template, tmp_path, monkeypatch):
    """5000 records, fifty to a study, each with its line in a flawless history."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    monkeypatch.chdir(template)
    repository = Repository(template)
    pristine = template / "results/tiny"
    original = [(pristine / name).read_text() for name in RECORDS]
    refused = read = 0
    for round_ in range(100):
        study = tmp_path / f"{round_}"
        shutil.copytree(pristine, study)
        entries = lines_of(study)
        for i in range(50):
            statement = mutate(json.loads(chance.choice(original)), chance)
            name = chance.choice(RECORDS) if i < 3 else f"provenance/train/{i}.json"
            text = json.dumps(statement, indent=1, sort_keys=True) + "\n"
            if chance.random() < 0.2:
                position = chance.randrange(len(text))
                text = text[:position] + chr(chance.randrange(1, 300)) + text[position + 1 :]
            (study / name).write_text(text, encoding="utf-8")
            entries.append(
                {"time": "2026-01-01T00:00:00.000Z", "record": name, "sha256": "0" * 64}
                | {"statement": statement}
            )
        write_history(study, entries)
        opened = open_study(study)
        refused, read = refused + len(opened.bad), read + len(opened.records)
        findings = verify(opened, repository)
        assert len(findings.problems) > 50
        everything(opened)
        shutil.rmtree(study)
    assert refused > 1000, "else nothing was mutated"
    assert read > 1000, "else nothing was read"


NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = (ERRORS_RECORD, FIGURE_RECORD, TRAIN_RECORD)


def everything(opened: StudyFolder) -> None:
    """Ask every reading command about outputs of a study; an error of one line is an answer."""
    tracer, names = Tracer(opened.folder), list(opened.makers)
    for name in {FIGURE, ERRORS, *random.Random(0).sample(names, min(3, len(names)))}:
        with contextlib.suppress(AuditError):
            found = tracer.trace(opened.folder / name)
            json.dumps(found)
            as_text(found)
            as_page(found, NOW)
        for ask in (versions, lambda *of: make_plan(*of, deep=True)):
            with contextlib.suppress(AuditError):
                ask(opened, name)
    for one, other in itertools.pairwise(opened.records.values()):
        differences(one, other, opened, opened)
