"""Figures as data: what is refused, and with which words."""

import pandas as pd
import pytest
from pydantic import ValidationError

from logdepth.config.figures import NEEDS, FigureSpec
from logdepth.config.study import load_study
from logdepth.errors import UserError
from logdepth.figures.catalog import FIGURES
from logdepth.figures.selection import select

PAPER_FIGURES = {f"fig{n:02d}" for n in (2, *range(6, 20))}


@pytest.mark.parametrize("study", ["paper", "released"])
def test_the_studies_of_the_paper_have_all_its_figures_of_results(root, study):
    figures = load_study(root / "config" / f"{study}.yaml").figures
    assert set(figures) >= PAPER_FIGURES


def test_catalog_and_settings_name_the_same_kinds():
    kinds = FigureSpec.model_fields["draws"].annotation.__args__
    assert set(kinds) == set(FIGURES)
    assert set(NEEDS) <= set(FIGURES)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"draws": "alignment", "experiments": ["a"], "hops": 1}, "depth: .* needs it"),
        ({"draws": "alignment", "depth": 2, "hops": 1}, "shows exactly one"),
        ({"draws": "error_by_hops", "depth": 2}, "depth: .* takes none"),
        ({"draws": "error_contrast", "experiments": ["a"]}, "shows two"),
        ({"draws": "alignment", "experiments": ["a"], "depth": 2, "hops": 1, "heads": [[1, 1, 1]]},
         "heads: .* takes none"),
    ],
)  # fmt: skip
def test_impossible_figures_are_refused(spec, message):
    with pytest.raises(ValidationError, match=message):
        FigureSpec.model_validate(spec)


def table():
    return pd.DataFrame(
        {"experiment": ["a", "a", "b"], "dropout": ["on", "off", "on"], "error": [1, 2, 3]}
    )


def test_only_what_a_figure_shows_is_selected():
    spec = FigureSpec(draws="error_by_hops", experiments=("a",), dropout="on")
    assert select({"errors": table()}, spec)["errors"]["error"].tolist() == [1]
    everything = FigureSpec(draws="error_by_hops")
    assert select({"errors": table()}, everything)["errors"].equals(table())
    with pytest.raises(UserError, match="table errors: no row with experiment c; nothing to draw"):
        select({"errors": table()}, FigureSpec(draws="error_by_hops", experiments=("c",)))
