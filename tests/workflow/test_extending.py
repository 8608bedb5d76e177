"""docs/extending.md, to the letter, in a clone without what it adds."""

import re
import subprocess
import sys

from checkout import Checkout, make_checkout

_FILES = re.compile(r"^`((?:workflow|config)/\S+)`[^\n]*:\n\n```\w+\n(.*?)^```", re.M | re.S)


def test_the_page_adds_a_task_and_an_architecture_with_a_file_each(root, tmp_path):
    page = (root / "docs/extending.md").read_text()
    files = dict(_FILES.findall(page))
    assert sorted(files) == [
        "config/words.yaml",
        "workflow/logdepth/models/recurrent.py",
        "workflow/logdepth/tasks/s5.py",
    ]
    checkout: Checkout = make_checkout(root, tmp_path / "clone")
    for name, text in files.items():
        if name.startswith("workflow/"):
            assert (checkout.folder / name).read_text() == text, f"{name} is not that of the page"
            (checkout.folder / name).unlink()
    checkout.git("commit", "-qam", "without what the page adds")

    for name, text in files.items():
        (checkout.folder / name).write_text(text)
    _, environment = checkout.command()
    commands = re.findall(r"^\$ (\S+) (.*)$", page, re.M)
    assert [program for program, _ in commands] == ["logdepth", "snakemake"]
    for program, arguments in commands:
        command = [sys.executable, "-m", program, *arguments.split(), *_cores(program)]
        done = subprocess.run(
            command, cwd=checkout.folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    # One file each and the study: nothing else is touched.
    assert _changed(checkout) == sorted(files)
    runs = sorted(path.name for path in (checkout.folder / "results/words/runs").iterdir())
    assert [name.rpartition("-")[0] for name in runs] == [
        "s5-gru-L1-m32-seed0",
        "s5-softmax-L1-H2-m32-seed0",
    ]


def _changed(checkout: Checkout) -> list[str]:
    """Return what differs from the last commit."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, check=True)
    return sorted(line[3:] for line in done.stdout.splitlines())


def _cores(program: str) -> list[str]:
    return ["--cores", "2"] if program == "snakemake" else []
