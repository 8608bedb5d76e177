"""The published errors beside ours: which are compared, how, and what the verdicts are worth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from logdepth import models
from logdepth.cli import compare as command
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.agreement import Seeds, design_effects, score, seed_variances, tolerance
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
        chance=0.75,
        ks=KS,
        wrong=np.asarray(wrong, float),
        symbols=np.repeat(ANSWERS[:, None], wrong.shape[2], axis=1).astype(float),
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
    runs = {run.identifier: run for run in (run_of(2), run_of(2, form="softmax"), run_of(3))}
    first, second, third = runs.values()
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
    cells = table.drop_duplicates(["depth", "heads", "width", "train_samples", "k", "mode"])
    assert len(cells) == 850
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


def redrawn(published, true, random, together):
    """Return the published table with the errors of new models, on 100 new sequences each."""
    table = published[published["heads"] == 4]
    table = table[table["train_samples"] == "inf"].copy()
    wrong = answer(random, true, 100, together)
    table["error"] = (wrong.sum(2) / 100 / ANSWERS).ravel()
    return table


@pytest.mark.parametrize(
    ("seeds", "spread", "together"),
    [(1, 0.0, 0.005), (1, 0.0, 0.02), (3, 0.3, 0.01), (2, 0.5, 0.01), (3, 0.0, 0.01)],
)
def test_a_false_alarm_is_as_rare_as_stated(seeds, spread, together, published):
    """One in twenty whole comparisons of 85 cells may hold a verdict other than "agrees".

    The truth is the published errors; trainings differ by ``spread`` on the logit scale, and the
    published table is redrawn from it as one more training on 100 sequences.
    """
    random = np.random.default_rng(seed := 20 + seeds)
    depths = (2, 3, 4, 5, 6)
    truth = np.array([published_errors(published, depth) for depth in depths]).clip(2e-4, 0.8)
    logits = np.log(truth / (1 - truth))
    origin = "released" if seeds == 1 else "trained"
    runs = [run_of(depth, seed, origin=origin) for depth in depths for seed in range(seeds)]
    alarms, squares, trials = 0, [], 60
    for _ in range(trials):
        shifts = random.normal(0, spread, (len(depths), seeds + 1, 1))
        true = 1 / (1 + np.exp(-(logits[:, None] + shifts)))
        table = redrawn(published, true[:, 0], random, together)
        wrong = answer(random, true[:, 1:].reshape(len(runs), -1), 256, together)
        parts = [counted(runs, wrong)]
        result = compare(table, parts, {run.identifier: run for run in runs})
        assert len(result) == 85
        alarms += (result["verdict"] != "agrees").any()
        squares.append(np.square(result["z"]).mean())
    note = f"seed {seed}: {alarms} of {trials}, mean square of z {np.mean(squares):.2f}"
    # 60 trials at 5 %: more than 8 has a chance below 1 %.
    assert alarms <= 8, note
    assert 0.5 < np.mean(squares) < 1.3, note


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
    depth = found[found["depth"] == 4].set_index("k")
    # From k = 4 on the published error is above 1 %.
    assert (depth.loc[4:, "verdict"] == "lower").all()
    assert (depth.loc[4:, "z"] < -line["tolerance"]).all()
    back = simulated(published, (errors * 2).clip(0, 0.9), runs, np.random.default_rng(2))
    chosen = back["k"].between(5, 12) & (back["depth"] == 4) & (back["experiment"] != "")
    assert set(back.loc[chosen, "verdict"]) == {"higher"}


def test_one_depth_of_two_seeds_knows_too_little(published):
    """With a single degree of freedom even a third of the error is no proof."""
    runs = [run_of(4, seed) for seed in range(2)]
    errors = published_errors(published, 4)
    table = simulated(published, errors / 3, runs, np.random.default_rng(2))
    assert not (table["verdict"] == "lower").any()
    assert (table.loc[(table["k"] > 3) & (table["experiment"] != ""), "z"] < 0).all()


def test_no_error_of_ours_is_lower_than_many_published(published):
    """Where ours is never wrong, its design effect is that of its other k, not a whole sequence."""
    errors = published_errors(published, 4)
    errors = np.where(errors < 0.1, 0, errors)
    table = simulated(published, errors, [run_of(4)], np.random.default_rng(3), mode="eval")
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
    # With one seed there is no variance either, but then the conditions say so.
    run = run_of(3, origin="released")
    alone = compare(published, [counted([run], wrong[:1])], {run.identifier: run})
    trained = run_of(3)
    other = compare(published, [counted([trained], wrong[:1])], {trained.identifier: trained})
    assert alone["z"].equals(other["z"])


def known(variance, freedom, spread=0.0, count=3):
    return Seeds(np.array([variance]), spread, freedom, count)


def test_no_error_in_both_agrees():
    assert score(0.0, 0.0, (100, 500)) == 0
    assert score(1.0, 1.0, (100, 500), known(0.0, 2, spread=1.0)) == 0
    assert math.isnan(tolerance(0))


def test_score_is_the_two_proportion_test():
    assert score(0.3, 0.2, (100, 100)) == pytest.approx(-math.sqrt(0.01 / (0.25 * 0.75 * 0.02)))
    assert score(0.2, 0.3, (100, 100)) == -score(0.3, 0.2, (100, 100))
    # Seed variance alone, 2 degrees of freedom: t = 4.302653 has a tail of 2.5 %.
    apart = 4.302653 * math.sqrt(1e-4 * (1 + 1 / 3))
    z = score(0.2, 0.2 + apart, (1e12, 1e12), known(1e-4, 2))
    assert z == pytest.approx(1.959964, abs=1e-4)
    # The spread of the logit, where it is more: p (1 - p) = 1/4 of it at p = 1/2.
    z = score(0.5, 0.5 + 1e-3, (1e12, 1e12), known(0.0, math.inf, spread=1e-4, count=1))
    assert z == pytest.approx(1e-3 / math.sqrt(2e-4 / 16), rel=1e-3)


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
    assert effects == pytest.approx(expected, rel=0.1)
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


def test_seed_variance_is_without_the_luck_of_sampling():
    """Equal trainings have none on average; the luck of each seed is taken off."""
    random = np.random.default_rng(8)
    symbols = np.repeat(ANSWERS[:, None], 100, axis=1).astype(float)
    trainings = np.clip(random.normal(0.3, 0.04, (400, 1)), 0, 1) + np.zeros((400, 17))
    wrong = answer(random, trainings, 100, 0.1).astype(float)
    seen = (wrong.sum(2) / symbols.sum(1)).var(0, ddof=1)
    assert seen.mean() > 1.15 * 0.04**2
    (seeds,) = seed_variances([(wrong, symbols)])
    assert seeds.own.mean() == pytest.approx(trainings[:, 0].var(ddof=1), rel=0.03)
    assert seeds.spread == pytest.approx(seeds.own.mean() / 0.21**2, rel=0.03)
    assert (seeds.freedom, seeds.count) == (399, 400)
    (equal,) = seed_variances([(answer(random, np.full((400, 17), 0.3), 100) * 1.0, symbols)])
    assert equal.own.mean() < 0.1 * 0.04**2
    assert seed_variances([]) == []


def test_settings_share_the_spread_of_their_seeds():
    random = np.random.default_rng(9)
    symbols = np.repeat(ANSWERS[:, None], 400, axis=1).astype(float)
    groups = []
    for _ in range(60):
        shifts = random.normal(0, 0.3, (3, 1))
        errors = 1 / (1 + np.exp(-(shifts + random.normal(0, 2, 17))))
        groups.append((answer(random, errors, 400).astype(float), symbols))
    seeds = seed_variances(groups)
    assert {s.freedom for s in seeds} == {120}
    assert seeds[0].spread == pytest.approx(0.09, rel=0.25)


def test_the_tables_are_read_back_and_the_command_writes_them(published, tmp_path, root):
    run = run_of(2)
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
    rows = [f"train,{k},{s},{int(part.wrong[0, k, s])},{ANSWERS[k]}" for k in KS for s in range(20)]
    (folder / "evaluation.csv").write_text("\n".join(["mode,k,sequence,wrong,symbols", *rows]))
    StudySummary("mine", {"infinite": "All"}, (), {"infinite": [run]}).write(
        tmp_path / "study.json"
    )
    app = Typer()
    app.callback()(lambda: None)
    command.register(app)
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
    runs = {run.identifier: run for run in (run_of(2), run_of(3), run_of(2, samples=1000))}
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
    assert marks == (data["verdict"] != "agrees").sum() > 0
    nothing = table[table["verdict"] == "not measured"]
    with pytest.raises(UserError, match="nothing to draw"):
        figure.prepare({"comparison": nothing}, shown)
