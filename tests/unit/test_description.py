"""What was trained, in tables."""

from pathlib import Path

import pytest

from logdepth.config.study import load_study
from logdepth.evaluation.description import models_table, settings_table, task_table

# Table 3 of the paper.
PRINTED = {
    (4, 128): [413_440, 611_712, 809_984, 1_008_256, 1_206_528],
    (8, 256): [1_613_312, 2_403_072, 3_192_832, 3_982_592, 4_772_352],
}


@pytest.fixture(scope="module")
def runs(root: Path):
    study = load_study(root / "config" / "paper.yaml")
    return {name: study.runs(name) for name in study.experiments}


def test_the_models_are_those_of_table_3(runs):
    table = models_table(runs)
    assert len(table) == 25
    for (heads, width), parameters in PRINTED.items():
        chosen = (table["heads"] == heads) & (table["width"] == width)
        for _, part in table[chosen].groupby("experiment"):
            assert part.sort_values("depth")["parameters"].tolist() == parameters
    assert table["model"].iloc[0] == r"$T^{\infty}_{4,2}$"
    assert set(table["train_samples"]) == {"inf", 1000, 3000, 10_000}


def test_the_task_is_that_of_table_1(runs):
    assert task_table(runs)["value"].tolist() == [99, 4, 16]


def test_the_settings_show_exceptions(runs):
    table = settings_table(runs).set_index("setting")
    assert table.loc["steps", "infinite"] == "100001 (L=6: 200001)"
    assert table.loc["stop_after", "samples_3000"] == "(L=6: 100001)"
    assert table.loc["steps", "wide"] == "100001"
    assert table.loc["adamw_rate"].unique().tolist() == ["0.0001"]
