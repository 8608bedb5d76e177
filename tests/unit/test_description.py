"""What was trained, in tables."""

from pathlib import Path

import pytest

from logdepth.config.study import load_study
from logdepth.evaluation.paper_tables import models_table, settings_table, task_table, written
from logdepth.tasks.hop import Hop

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
    table = task_table(runs)
    assert list(table) == ["quantity", "value"]
    assert table["value"].tolist() == [99, 4, 16]


def test_the_settings_show_exceptions(runs):
    table = settings_table(runs).set_index("setting")
    assert table.loc["steps", "infinite"] == "100001 (L=6: 200001)"
    assert table.loc["stop_after", "samples_3000"] == "(L=6: 100001)"
    assert table.loc["steps", "wide"] == "100001"
    assert table.loc["adamw_rate"].unique().tolist() == ["0.0001"]


def test_each_of_several_tasks_has_its_rows(runs):
    other = [run.model_copy(update={"task": Hop(context=50)}) for run in runs["infinite"][:1]]
    table = task_table(runs | {"short": other})
    assert table["value"].tolist() == [99, 4, 16, 50, 4, 16]
    assert set(table["experiments"].iloc[3:]) == {"short"}
    assert "short" not in table["experiments"].iloc[0]


def test_tables_are_written_as_text_that_latex_reads(runs):
    texts = written(models_table(runs).head(2))
    assert list(texts) == ["csv", "md", "tex"]
    assert r"$T^{\infty}_{4,2}$" in texts["tex"]
    assert r"train\_samples" in texts["tex"]
    assert "train_samples" in texts["csv"].splitlines()[0]
    assert len(texts["md"].splitlines()) == 4
    settings = written(settings_table(runs))["tex"]
    assert r"adamw\_rate" in settings
    assert "adamw_rate" not in settings
