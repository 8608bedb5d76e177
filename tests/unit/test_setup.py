"""The set-up script: what it refuses, and the locks it reads."""

import os
import re
import shutil
import subprocess

import pytest


def setup(folder, root, **environment):
    """Run envs/setup.sh in a copy of the project; pip is never reached."""
    shutil.copytree(root / "envs", folder / "envs")
    return subprocess.run(
        ["envs/setup.sh"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def fake_python(folder, version):
    path = folder / "python-old"
    path.write_text(
        f"""#!/bin/sh
case "$2" in *sys.exit*) exit 1;; *print*) echo {version};; esac
"""
    )
    path.chmod(0o755)
    return path


def test_an_old_python_is_refused_in_one_line(tmp_path, root):
    done = setup(tmp_path, root, PYTHON=str(fake_python(tmp_path, "3.9")))
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert "Python 3.11 or newer is needed, but" in line
    assert "is 3.9" in line
    assert not (tmp_path / ".venv").exists()


def test_a_missing_python_is_refused(tmp_path, root):
    done = setup(tmp_path, root, PYTHON=str(tmp_path / "nowhere"))
    assert done.returncode != 0
    assert "does not run; name a Python 3.11 or newer" in done.stderr


def test_a_wrong_build_of_torch_is_refused(tmp_path, root):
    # An environment is there already: making one takes long.
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(shutil.which("false"))
    done = setup(tmp_path, root, TORCH="tpu")
    assert done.returncode != 0
    assert "TORCH is 'tpu'; expected cpu or cuda" in done.stderr


@pytest.mark.parametrize("lock", ["cpu", "cuda", "dev"])
def test_every_requirement_is_pinned_and_hashed(root, lock):
    text = (root / f"envs/{lock}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M))
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in text


def test_the_locks_agree_on_versions(root):
    def versions(lock):
        text = (root / f"envs/{lock}.txt").read_text()
        return {
            (name, marker): version
            for name, version, marker in re.findall(r"^([a-z0-9._-]+)==(\S+)(.*?) *\\$", text, re.M)
            if name != "torch"
        }

    cpu = versions("cpu")
    for lock in ("cuda", "dev"):
        for key, version in versions(lock).items():
            assert cpu.get(key, version) == version, key


def test_the_cpu_lock_takes_the_public_wheels(root):
    wheels = (root / "envs/torch-cpu-wheels.txt").read_text()
    lock = (root / "envs/cpu.txt").read_text()
    hashes = re.findall(r"^[0-9a-f]{64}", wheels, re.M)
    assert hashes
    assert all(f"--hash=sha256:{h}" in lock for h in hashes)
