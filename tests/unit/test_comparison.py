"""The published errors beside ours: which are compared, how, and what the verdicts are worth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from logdepth.cli import compare as command
from logdepth.config.run import Run
from logdepth.errors import UserError
from logdepth.evaluation.comparison import compare, read_published, summary
from logdepth.evaluation.counts import Counts
from logdepth.evaluation.intervals import effective_answers, wilson_interval
from logdepth.evaluation.score import Seeds, design_effects, score, seed_variances, tolerance
from logdepth.figures import comparison as figure
from logdepth.tables import read_table, write_table

HOPS = np.arange(17)
ANSWERS = 97 - 3 * HOPS
TASK = {"context": 99, "alphabet": 4, "max_hops": 16}


@pytest.fixture(scope="module")
def published(root):
    return read_published(root / "config" / "published_errors.csv")


def run_of(depth, seed=0, form="paper", origin="trained", **training):
    model = {"form": form, "depth": depth, "heads": 4, "width": 128}
    training = {"recipe": form} | training
    content = {"task": TASK, "model": model, "training": training, "seed": seed, "origin": origin}
    return Run.model_validate(content)


def counted(runs, wrong, dropout="on", name="infinite"):
    """Counts of an experiment from (R, K, S) wrong answers."""
    return Counts(
        experiment=name,
        dropout=dropout,
        runs=[run.identifier for run in runs],
        depths=np.array([run.model.depth for run in runs]),
        seeds=np.array([run.seed for run in runs]),
        alphabet=4,
        hops=HOPS,
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
    errors = np.broadcast_to(errors, (len(runs), len(HOPS)))
    part = counted(runs, answer(random, errors), **settings)
    return compare(published, [part], {run.identifier: run for run in runs})


def test_the_published_table_is_whole(published):
    assert len(published) == 425
    assert published["error"].between(0, 1).all()
    settings = published.groupby(["depth", "heads", "width", "train_samples"])["hops"]
    assert settings.agg(list).map(lambda hops: sorted(hops) == list(range(17))).all()
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
        read_published(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_each_published_cell_has_its_rows(published):
    random = np.random.default_rng(0)
    runs = {run.identifier: run for run in (run_of(2), run_of(2, form="fast"), run_of(3))}
    first, second, third = runs.values()
    errors = published_errors(published, 2)[None]
    parts = [
        counted([first], answer(random, errors), "on", "a"),
        counted([first], answer(random, errors), "off", "a"),
        counted([second], answer(random, errors), "off", "b"),
        counted([third], answer(random, errors), "on", "c"),
    ]
    table = compare(published, parts, runs)
    # T_{4,2}: a is measured both ways and b adds its own rows with dropout off.
    assert len(table) == 2 * 425 + 17
    rows = table.groupby("dropout")["verdict"].agg(lambda v: (v != "not measured").sum())
    assert rows.to_dict() == {"on": 34, "off": 34}
    cells = table.drop_duplicates(["depth", "heads", "width", "train_samples", "hops", "dropout"])
    assert len(cells) == 850
    nobody = table[table["verdict"] == "not measured"]
    assert (nobody["experiment"] == "").all()
    assert (nobody["seeds"] == 0).all()
    assert nobody[["ours", "z"]].isna().all(axis=None)
    assert (nobody["published_low"] <= nobody["published"] + 1e-12).all()
    # A set without some k, or with a k that has no answers, leaves those cells unmeasured.
    fewer = replace(
        parts[0], hops=HOPS[:9], wrong=parts[0].wrong[:, :9], symbols=parts[0].symbols[:9]
    )
    fewer.symbols[3] = 0
    table = compare(published, [fewer], runs)
    assert len(table) == 425
    measured = table.loc[table["verdict"] != "not measured", "hops"]
    assert measured.tolist() == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "run",
    [
        run_of(7),
        run_of(2, samples=2000),
        Run.model_validate(run_of(2).model_dump() | {"task": TASK | {"context": 98}}),
        Run.model_validate(run_of(2).model_dump() | {"task": TASK | {"max_hops": 17}}),
        Run.model_validate(run_of(2).model_dump() | {"task": TASK | {"alphabet": 5}}),
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
    ("run", "dropout", "seeds", "conditions"),
    [
        (run_of(4), "on", 2, "same"),
        (run_of(4), "on", 1, "same; seed variance unknown"),
        (run_of(4, origin="released"), "on", 1, "same"),
        (run_of(4, origin="released"), "off", 1, "dropout off"),
        (run_of(4, form="fast"), "on", 2, "our recipe and model"),
        (run_of(4, form="fast"), "off", 2, "our recipe and model; dropout off"),
        (run_of(4, recipe="fast"), "on", 2, "our recipe"),
        (run_of(4, steps=5000), "on", 2, "steps 5000 (theirs 100001)"),
        (run_of(4, stop_after=500), "off", 2, "stop_after 500 (theirs None); dropout off"),
        # Two of the published models stand half-way through a longer schedule.
        (run_of(6, steps=200_001, stop_after=100_001), "on", 2, "same"),
        (run_of(6, samples=3000, steps=200_001, stop_after=100_001), "on", 2, "same"),
        (run_of(6, samples=1000), "on", 2, "same"),
        (run_of(6), "on", 2, "steps 100001 (theirs 200001); stop_after None (theirs 100001)"),
    ],
)
def test_conditions_say_what_differs(run, dropout, seeds, conditions, published):
    runs = [run.model_copy(update={"seed": seed}) for seed in range(seeds)]
    table = simulated(published, 0.3, runs, np.random.default_rng(0), dropout=dropout)
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
    depth = found[found["depth"] == 4].set_index("hops")
    # From k = 4 on the published error is above 1 %.
    assert (depth.loc[4:, "verdict"] == "lower").all()
    assert (depth.loc[4:, "z"] < -line["tolerance"]).all()
    back = simulated(published, (errors * 2).clip(0, 0.9), runs, np.random.default_rng(2))
    chosen = back["hops"].between(5, 12) & (back["depth"] == 4) & (back["experiment"] != "")
    assert set(back.loc[chosen, "verdict"]) == {"higher"}


def test_one_depth_of_two_seeds_knows_too_little(published):
    """With a single degree of freedom even a third of the error is no proof."""
    runs = [run_of(4, seed) for seed in range(2)]
    errors = published_errors(published, 4)
    table = simulated(published, errors / 3, runs, np.random.default_rng(2))
    assert not (table["verdict"] == "lower").any()
    assert (table.loc[(table["hops"] > 3) & (table["experiment"] != ""), "z"] < 0).all()


def test_no_error_of_ours_is_lower_than_many_published(published):
    """Where ours is never wrong, its design effect is that of its other k, not a whole sequence."""
    errors = published_errors(published, 4)
    errors = np.where(errors < 0.1, 0, errors)
    table = simulated(published, errors, [run_of(4)], np.random.default_rng(3), dropout="off")
    found = table[table["verdict"] != "not measured"].set_index("hops")
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
        result[origin] = table[table["verdict"] != "not measured"].set_index("hops")["z"].abs()
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
    (folder / "run.json").write_text(run.model_dump_json())
    rows = [f"on,{k},{s},{int(part.wrong[0, k, s])},{ANSWERS[k]}" for k in HOPS for s in range(20)]
    (folder / "evaluation.csv").write_text(
        "\n".join(["dropout,hops,sequence,wrong,symbols", *rows])
    )
    app = Typer()
    app.callback()(lambda: None)
    command.register(app)
    arguments = ["compare", "--runs", str(tmp_path / "runs"), "--output", str(tmp_path / "tables")]
    arguments += ["--experiment", f"infinite={run.identifier}"]
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
    assert all(f in record.read_text() for f in ("published_errors.csv", "run.json", "summary.csv"))


def test_the_figure_shows_what_was_compared(published):
    random = np.random.default_rng(10)
    runs = {run.identifier: run for run in (run_of(2), run_of(3), run_of(2, samples=1000))}
    first, second, third = runs.values()
    half = np.full((2, 17), 0.3)
    parts = [
        counted([first, second], answer(random, half), "on", "infinite"),
        counted([first, second], answer(random, half), "off", "infinite"),
        counted([third], answer(random, half[:1]), "on", "few"),
        counted([run_of(7)], answer(random, half[:1]), "on", "deep"),
    ]
    table = compare(published, parts, runs | {run_of(7).identifier: run_of(7)})
    titles = {"infinite": "All", "few": "Few", "deep": "Deep"}
    data = figure.prepare({"comparison": table}, titles)
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
        figure.prepare({"comparison": nothing}, titles)
