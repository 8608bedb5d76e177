"""A small study in a small clone, made in a second: what attacks are tried on."""

import subprocess
import sys
from pathlib import Path

import pytest

from audit_trail.source import code_hash
from audit_trail.writer import Work, recorded

CODE = "SCALE = 2\n\n\ndef double(x):\n    return SCALE * x\n"
RUN = "fast-L1-0123abcd"
ERRORS, FIGURE = "tables/errors.csv", "figures/error_by_k.csv"
ERRORS_RECORD, FIGURE_RECORD = (
    "provenance/tabulate/tables.json",
    "provenance/figure/error_by_k.json",
)
TRAIN_RECORD = f"provenance/train/{RUN}.json"


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_clone(folder: Path) -> Path:
    """Make a clone of a project that has one module, with a study at results/tiny."""
    package = folder / "workflow/logdepth"
    write_text(package / "__init__.py", "")
    write_text(package / "files.py", CODE)
    write_text(folder / ".gitignore", "/results/*\n!/results/published/\n")
    write_text(folder / "LICENSE", "MIT License\n")
    write_text(
        folder / "CITATION.cff",
        "cff-version: 1.2.0\ntitle: Small\nmessage: Cite it.\nlicense: MIT\nauthors:\n"
        "  - given-names: Ada\n    family-names: Lovelace\n",
    )
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "start")
    make_study(folder, folder / "results/tiny")
    return folder


def make_study(clone: Path, study: Path) -> None:
    """Make a study: a run, a table of it, and a figure of that."""
    run = f"runs/{RUN}"
    content = '{"model":{"depth":1},"seed":0,"training":{"recipe":"muon"}}'
    train(clone, study, RUN, content)
    evaluation = "experiment,depth,k,error\nfast,1,0,0.25\nfast,1,1,0.5\n"
    job(clone, study, "tabulate/tables", [f"{run}/run.json"], {ERRORS: evaluation})
    job(clone, study, "figure/error_by_k", [ERRORS], {FIGURE: evaluation})


def train(clone: Path, study: Path, run: str, content: str) -> None:
    outputs = {f"runs/{run}/run.json": content, f"runs/{run}/model.safetensors": f"weights {run}"}
    job(clone, study, f"train/{run}", [], outputs)


def job(clone: Path, study: Path, name: str, inputs: list[str], outputs: dict[str, str]) -> None:
    """Run a job that writes texts, and record it."""
    stage = name.partition("/")[0]
    record = study / f"provenance/{name}.json"
    work = Work(
        "logdepth",
        stage,
        {"experiments": {"fast": [RUN]}},
        {"run": 0},
        "d" * 64,
        {"logdepth.files": code_hash(CODE)},
        clone,
    )
    files = {"inputs": [study / i for i in inputs], "outputs": [study / o for o in outputs]}
    words = ["logdepth", stage, "--definition", "d" * 64, "--record", record.as_posix()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        with recorded(work, **files, record=record):
            for output, text in outputs.items():
                write_text(study / output, text)
