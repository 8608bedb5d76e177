"""The commands of the pages, and how each is known to work.

python tests/documented.py    # runs those for a clone with a finished study, here: .ci/run does
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "config/README.md",
    "docs/*.md",
    "results/published/*.md",
)
# A test executes every command of theirs, to the letter.
EXECUTED = {
    "docs/extending.md": "tests/workflow/test_extending.py",
    "docs/wrong-uses.md": "tests/unit/test_wrong_uses.py",
}
HERE, MAKE, CLONE = "run by the test", "run by the test with --dry-run", "run by this, as a script"
# Patterns of commands; each HERE, MAKE or CLONE, or a file that runs it with words that it has, or
# why it is not run.
HOW: dict[str, str | tuple[str, str]] = {
    r"logdepth audit trace results/published/.*": HERE,
    r"logdepth audit verify results/published": (".ci/run", 'make audit PATHS="results/published'),
    r"logdepth audit reproduce .*": ("tests/workflow/test_reproduce.py", '"reproduce"'),
    r"logdepth audit sign .*": ("tests/unit/test_audit_claims.py", "sign("),
    r"logdepth audit verify .* --signers .*": ("tests/unit/test_audit_claims.py", "signers="),
    r"(ssh-keygen|model_signing) .*": ("tests/unit/test_model_signing.py", '"docs/audit.md"'),
    r"make": (".ci/run", 'make -C "$clone/logdepth"'),
    r"make setup && .*": (".ci/run", 'make -C "$clone/logdepth"'),
    r"make .*": MAKE,
    r"git clone .*": (".ci/run", "git clone"),
    r"snakemake --configfile config/smoke.yaml": (".ci/run", "STUDY=smoke"),
    r"logdepth (status|runs|gc|theory)( .*)?": CLONE,
    r"snakemake --dry-run": CLONE,
    r"logdepth plan --config config/paper.yaml": ("tests/unit/test_plan.py", "config/paper.yaml"),
    r"logdepth plan .* --site site.yaml": ("tests/unit/test_plan.py", '"--site"'),
    r"cp profiles/slurm/.*": ("tests/unit/test_site.py", "site.example.yaml"),
    r"snakemake --profile slurm --configfile config/smoke.yaml.*": (
        "tests/cluster/conftest.py",
        '"--profile", "slurm", "--configfile"',
    ),
    r"snakemake .* --software-deployment-method apptainer": (
        "tests/cluster/conftest.py",
        '"--software-deployment-method", "apptainer"',
    ),
    r"apptainer exec .*": ("tests/cluster/conftest.py", '"apptainer"'),
    r"sudo make image.*": ("tests/cluster/run.sh", "containers/build.sh"),
    r"python tests/gpu/check.py --out found": ("tests/unit/test_gpu_check.py", '"--out"'),
    r"python tests/gpu/check.py --out found --(paper|take).*": (
        "tests/unit/test_gpu_check.py",
        "train_paper",
    ),
    r"cmp /tmp/first.*": "two builds of the image take an hour; docs/image.md says what came out",
    r"snakemake results/laptop/.*": "trains the study of `make` in part; test_extending asks so",
    r"(tmux new )?snakemake --profile slurm( --dry-run.*)?": "trains the paper, 255 core-hours",
    r"snakemake .*config/paper.yaml.*": "trains the paper, 255 core-hours",
    r"(scp|ssh|squeue|tail|ls \.snakemake/slurm_logs).*": "looks at a cluster of the reader's",
}
_PROGRAMS = r"(?:make|logdepth|snakemake|python3?|pytest)"


def commands(root: Path) -> Iterator[tuple[str, str]]:
    """Yield page and command, of all lines that are set apart to be typed."""
    for page, text in pages(root):
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
        blocks += re.findall(rf"^    ({_PROGRAMS} .*)$", text, re.M)
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            if command := " ".join(re.sub(r"\s#\s.*", "", line).split()):
                yield page, command


def mentioned(root: Path) -> Iterator[tuple[str, str]]:
    """Yield page and command, of all that a sentence names."""
    for page, text in pages(root):
        for command in re.findall(rf"`(?:time )?({_PROGRAMS} [^`\n]+)`", text):
            yield page, command


def pages(root: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of each page."""
    for pattern in PAGES:
        for path in sorted(root.glob(pattern)):
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def how(command: str) -> str | tuple[str, str] | None:
    """Return how a command is known to work; None if nobody said."""
    return next((known for p, known in HOW.items() if re.fullmatch(p, command)), None)


def main() -> None:
    """Run the commands for a clone; stop at the first that fails."""
    for _, command in dict.fromkeys(commands(Path.cwd())):
        if how(command) == CLONE:
            started = time.monotonic()
            print(f"$ {command}", flush=True)
            if code := subprocess.run(["bash", "-c", command], check=False).returncode:
                sys.exit(f"{command}: exit code {code}")
            print(f"({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
