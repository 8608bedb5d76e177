"""The documents: links lead somewhere, and what is generated is in step."""

import re
import runpy
import subprocess
import sys

import pytest

PAGES = ["README.md", "CONTRIBUTING.md", "config/README.md", "docs/*.md"]


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
