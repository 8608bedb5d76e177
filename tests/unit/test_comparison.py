"""The published errors beside ours: which are compared, how, and what the verdicts are worth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from logdepth import models
from logdepth.cli import tables as command
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.agreement import (
    Spread,
    design_effects,
    score,
    score_of_trainings,
    spread_of,
    tolerance,
)
from logdepth.evaluation.comparison import TASK, compare, summary
from logdepth.evaluation.counts import Counts
from logdepth.evaluation.intervals import effective_answers, wilson_interval
from logdepth.figures import comparison as figure
from logdepth.figures.style import Shown
from logdepth.models.gpt2 import Gpt2
from logdepth.models.softmax import Softmax
from logdepth.recipes.muon import MuonRecipe
from logdepth.recipes.paper import PaperRecipe
from logdepth.resolved import StudySummary
from logdepth.tables import read_table, write_table

KS = np.arange(17)
HEADER = "mode,k,sequence,wrong,symbols,late_wrong,late_symbols"
ANSWERS = 97 - 3 * KS
MODELS = {"gpt2": Gpt2, "softmax": Softmax}
RECIPES = {"paper": PaperRecipe, "muon": MuonRecipe}


@pytest.fixture(scope="module")
def published(root):
    return read_table("published_errors", root / "config" / "published_errors.csv")


def run_of(depth, seed=0, form="gpt2", recipe="", origin="trained", **training):
    model = MODELS[form](depth=depth, heads=4, width=128)
    recipe = recipe or {"gpt2": "paper", "softmax": "muon"}[form]
    made = RECIPES[recipe](**training)
    return Run(task=TASK, model=model, training=made, seed=seed, origin=origin)


def counted(runs, wrong, mode="train", name="infinite"):
    """Counts of an experiment from (R, K, S) wrong answers."""
    return Counts(
        experiment=name,
        mode=mode,
        runs=[run.identifier for run in runs],
        depths=np.array([run.model.depth for run in runs]),
        seeds=np.array([run.seed for run in runs]),
        ks=KS,
        guess=np.full(17, 0.75),
        wrong=np.asarray(wrong, float),
        symbols=np.repeat(ANSWERS[:, None], wrong.shape[2], axis=1).astype(float),
        late_wrong=np.zeros((len(runs), 17)),
        late_symbols=np.zeros(17),
    )


def answer(random, errors, sequences=512, together=0.01):
    """Wrong answers (..., K, S) for errors (..., K); answers of a sequence are correlated."""
    errors = np.clip(np.asarray(errors), 1e-9, 1 - 1e-9)[..., None]
    spread = 1 / together - 1
    chance = random.beta(errors * spread, (1 - errors) * spread, (*errors.shape[:-1], sequences))
    return random.binomial(ANSWERS[:, None], chance)


def published_errors(published, depth, samples="inf"):
    chosen = (published["depth"] == depth) & (published["train_samples"] == samples)
    return published.loc[chosen & (published["heads"] == 4), "error"].to_numpy()


def simulated(published, errors, runs, random, **settings):
    """Compare runs whose true errors are (R, K) or (K,)."""
    errors = np.broadcast_to(errors, (len(runs), len(KS)))
    part = counted(runs, answer(random, errors), **settings)
    return compare(published, [part], {run.identifier: run for run in runs})


def test_the_published_table_is_whole(published):
    assert len(published) == 425
    assert published["error"].between(0, 1).all()
    settings = published.groupby(["depth", "heads", "width", "train_samples"])["k"]
    assert settings.agg(list).map(lambda ks: sorted(ks) == list(range(17))).all()
    assert len(settings) == 25
    # T_{4,4} of the paper's Figure 8.
    assert published_errors(published, 4)[[4, 8, 16]] == pytest.approx([0.0152, 0.216, 0.612], 5e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("error", "err"), r"published_errors.*column 'error'"),
        (lambda text: text.replace(",inf,", ",many,"), r"published_errors.*train_samples"),
        (lambda text: text.replace("0.0015306122368201613", "1.5"), r"published_errors.*error"),
        (lambda text: text.replace("0.0015306122368201613", ""), r"published_errors.*error"),
        (lambda text: text + text.splitlines()[1] + "\n", r"published_errors.*not unique"),
        (lambda text: "", "not a CSV file"),
        (lambda text: text + "1,2,3,4,5,6,7,8,9\n", "not a CSV file"),
    ],
)
def test_a_wrong_file_gives_one_clear_line(change, message, root, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(change((root / "config" / "published_errors.csv").read_text()))
    with pytest.raises(UserError, match=message) as caught:
        read_table("published_errors", path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_each_published_cell_has_its_rows(published):
    random = np.random.default_rng(0)
    released = [run_of(2, origin="released"), run_of(3, origin="released")]
    runs = {run.identifier: run for run in (*released, run_of(2, form="softmax"))}
    first, third, second = runs.values()
    errors = published_errors(published, 2)[None]
    parts = [
        counted([first], answer(random, errors), "train", "a"),
        counted([first], answer(random, errors), "eval", "a"),
        counted([second], answer(random, errors), "eval", "b"),
        counted([third], answer(random, errors), "train", "c"),
    ]
    table = compare(published, parts, runs)
    # T_{4,2}: a is measured both ways and b adds its own rows in eval mode.
    assert len(table) == 2 * 425 + 17
    rows = table.groupby("mode")["verdict"].agg(lambda v: (v != "not measured").sum())
    assert rows.to_dict() == {"train": 34, "eval": 34}
    counted_cells = summary(table).set_index(["experiment", "mode"])[["cells", "not_testable"]]
    assert counted_cells.loc[("b", "eval")].tolist() == [17, 17]
    assert counted_cells.loc[("a", "train")].tolist() == [17, 0]
    cells = table.drop_duplicates(["depth", "heads", "width", "train_samples", "k", "mode"])
    assert len(cells) == 850
    alone = table[table["experiment"] == "b"]
    assert (alone["verdict"] == "not testable").all(), "one training knows nothing of others"
    assert alone["z"].isna().all()
    nobody = table[table["verdict"] == "not measured"]
    assert (nobody["experiment"] == "").all()
    assert (nobody["seeds"] == 0).all()
    assert nobody[["ours", "z"]].isna().all(axis=None)
    assert (nobody["published_low"] <= nobody["published"] + 1e-12).all()
    # A set without some k, or with a k that has no answers, leaves those cells unmeasured.
    fewer = replace(parts[0], ks=KS[:9], wrong=parts[0].wrong[:, :9], symbols=parts[0].symbols[:9])
    fewer.symbols[3] = 0
    table = compare(published, [fewer], runs)
    assert len(table) == 425
    measured = table.loc[table["verdict"] != "not measured", "k"]
    assert measured.tolist() == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "run",
    [
        run_of(7),
        run_of(2, samples=2000),
        *(
            run_of(2).model_copy(update={"task": TASK.model_copy(update={setting: value})})
            for setting, value in (("context", 98), ("max_k", 17), ("alphabet", 5))
        ),
        *(
            run_of(2).model_copy(update={"model": models.settings(form)(depth=2, width=128)})
            for form in models.names()
            if "heads" not in models.settings(form).model_fields
        ),
    ],
)
def test_another_setting_is_not_measured(run, published, tmp_path):
    table = simulated(published, published_errors(published, 2), [run], np.random.default_rng(0))
    assert len(table) == 425
    assert (table["verdict"] == "not measured").all()
    # A study of its own size has empty tables, not an error.
    for name, content in (("comparison", table), ("comparison_summary", summary(table))):
        write_table(name, content, tmp_path / f"{name}.csv")
        assert len(read_table(name, tmp_path / f"{name}.csv")) == len(content)
    assert summary(table).empty


def test_the_setting_decides_not_the_depth_alone(published):
    run = run_of(3, samples=1000)
    table = simulated(published, 0.5, [run], np.random.default_rng(0))
    found = table[table["verdict"] != "not measured"]
    assert set(found["train_samples"]) == {"1000"}
    assert set(found["heads"]) == {4}
    assert found["published"].tolist() == published_errors(published, 3, "1000").tolist()


@pytest.mark.parametrize(
    ("run", "mode", "seeds", "conditions"),
    [
        (run_of(4), "train", 2, "same"),
        (run_of(4), "train", 1, "same; seed variance unknown"),
        (run_of(4, origin="released"), "train", 1, "same"),
        (run_of(4, origin="released"), "eval", 1, "dropout off"),
        (run_of(4, form="softmax"), "train", 2, "our recipe and model"),
        (run_of(4, form="softmax"), "eval", 2, "our recipe and model; dropout off"),
        (run_of(4, recipe="muon"), "train", 2, "our recipe"),
        (run_of(4, steps=5000), "train", 2, "steps 5000 (theirs 100001)"),
        (run_of(4, stop_after=500), "eval", 2, "stop_after 500 (theirs None); dropout off"),
        # Two of the published models stand half-way through a longer schedule.
        (run_of(6, steps=200_001, stop_after=100_001), "train", 2, "same"),
        (run_of(6, samples=3000, steps=200_001, stop_after=100_001), "train", 2, "same"),
        (run_of(6, samples=1000), "train", 2, "same"),
        (run_of(6), "train", 2, "steps 100001 (theirs 200001); stop_after None (theirs 100001)"),
    ],
)
def test_conditions_say_what_differs(run, mode, seeds, conditions, published):
    runs = [run.model_copy(update={"seed": seed}) for seed in range(seeds)]
    table = simulated(published, 0.3, runs, np.random.default_rng(0), mode=mode)
    found = table[table["verdict"] != "not measured"]
    assert len(found) == 17
    assert set(found["conditions"]) == {conditions}
    assert set(found["origin"]) == {run.origin}
    assert set(found["recipe"]) == {run.training.recipe}
    assert set(found["seeds"]) == {seeds}


def test_equal_errors_agree(published):
    """The published table is one sample; ours is drawn from the errors it shows."""
    random = np.random.default_rng(1)
    runs = [run_of(depth, origin="released") for depth in (2, 3, 4, 5, 6)]
    errors = [published_errors(published, run.model.depth) for run in runs]
    table = simulated(published, np.array(errors), runs, random)
    found = table[table["verdict"] != "not measured"]
    assert len(found) == 85
    assert (found["verdict"] == "agrees").sum() >= 84
    (line,) = summary(table).to_dict("records")
    # Only our own sample is random here, so z is smaller than its standard error says.
    assert line["rms_z"] < 1
    assert line["cells"] == line["agrees"] + line["lower"] + line["higher"] == 85


def test_a_clearly_lower_error_is_called_lower(published):
    depths = (2, 3, 4, 5, 6)
    runs = [run_of(depth, seed) for depth in depths for seed in range(3)]
    errors = np.array([published_errors(published, run.model.depth) for run in runs])
    table = simulated(published, errors / 3, runs, np.random.default_rng(2))
    found = table[table["verdict"] != "not measured"]
    (line,) = summary(table).to_dict("records")
    assert (line["cells"], line["higher"]) == (85, 0)
    assert line["lower"] == (found["verdict"] == "lower").sum()
    assert line["agrees"] == 85 - line["lower"]
    assert line["largest_z"] > line["tolerance"] == tolerance(85)
    # Trainings differ little where errors are large, and by a factor where they are small.
    assert set(found.loc[found["published"].between(0.45, 0.8), "verdict"]) == {"lower"}
    assert set(found.loc[found["published"] < 0.005, "verdict"]) == {"agrees"}
    assert (found.loc[found["k"] > 0, "z"] < 0).all()


def test_no_error_of_ours_is_lower_than_many_published(published):
    """Where ours is never wrong, its design effect is that of its other k, not a whole sequence."""
    errors = published_errors(published, 4)
    errors = np.where(errors < 0.1, 0, errors)
    table = simulated(
        published, errors, [run_of(4, origin="released")], np.random.default_rng(3), mode="eval"
    )
    found = table[table["verdict"] != "not measured"].set_index("k")
    assert (found.loc[:6, "ours"] == 0).all()
    assert found.loc[[4, 5, 6], "verdict"].tolist() == ["lower"] * 3


def test_released_models_have_no_seed_variance(published):
    """The same counts are further from the published error when no training can explain it."""
    errors = published_errors(published, 3)
    wrong = answer(np.random.default_rng(4), np.stack([errors * 0.7, errors * 1.1]))
    result = {}
    for origin in ("released", "trained"):
        runs = [run_of(3, seed, origin=origin) for seed in (0, 1)]
        names = {run.identifier: run for run in runs}
        table = compare(published, [counted(runs, wrong)], names)
        result[origin] = table[table["verdict"] != "not measured"].set_index("k")["z"].abs()
    assert (result["released"][4:] > 1.5 * result["trained"][4:]).all()


def test_the_score_of_one_model_is_the_two_proportion_test():
    z = score(0.3, 0.2, (1000, 1000))
    assert z == pytest.approx(-0.1 / math.sqrt(0.25 * 0.75 * 0.002), rel=0.01)
    assert score(0.2, 0.3, (1000, 1000)) == -z
    assert abs(score(0.0, 0.0, (100, 500))) < 1
    assert math.isnan(tolerance(0))


def spread(variance, freedom):
    return Spread(np.full(4, variance), np.full(4, freedom))


def test_the_score_of_trainings_is_students():
    # Variance over trainings alone, 2 degrees of freedom: t = 4.302653 has a tail of 2.5 %.
    apart = 4.302653 * math.sqrt(0.04 * (1 + 1 / 3))
    ours = 1 / (1 + np.exp(-(apart + np.array([-0.1, 0, 0.1]))))
    z = score_of_trainings(0.5, ours, (1e12, 1e12), spread(0.04, 2))
    assert z == pytest.approx(1.959964, abs=1e-4)
    # Sampling alone is the test of two proportions.
    z = score_of_trainings(0.3, np.array([0.2, 0.2]), (1000, 1000), spread(0.0, 1e9))
    assert z == pytest.approx(score(0.3, 0.2, (1000, 1000)), rel=0.05)
    assert abs(score_of_trainings(0.0, np.zeros(2), (100, 500), spread(1.0, 5))) < 1


def test_tolerance_is_sidaks():
    assert tolerance(1) == pytest.approx(1.959964, abs=1e-5)
    random = np.random.default_rng(5)
    largest = np.abs(random.normal(size=(20_000, 85))).max(1)
    assert (largest > tolerance(85)).mean() == pytest.approx(0.05, abs=0.006)


def test_design_effects_are_those_of_beta_binomials():
    wrong = answer(np.random.default_rng(6), np.full((2, 17), 0.3), 4000, together=0.02)
    symbols = np.repeat(ANSWERS[:, None], 4000, axis=1).astype(float)
    expected = 1 + (ANSWERS - 1) * 0.02
    effects = design_effects(wrong.astype(float), symbols)
    assert effects == pytest.approx(np.maximum(expected, expected.mean()), rel=0.1)
    # A k without errors borrows the largest effect of the others.
    wrong[:, 4] = 0
    assert design_effects(wrong.astype(float), symbols)[4] == np.delete(effects, 4).max()
    # With nothing to learn from, a sequence is one answer.
    assert design_effects(np.zeros((1, 17, 4000)), symbols).tolist() == ANSWERS.tolist()


def test_effective_answers_of_several_runs_are_those_of_one():
    wrong = answer(np.random.default_rng(7), np.full((3, 17), 0.2), 2000)[:, 5].astype(float)
    symbols = np.full(2000, float(ANSWERS[5]))
    each = [effective_answers(row, symbols) for row in wrong]
    assert min(each) <= effective_answers(wrong, symbols) <= max(each)
    assert effective_answers([], []) == 0
    assert math.isnan(wilson_interval(0.5, 0)[0])


def many_trainings(random, error, apart, number, sequences=100):
    """Wrong answers of trainings whose logits differ by a standard deviation, and the answers."""
    logits = np.log(error / (1 - error)) + apart * random.standard_normal((number, 1))
    errors = np.repeat(1 / (1 + np.exp(-logits)), 17, 1)
    symbols = np.repeat(ANSWERS[:, None], sequences, axis=1).astype(float)
    return answer(random, errors, sequences, 0.02).astype(float), symbols


def test_the_spread_is_that_of_trainings_without_the_luck_of_sampling():
    random = np.random.default_rng(8)
    known = spread_of([])
    for band, (error, apart) in enumerate([(0.005, 0.4), (0.05, 0.3), (0.3, 0.5), (0.7, 0.2)]):
        found = spread_of([many_trainings(random, error, apart, 400, 400)])
        assert found.variance[band] == pytest.approx(apart**2, rel=0.15)
        assert found.freedom[band] == pytest.approx(399 + known.freedom[band])
        # Of other errors nothing is learned.
        others = np.delete(np.arange(4), [band, *([0, 1] if band < 2 else [])])
        assert found.variance[others] == pytest.approx(known.variance[others])
    equal = spread_of([many_trainings(random, 0.3, 0.0, 400)])
    assert equal.variance[2] < 0.01


def test_the_spread_falls_with_the_error_where_nothing_else_is_known():
    known = spread_of([]).variance
    assert (np.diff(known) < 0).all()
    assert (known[0], known[-1]) == (1.27, 0.06)


def test_settings_share_the_spread_of_their_seeds():
    random = np.random.default_rng(9)
    groups = [many_trainings(random, 0.3, 0.3, 3, 400) for _ in range(60)]
    found = spread_of(groups)
    assert found.freedom[2] == 120 + spread_of([]).freedom[2]
    assert found.variance[2] == pytest.approx(0.09, rel=0.25)
    few = spread_of(groups[:1])
    assert few.freedom[2] == 2 + spread_of([]).freedom[2]


def test_the_tables_are_read_back_and_the_command_writes_them(published, tmp_path, root):
    run = run_of(2, origin="released")
    part = counted(
        [run], answer(np.random.default_rng(9), published_errors(published, 2)[None], 20)
    )
    table = compare(published, [part], {run.identifier: run})
    write_table("comparison", table, tmp_path / "comparison.csv")
    again = read_table("comparison", tmp_path / "comparison.csv")
    assert again["train_samples"].tolist() == table["train_samples"].tolist()
    assert again["experiment"].tolist() == table["experiment"].tolist()

    folder = tmp_path / "runs" / run.identifier
    folder.mkdir(parents=True)
    rows = [
        f"train,{k},{s},{int(part.wrong[0, k, s])},{ANSWERS[k]},0,0" for k in KS for s in range(20)
    ]
    (folder / "evaluation.csv").write_text("\n".join([HEADER, *rows]))
    StudySummary("mine", {"infinite": "All"}, (), {"infinite": [run]}).write(
        tmp_path / "study.json"
    )
    app = Typer()
    app.callback()(lambda: None)
    app.command("compare")(command.compare)
    arguments = ["compare", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "tables")]
    arguments += ["--study", str(tmp_path / "study.json")]
    arguments += ["--published", str(root / "config" / "published_errors.csv")]
    record = tmp_path / "provenance" / "compare.json"
    CliRunner().invoke(app, [*arguments, "--record", str(record)], catch_exceptions=False)
    written = tmp_path / "tables" / "comparison.csv"
    assert written.read_bytes() == (tmp_path / "comparison.csv").read_bytes()
    (line,) = read_table(
        "comparison_summary", tmp_path / "tables" / "comparison_summary.csv"
    ).to_dict("records")
    assert line["cells"] == 17
    assert line["tolerance"] == pytest.approx(tolerance(17), rel=1e-4)
    text = record.read_text()
    assert all(f in text for f in ("published_errors.csv", "evaluation.csv", "summary.csv"))
    # The study is kept as it was read.
    (kept,) = (tmp_path / "provenance" / "studies").iterdir()
    assert kept.read_bytes() == (tmp_path / "study.json").read_bytes()
    assert kept.name in text


def test_the_figure_shows_what_was_compared(published):
    random = np.random.default_rng(10)
    released = [run_of(depth, origin="released") for depth in (2, 3)]
    runs = {run.identifier: run for run in (*released, run_of(2, samples=1000))}
    first, second, third = runs.values()
    half = np.full((2, 17), 0.3)
    parts = [
        counted([first, second], answer(random, half), "train", "infinite"),
        counted([first, second], answer(random, half), "eval", "infinite"),
        counted([third], answer(random, half[:1]), "train", "few"),
        counted([run_of(7)], answer(random, half[:1]), "train", "deep"),
    ]
    table = compare(published, parts, runs | {run_of(7).identifier: run_of(7)})
    shown = Shown({"infinite": "All", "few": "Few", "deep": "Deep"})
    data = figure.prepare({"comparison": table}, shown)
    # Two depths twice and one once, without k = 0; in the order of the study.
    assert len(data) == 5 * 16
    assert list(dict.fromkeys(data["title"])) == ["All", "Few"]
    drawn = [axis for axis in figure.draw(data).axes if axis.axison]
    names = [axis.get_title() for axis in drawn if axis.get_title()]
    assert names == ["All, dropout on", "All, dropout off", "Few, dropout on"]
    (heat,) = next(axis.images for axis in drawn if axis.images)
    assert heat.get_array().shape == (2, 16)
    marks = sum(len(line.get_xdata()) for axis in drawn if axis.images for line in axis.get_lines())
    assert marks == data["verdict"].isin(["lower", "higher"]).sum() > 0
    assert (data["verdict"] == "not testable").any()
    nothing = table[table["verdict"] == "not measured"]
    with pytest.raises(UserError, match="nothing to draw"):
        figure.prepare({"comparison": nothing}, shown)
