"""Throw-away checkouts in which Snakemake really runs."""

from pathlib import Path

import pytest

from checkout import Checkout, make_checkout


@pytest.fixture
def fresh(root: Path, tmp_path: Path) -> Checkout:
    """A checkout in which nothing has run yet."""
    return make_checkout(root, tmp_path / "checkout")


@pytest.fixture
def whole(root: Path, tmp_path: Path) -> Checkout:
    """A second fresh checkout, for a run that nothing disturbs."""
    return make_checkout(root, tmp_path / "whole")


@pytest.fixture(scope="session")
def template(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = make_checkout(root, tmp_path_factory.mktemp("finished") / "checkout")
    checkout.snakemake()
    return checkout


@pytest.fixture
def finished(template: Checkout, tmp_path: Path) -> Checkout:
    """A checkout whose study is complete."""
    return template.copy(tmp_path / "checkout")
