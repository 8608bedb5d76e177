"""A study signed with its models as docs/audit.md says, for the OpenSSF's model_signing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documented import commands

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def signed(root, tmp_path_factory):
    """Return a folder with a study, a key and a signature, and the command that verifies it."""
    folder = tmp_path_factory.mktemp("signed")
    shutil.copytree(root / "results/published/law_small", folder / "results/laptop")
    typed = [command for page, command in commands(root) if page == "docs/audit.md"]
    lines = [line for line in typed if line.startswith(("ssh-keygen", "model_signing"))]
    assert [line.split()[0] for line in lines] == ["ssh-keygen"] * 2 + ["model_signing"] * 2
    for line in lines[:-1]:
        done = run(folder, line)
        assert done.returncode == 0, done.stderr
    return folder, lines[-1]


def run(folder, command):
    """Run a command of the page, where there is nothing to ask on a network."""
    environment = {"PATH": PATH, "HOME": str(folder), "ALL_PROXY": "http://127.0.0.1:9"}
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_the_tool_verifies_what_was_signed(signed):
    done = run(*signed)
    assert (done.returncode, done.stdout) == (0, "Verification succeeded\n"), done.stderr


def changed(study):
    """One bit of a weight."""
    (model,) = study.glob("runs/*/model.safetensors")
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    return model.relative_to(study)


def added(study):
    (study / "extra.csv").write_text("a\n")
    return Path("extra.csv")


def removed(study):
    (record, *_) = sorted(study.glob("runs/*/run.json"))
    record.unlink()
    return record.relative_to(study)


@pytest.mark.parametrize("bent", [changed, added, removed])
def test_the_tool_refuses_what_was_not_signed(signed, tmp_path, bent):
    folder, verify = signed
    shutil.copytree(folder, tmp_path / "copy")
    name = bent(tmp_path / "copy/results/laptop")
    done = run(tmp_path / "copy", verify)
    assert done.returncode == 1
    assert re.search(rf"Signature mismatch: .*{re.escape(str(name))}", done.stdout + done.stderr)
