"""The set-up script: what it refuses, and the locks it reads."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest


def setup(folder, root, *arguments, **environment):
    """Run envs/setup.sh in a copy of the project; the real pip is never reached."""
    if not (folder / "envs").exists():
        for name in ("envs", "config"):
            shutil.copytree(root / name, folder / name)
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(root / name, folder)
    return subprocess.run(
        ["envs/setup.sh", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def making_python(folder):
    """Return a python whose environments hold nothing but itself, and a pip that notes calls.

    A file "no-venv" or "no-pip" beside it makes that part fail, "no-wheel" has what pip says of it.
    """
    path = folder / "python-making"
    path.write_text(
        f"""#!/bin/sh
case "$*" in
-c*print*) echo 3.11;;
"-m venv"*)
    [ ! -e {folder}/no-venv ] || exit 1
    mkdir -p .venv/bin && cp {path} .venv/bin/python && echo venv >>{folder}/calls;;
"-m pip"*--editable*)
    mkdir -p .venv/lib/python3.11/site-packages
    pwd >.venv/lib/python3.11/site-packages/__editable__.logdepth-0.1.0.pth;;
"-m pip"*torch.txt)
    [ ! -e {folder}/no-wheel ] || {{ cat {folder}/no-wheel >&2; exit 1; }};;
"-m pip"*)
    [ ! -e {folder}/no-pip ] || {{ touch .venv/half; exit 1; }}
    echo pip >>{folder}/calls;;
esac
"""
    )
    path.chmod(0o755)
    return path


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
    done = setup(tmp_path, root, TORCH="tpu")
    assert done.returncode != 0
    assert "TORCH is 'tpu'; expected cpu or cuda" in done.stderr
    assert not (tmp_path / ".venv").exists()


def is_made(folder):
    """Whether `make setup` has nothing to do."""
    return subprocess.run(["make", "--question", "setup"], cwd=folder, check=False).returncode == 0


def test_an_environment_is_whole_or_made_again(tmp_path, root):
    python, folder = making_python(tmp_path), tmp_path / "clone"
    folder.mkdir()

    def made(**environment):
        done = setup(folder, root, PYTHON=str(python), TORCH="cpu", **environment)
        return done.returncode == 0

    # Debian without python3-venv, and then with it.
    (tmp_path / "no-venv").touch()
    assert not made()
    assert not is_made(folder)
    (tmp_path / "no-venv").unlink()
    # Interrupted while packages are installed: what is half there goes.
    (tmp_path / "no-pip").touch()
    assert not made()
    assert not is_made(folder)
    (tmp_path / "no-pip").unlink()
    assert made()
    assert not (folder / ".venv/half").exists()
    assert is_made(folder)
    # New locks are installed into what is there.
    calls = (tmp_path / "calls").read_text()
    assert made()
    assert "venv" not in (tmp_path / "calls").read_text().removeprefix(calls)
    # Interrupted then: all is made again.
    (tmp_path / "no-pip").touch()
    assert not made()
    (tmp_path / "no-pip").unlink()
    assert not is_made(folder)
    assert made()
    assert not (folder / ".venv/half").exists()


@pytest.mark.parametrize(
    ("said", "falls_back"),
    [
        ("ERROR: No matching distribution found for torch==2.13.0+cpu", True),
        # Of a wheel for other Pythons, where constraints of the user name torch as well.
        ("ERROR: ResolutionImpossible: for help visit https://pip.pypa.io", True),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", False),
    ],
)
def test_without_a_cpu_wheel_for_this_python_the_cuda_build_is_taken(
    tmp_path, root, said, falls_back
):
    python, folder = making_python(tmp_path), tmp_path / "clone"
    folder.mkdir()
    (tmp_path / "no-wheel").write_text(said)
    done = setup(folder, root, PYTHON=str(python), TORCH="cpu")
    assert (done.returncode == 0) is falls_back is is_made(folder)
    assert (folder / ".venv/locks/cuda.txt").exists() is falls_back
    assert (said in done.stderr) is not falls_back


def test_what_is_there_stays_whatever_python3_is(tmp_path, root):
    python, folder = making_python(tmp_path), tmp_path / "clone"
    folder.mkdir()
    assert setup(folder, root, PYTHON=str(python), TORCH="cpu").returncode == 0
    made = (folder / ".venv/setup.done").stat().st_mtime_ns
    for more in ("dev", "article"):
        old = str(fake_python(tmp_path, "3.9"))
        assert setup(folder, root, more, PYTHON=old).returncode == 0
        assert is_made(folder)
        assert (folder / f".venv/locks/{more}.txt").exists()
        # By which make knows that what was installed on top before is still there.
        assert (folder / ".venv/setup.done").stat().st_mtime_ns == made


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_an_environment_from_elsewhere_is_made_again(tmp_path, root, how):
    python, folder, other = making_python(tmp_path), tmp_path / "clone", tmp_path / "its copy"
    folder.mkdir()
    assert setup(folder, root, PYTHON=str(python), TORCH="cpu").returncode == 0
    (folder / ".venv/of-the-other").touch()
    if how == "copied":
        shutil.copytree(folder, other, symlinks=True)
        assert is_made(folder)
    else:
        folder.rename(other)
    assert not is_made(other)
    assert setup(other, root, PYTHON=str(python), TORCH="cpu").returncode == 0
    assert not (other / ".venv/of-the-other").exists()
    assert is_made(other)
    assert (other / ".venv/setup.done").read_text() == f"{other}\n"


def test_python_starts_in_a_path_that_the_locale_cannot_say(tmp_path, root):
    python, folder = making_python(tmp_path), tmp_path / "Mühe 50% 'x'"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow/logdepth.py").touch()
    assert setup(folder, root, PYTHON=str(python), TORCH="cpu").returncode == 0
    (link,) = folder.glob(".venv/lib/python3.11/site-packages/*.pth")
    # A real environment, with the link that was made.
    words = [sys.executable, "-m", "venv", "--clear", "--without-pip", folder / ".venv"]
    text = link.read_text()
    subprocess.run(words, check=True)
    (packages,) = folder.glob(".venv/lib/python*/site-packages")
    (packages / link.name).write_text(text)
    words = [folder / ".venv/bin/python", "-c", "import logdepth; print(ascii(logdepth.__file__))"]
    done = subprocess.run(words, env={"LC_ALL": "C"}, capture_output=True, text=True, check=True)
    assert done.stdout == f"{str(folder / 'workflow/logdepth.py')!a}\n"


def test_two_that_make_one_environment_take_turns(tmp_path, root):
    python, folder = making_python(tmp_path), tmp_path / "clone"
    folder.mkdir()
    (folder / ".venv").mkdir()
    with ThreadPoolExecutor(2) as pool:
        # The copy of the project is made first.
        assert setup(folder, root, PYTHON=str(python), TORCH="cpu").returncode == 0
        shutil.rmtree(folder / ".venv")
        both = [pool.submit(setup, folder, root, PYTHON=str(python), TORCH="cpu") for _ in range(2)]
        assert [done.result().returncode for done in both] == [0, 0]
    assert is_made(folder)


@pytest.mark.parametrize(
    ("lock", "least"), [("cpu", 50), ("cuda", 50), ("dev", 50), ("article", 1)]
)
def test_every_requirement_is_pinned_and_hashed(root, lock, least):
    text = (root / f"envs/{lock}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.M))
    assert len(entries) >= least
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
    for lock in ("cuda", "dev", "article"):
        for key, version in versions(lock).items():
            assert cpu.get(key, version) == version, key


def test_the_cpu_lock_takes_the_public_wheels(root):
    wheels = (root / "envs/torch-cpu-wheels.txt").read_text()
    lock = (root / "envs/cpu.txt").read_text()
    hashes = re.findall(r"^[0-9a-f]{64}", wheels, re.M)
    assert hashes
    assert all(f"--hash=sha256:{h}" in lock for h in hashes)
