"""The documents: links lead somewhere, and what is generated is in step."""

import re
import runpy
import shlex
import subprocess
import sys

import pytest

from command_line import logdepth_here
from documented import EXECUTED, HERE, HOW, MAKE, commands, how, mentioned
from logdepth.cli.options import COMMANDS

PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md", "docs/*.md"]


def test_claims_are_those_of_the_published_results(root):
    command = [sys.executable, "benchmarks/claims.py"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert (root / "docs/claims.md").read_text() == done.stdout, "run `make claims`"


def test_samples_of_the_audit_are_what_it_prints(root):
    renewed = runpy.run_path(str(root / "benchmarks/audit_samples.py"))["renewed"]
    page = (root / "docs/audit.md").read_text()
    assert page.count("\n$ logdepth audit") >= 6
    assert renewed(page) == page, "run `make claims`"


@pytest.mark.parametrize("pattern", PAGES)
def test_links_lead_somewhere(root, pattern):
    pages = sorted(root.glob(pattern))
    assert pages
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            assert link.startswith(("http:", "https:")) or (page.parent / link).exists(), (
                f"{page.relative_to(root)}: {link}"
            )


def test_every_command_is_executed_or_said_not_to_be(root):
    used = set()
    for page, command in commands(root):
        if page in EXECUTED:
            assert (root / EXECUTED[page]).is_file()
            continue
        known = how(command)
        assert known is not None, f"{page}: {command}: expected a line in tests/documented.py"
        used.add(next(p for p in HOW if re.fullmatch(p, command)))
        if isinstance(known, tuple):
            file, words = known
            assert words in (root / file).read_text(), f"{page}: {command}: {file} has no {words}"
        elif known == MAKE:
            done = subprocess.run(
                ["make", "--dry-run", *shlex.split(command)[1:]],
                cwd=root,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{page}: {command}: {done.stderr}"
        elif known == HERE:
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(root)
                done = logdepth_here(*shlex.split(command)[1:])
            assert done.returncode == 0, f"{page}: {command}: {done.stderr}"
    assert used == set(HOW), f"no page has {set(HOW) - used}"


def test_every_command_that_a_sentence_names_is_there(root):
    targets = re.findall(r"^([a-z-]+):.*## ", (root / "Makefile").read_text(), re.M)
    known = {*COMMANDS, "audit"}
    for page, command in mentioned(root):
        if page == "docs/wrong-uses.md":
            continue
        program, *words = re.sub(r"<.*?>", "", command).split()
        named = [word for word in words if not re.search(r"^-|[=<…]", word)]
        if program == "make":
            assert set(named) <= {*targets}, f"{page}: {command}"
        elif program == "logdepth" and named:
            assert named[0] in known, f"{page}: {command}"
        for word in named if program in ("python", "pytest") else ():
            if word.startswith(("tests/", "benchmarks/")):
                assert (root / word).exists(), f"{page}: {command}"
