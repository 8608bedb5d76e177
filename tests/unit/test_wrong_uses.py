"""Wrong uses: each ends in one line that says what was expected; docs/wrong-uses.md lists them.

WRITE=1 pytest tests/unit/test_wrong_uses.py    # writes the page anew
"""

import json
import os
import re
import shlex

import pytest

from command_line import logdepth_here
from logdepth import models, recipes, tasks
from logdepth.figures import KINDS

RUN = {
    "task": {"name": "hop", "context": 12, "alphabet": 4, "max_k": 2},
    "model": {"form": "softmax", "depth": 1, "heads": 2, "width": 16},
    "training": {"recipe": "muon", "steps": 20, "batch": 8, "warmup": 2},
    "seed": 0,
}
COMPILED = RUN | {
    "model": {"form": "softmax", "depth": 2, "heads": 2, "width": 64, "mlp_ratio": 1},
    "training": {"recipe": "compiled"},
}
STUDY = """\
study: mine
title: A study
task: {name: hop, context: 12, alphabet: 4, max_k: 4}
seeds: [0, 1]
experiments:
  deep:
    title: name in figures
    model: {form: softmax, heads: 2, width: 32}
    training: {recipe: muon, steps: 200, warmup: 20}
    depths: [1, 2]
"""
# Files by their names, with what is in them.
FILES = {
    "study.yaml": STUDY.encode(),
    "latin.yaml": "title: Für\n".encode("latin-1"),
    "utf16.yaml": STUDY.encode("utf-16"),
    "tab.yaml": b"task:\n\tname: hop\n",
    "twice.yaml": b"study: a\nstudy: b\n",
    "list.yaml": b"- 1\n",
    "empty.yaml": b"",
    "within.yaml": b"a: &a [*a]\n",
    "run.json": json.dumps(RUN).encode(),
    "compiled.json": json.dumps(COMPILED).encode(),
    "half.json": b'{"task": {"name": "hop"',
    "text.safetensors": b"This is no model.",
    "table.csv": b"a,b\n1,2\n",
    "nothing.json": b"{}",
}
# A study of its own for each mistake: what is written in place of what.
MISTAKES = {
    "key": ("width: 32", "widht: 32"),
    "number": ("steps: 200", "steps: many"),
    "heads": ("heads: 2", "heads: 3"),
    "form": ("form: softmax", "form: softmx"),
    "recipe": ("recipe: muon", "recipe: adam"),
    "task": ("name: hop", "name: jump"),
    "depths": ("depths: [1, 2]", "depths: [1, 1]"),
    "nowhere": ("depths: [1, 2]", "depths: []"),
    "seeds": ("seeds: [0, 1]", "seeds: [0, 0]"),
    "ks": ("seeds:", "evaluation: {k: [1, 9]}\nseeds:"),
    "warmup": ("warmup: 20", "warmup: 200"),
    "dollar": ("title: name", "title: 5 $ name"),
    "signs": ("title: name", "title: 深い name"),
    "name": ("study: mine", "study: my study"),
    "figure": ("seeds:", "figures: {pie: {draws: pie}}\nseeds:"),
    "extends": ("study: mine", "extends: nothing\nstudy: mine"),
    "former": ("seeds:", "alignment: {dropout: on}\nseeds:"),
    "missing": ("task: {name: hop, context: 12, alphabet: 4, max_k: 4}\n", ""),
    "yes": ("seeds: [0, 1]", "seeds: yes"),
}
FROZEN = "--data text.safetensors --output out.csv --device cpu"
TASK = shlex.quote(json.dumps(RUN["task"]))
SET = f"data --task {TASK} --sequences 8 --seed 0 --output out.safetensors --stream"
USES = [
    "trian",
    "--version",
    "config chek study.yaml",
    "config check",
    "config runs",
    "config check none.yaml",
    "config check .",
    *(f"config check {name}" for name in FILES if name.endswith(".yaml") and name != "study.yaml"),
    *(f"config check {name}.yaml" for name in MISTAKES),
    "plan",
    "plan --config none.yaml",
    "plan --config study.yaml --device X100",
    "plan --config study.yaml --seconds many",
    "plan --config study.yaml --seconds -1",
    "plan --config study.yaml --site none.yaml",
    "train --output out",
    "train --run none.json --output out",
    "train --run half.json --output out",
    "train --run nothing.json --output out",
    "train --run table.csv --output out",
    "train --run latin.yaml --output out",
    "train --run run.json",
    "train --run run.json --output out --threads 0",
    "train --run run.json --output out --device cuda:99",
    "train --run run.json --output out --device gpu",
    "train --run run.json --output out --checkpoint-seconds -1",
    "train --run run.json --output table.csv --device cpu",
    "train --run compiled.json --output out --device cpu",
    "compile --run run.json --output out",
    f"evaluate --model none.safetensors {FROZEN} --mode eval",
    f"evaluate --model text.safetensors {FROZEN} --mode eval",
    f"{SET} evaluation --k 9",
    f"{SET} evaluation --k x",
    f"{SET} train --k 1",
    f"{SET.replace('hop', 'jump')} evaluation --k 1",
    'figure a --figure \'{"draws": "pie"}\' --study nothing.json --table table.csv --output out',
    'figure a --figure \'{"draws": "error_by_k"}\' --study none.json --table table.csv '
    "--output out",
    'figure a --figure \'{"draws": "error_by_k"}\' --study nothing.json --table table.csv '
    "--output out",
    "tabulate --study none.json --runs . --output out",
    "theory nothing --output out.csv",
    "import none --output out",
    "audit verify none",
    "audit trace none.pdf",
    "audit reproduce none.pdf",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    for name, (old, new) in MISTAKES.items():
        assert STUDY.count(old) == 1, old
        (tmp_path / f"{name}.yaml").write_text(STUDY.replace(old, new), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # Else messages of the command line are broken into lines.
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.delenv("LOGDEPTH_TRACEBACK", raising=False)
    return tmp_path


def line_of(done):
    """Return the line that says what is wrong, without the box that typer draws around it."""
    lines = [re.sub(r"^│ +| +│$", "", line) for line in done.stderr.splitlines()]
    said = [
        line
        for line in lines
        if line and not re.match(r"[╭╰]|Usage: |Try '|\s*$", line.replace("\x1b", ""))
    ]
    assert len(said) == 1, done.stderr
    return said[0]


def test_each_wrong_use_is_answered_in_one_line_as_the_page_says(here, root):
    files = set(here.iterdir())
    rows = []
    for use in USES:
        done = logdepth_here(*shlex.split(use))
        assert done.returncode in (1, 2), use
        assert "Traceback" not in done.stderr + done.stdout, use
        said = line_of(done).removeprefix(f"logdepth {use.split()[0]}: ").replace("|", "\\|")
        # A new file in one of these folders changes nothing here.
        for names in (models.names(), tasks.names(), recipes.names(), tuple(KINDS)):
            for listed in (", ".join(names), ", ".join(map(repr, names))):
                said = said.replace(listed, "…")
        rows.append(f"| `logdepth {use}` | {said} | {done.returncode} |\n")
        # An empty folder may have been made.
        assert {path for path in here.iterdir() if path.is_file()} == files, use
    page = root / "docs/wrong-uses.md"
    if "WRITE" in os.environ:
        page.write_text(HEAD + "".join(rows), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == HEAD + "".join(rows)


HEAD = """\
# Wrong uses

What is typed wrongly is answered with one line that names the file or option, the key, and what was
expected. The table is made and checked by `tests/unit/test_wrong_uses.py`, which has the files.

| typed | answer | exit code |
|---|---|---|
"""
