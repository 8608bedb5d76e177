"""What somebody may send in place of results: no command hangs, breaks off, or follows a link.

Each hostile file is a finding of that file; what is behind it is looked at all the same.
"""

import contextlib
import copy
import itertools
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_trail import versions
from audit_trail.chain import Checks
from audit_trail.differences import differences
from audit_trail.errors import AuditError
from audit_trail.repository import Repository
from audit_trail.reproduction.plan import make_plan
from audit_trail.study import open_study
from audit_trail.tracing.show import as_page, as_text
from audit_trail.tracing.trace import Tracer
from audit_trail.verify import verify
from command_line import logdepth_here
from forgery import HISTORY, lines_of, write_history
from logdepth.audited import PROJECT
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
    # Deeper than the longest path: each part is made from the one before.
    here = Path.cwd()
    replace(path).mkdir()
    os.chdir(path)
    for _ in range(1200):
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(here)


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


def commands(clone: Path, out: Path) -> list[list[Any]]:
    study = clone / "results/tiny"
    return [
        ["verify", "results", "--json"],
        ["verify", f"results/tiny/{FIGURE}"],
        ["verify", "results/tiny", "--sample", "1", "--at-least", "2"],
        ["trace", f"results/tiny/{FIGURE}"],
        ["trace", f"results/tiny/{FIGURE}", "--row", "k=1", "--json"],
        ["trace", f"results/tiny/{FIGURE}", "--html", out / "page.html"],
        ["history", f"results/tiny/{ERRORS}"],
        ["history", f"results/tiny/{ERRORS_RECORD}", "--json"],
        ["diff", study, clone / "other"],
        ["export", study, "--crate", out / "crate"],
        ["export", study, "--anonymous", out / "anonymous"],
        ["publish", study, "--to", out / "published"],
        ["sign", study, "--key", out / "none"],
    ]


def written(folder: Path) -> str:
    files = [p for p in folder.rglob("*") if p.is_file()] if folder.exists() else []
    assert not [p for p in folder.rglob("*") if p.is_symlink()]
    return "".join(p.read_bytes().decode("latin-1") for p in files)


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_file_in_any_place_is_a_finding_for_every_command(clone, tmp_path, kind):
    KEY[0] = tmp_path / "id_ed25519"
    pristine, study = tmp_path / "pristine", clone / "results/tiny"
    study.rename(pristine)
    shutil.copytree(pristine, clone / "other")
    for place, name in places(pristine).items():
        shutil.copytree(pristine, study)
        KINDS[kind](study / name)
        for i, command in enumerate(commands(clone, out := tmp_path / "out")):
            shutil.rmtree(out, ignore_errors=True)
            done = logdepth_here("audit", *command)
            said = done.stdout + done.stderr
            told = f"{kind} as {place}: {' '.join(map(str, command))}: {said}"
            assert 0 <= done.returncode <= 10, told
            assert "hunter2" not in said + written(out), told
            if i == 0:
                (found,) = json.loads(done.stdout)["studies"]
                states = {a["name"]: a["state"] for a in found["artefacts"]}
                assert done.returncode >= 3, told
                inside = [n for n in states if n == name or n.startswith(f"{name}/")]
                assert [n for n in inside if states[n] != "verified"], told
        # Python's own gives up on the deep ones.
        subprocess.run(["rm", "-r", study], check=True)


def test_a_forged_table_is_found_behind_a_file_that_cannot_be_read(clone, monkeypatch):
    study = clone / "results/tiny"
    (study / ERRORS).write_text("forged")
    opened = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) in ("run.json", "figure"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    found = verify(open_study(study), Checks()).problems
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
    for command in commands(clone, clone.parent / "out"):
        done = logdepth_here("audit", *command)
        for line in (done.stdout + done.stderr).split("\n"):
            assert line.isprintable(), command
            assert not line.startswith("verdict: verified"), command


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
    """Return a statement with one to three things in it changed, moved, doubled or removed."""
    value = copy.deepcopy(value)
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
    original = [json.loads((pristine / name).read_text()) for name in RECORDS]
    refused = read = 0
    for round_ in range(100):
        study = tmp_path / f"{round_}"
        shutil.copytree(pristine, study)
        entries = lines_of(study)
        for i in range(50):
            statement = mutate(chance.choice(original), chance)
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
        findings = verify(opened, Checks(repository=repository))
        assert len(findings.problems) > 50
        everything(opened.folder, list(opened.makers))
        shutil.rmtree(study)
    assert refused > 1000, "else nothing was mutated"
    assert read > 1000, "else nothing was read"


NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = (ERRORS_RECORD, FIGURE_RECORD, TRAIN_RECORD)


def everything(folder: Path, names: list[str]) -> None:
    """Ask every reading command about outputs of a study; an error of one line is an answer."""
    opened = open_study(folder)
    tracer = Tracer(folder, PROJECT)
    for name in {FIGURE, ERRORS, *random.Random(0).sample(names, min(3, len(names)))}:
        with contextlib.suppress(AuditError):
            found = tracer.trace(folder / name)
            json.dumps(found.as_json())
            as_text(found)
            as_page(found, NOW)
        for ask in (versions.versions, lambda *of: make_plan(PROJECT, *of, deep=True)):
            with contextlib.suppress(AuditError):
                ask(opened, name)
    records = [*opened.records.values()]
    for one, other in itertools.pairwise(records):
        differences(one, other, opened, opened)
