"""Throw-away checkouts in which Snakemake really runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from checkout import Checkout, make_checkout


@pytest.fixture
def fresh(root: Path, tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run yet."""
    return make_checkout(root, tmp_path / "checkout")


@pytest.fixture(scope="session")
def template(root: Path, once: Callable[..., Path]) -> Checkout:
    """The finished study that tests copy. Leave it as it is."""

    def make(folder: Path) -> None:
        make_checkout(root, folder).snakemake()

    return Checkout(once("finished", make))


@pytest.fixture
def finished(template: Checkout, tmp_path: Path) -> Checkout:
    """A checkout whose study is complete."""
    return template.copy(tmp_path / "checkout")


@pytest.fixture
def redrawn(template: Checkout, once: Callable[..., Path], tmp_path: Path) -> Checkout:
    """A finished study one figure of which was deleted and drawn again: one record is newer."""

    def make(folder: Path) -> None:
        checkout = template.copy(folder)
        (checkout.results / "figures/depth_law.png").unlink()
        assert checkout.ran() == {"figure_depth_law": 1}

    return Checkout(once("redrawn", make)).copy(tmp_path / "redrawn")


@pytest.fixture
def uncommitted(template: Checkout, once: Callable[..., Path], tmp_path: Path) -> Checkout:
    """A finished study one figure of which was drawn by code that is not committed."""

    def make(folder: Path) -> None:
        checkout = template.copy(folder)
        checkout.edit("workflow/logdepth/figures/depth_law.py", 'color="C3"', 'color="C2"')
        assert checkout.ran() == {"figure_depth_law": 1}

    return Checkout(once("uncommitted", make)).copy(tmp_path / "uncommitted")
