"""Studies that sweep settings, choose among them, extend another, or were written long ago."""

import json

import pytest

from command_line import error, logdepth_here
from logdepth.config.study import load_study, read_study
from logdepth.errors import ConfigError
from logdepth.resolved import read_summary, resolve, resolve_in

STUDY = {
    "study": "rates",
    "title": "Rates",
    "task": {"name": "hop", "context": 10, "alphabet": 4, "max_k": 2},
    "seeds": [0, 1],
    "experiments": {
        "deep": {
            "title": "deep",
            "model": {"form": "softmax", "heads": 2, "width": 16},
            "training": {"recipe": "muon", "steps": 40, "warmup": 2},
            "depths": [1, 2],
        }
    },
    "figures": {"error_by_k": {"draws": "error_by_k", "experiments": ["deep"]}},
}
SWEEP = {"model.width": [16, 32], "training.muon_rate": [0.01, 0.02]}


def study(**changes):
    content = json.loads(json.dumps(STUDY))
    content["experiments"]["deep"] |= changes
    return read_study(content, "rates.yaml")


def test_a_sweep_is_an_experiment_for_each_combination():
    swept = study(sweep=SWEEP)
    assert list(swept.variants) == [
        f"deep_width{width}_muon_rate0_{rate}" for width in (16, 32) for rate in ("01", "02")
    ]
    variant = swept.variants["deep_width32_muon_rate0_01"]
    assert (variant.model.width, variant.training.muon_rate) == (32, 0.01)
    assert variant.title == "deep (width 32, muon_rate 0.01)"
    assert len(swept.trained_runs()) == 4 * 2 * 2
    # A figure that names the experiment shows all of it.
    (figure,) = resolve(swept).figures.values()
    assert list(figure.experiments) == list(swept.variants)
    # One that names a combination shows that one.
    one = "deep_width32_muon_rate0_01"
    content = STUDY | {"figures": {"error_by_k": {"draws": "error_by_k", "experiments": [one]}}}
    content["experiments"] = {"deep": STUDY["experiments"]["deep"] | {"sweep": SWEEP}}
    (figure,) = resolve(read_study(content, "rates.yaml")).figures.values()
    assert figure.experiments == (one,)


def test_an_experiment_may_have_a_task_of_its_own():
    other = study(task={"name": "hop", "context": 12, "alphabet": 4, "max_k": 2})
    assert {run.task.context for run in other.trained_runs().values()} == {12}
    assert len(resolve(other).tasks) == 1


def test_a_sweep_reaches_the_task_also_where_it_is_the_studys():
    swept = study(sweep={"task.alphabet": [3, 5]})
    assert list(swept.variants) == ["deep_alphabet3", "deep_alphabet5"]
    alphabets = {swept.task_of(variant).alphabet for variant in swept.variants.values()}
    assert alphabets == {3, 5}
    assert len(resolve(swept).tasks) == 2


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({"model.hight": [1]}, "experiments.deep.sweep: no setting 'model.hight'"),
        ({"model.width": []}, "sweep.model.width: expected at least one value"),
        ({"model.heads": [3]}, "heads is 3, which does not divide width"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(sweep, message):
    with pytest.raises(ConfigError, match=message):
        study(sweep=sweep)


def test_trials_are_cut_short_and_nothing_else_is_trained_before_the_choice(tmp_path):
    chosen = study(sweep=SWEEP, select={"steps": 10, "seeds": [7]})
    resolved = resolve_in(chosen, tmp_path)
    assert resolved.undecided == ["deep"]
    assert resolved.runs == {}
    assert resolved.figures == {}
    trials = resolved.trial_runs.values()
    assert len(trials) == 4 * 2
    assert {(run.training.steps, run.seed) for run in trials} == {(10, 7)}
    # The sequences of trials are neither those of training nor those of evaluation.
    assert resolved.trials["deep"].data_name.endswith("-selection128")


def test_the_trial_of_least_error_is_trained_in_earnest(tmp_path):
    content = study(sweep=SWEEP, select={"steps": 10})
    resolved = resolve_in(content, tmp_path)
    resolved.summary.write(tmp_path / "study.json")
    best = "deep_width32_muon_rate0_01"
    for trial, runs in read_summary(tmp_path / "study.json").trials["deep"].items():
        for run in runs:
            folder = tmp_path / "runs" / run.identifier
            folder.mkdir(parents=True)
            wrong = 1 if trial == best else 3
            # k = 0 is no search, and does not count.
            rows = [f"eval,{k},0,{0 if k else 9},9" for k in (0,)]
            rows += [f"eval,{k},0,{wrong},9" for k in (1, 2)]
            (folder / "trial.csv").write_text("\n".join(["mode,k,sequence,wrong,symbols", *rows]))
    done = logdepth_here(
        *("select", "--experiment", "deep", "--study", tmp_path / "study.json"),
        *("--runs", tmp_path / "runs", "--output", tmp_path / "selection"),
    )
    assert done.stdout == f"deep: {best}, of 4 trials\n"
    decided = resolve_in(content, tmp_path)
    assert decided.undecided == []
    assert list(decided.experiments) == ["deep"]
    assert decided.summary.titles == {"deep": "deep"}
    settings = {(run.model.width, run.training.muon_rate) for run in decided.runs.values()}
    assert settings == {(32, 0.01)}
    assert {(run.training.steps, run.seed) for run in decided.runs.values()} == {(40, 0), (40, 1)}
    # A choice among other trials is none.
    other = study(sweep=SWEEP, select={"steps": 11})
    assert resolve_in(other, tmp_path).undecided == ["deep"]


def test_what_was_chosen_may_be_trained_with_several_settings(tmp_path):
    chosen = study(sweep=SWEEP, select={"steps": 10, "sweep": {"training.steps": [10, 20]}})
    decided = chosen.decided({"deep": "deep_width32_muon_rate0_01"})
    assert list(decided.variants) == ["deep_steps10", "deep_steps20"]
    assert [e.title for e in decided.variants.values()] == ["deep (steps 10)", "deep (steps 20)"]
    runs = decided.trained_runs().values()
    assert {(run.model.width, run.training.steps) for run in runs} == {(32, 10), (32, 20)}
    (figure,) = resolve(decided).figures.values()
    assert figure.experiments == ("deep_steps10", "deep_steps20")
    assert len(chosen.assumed().trained_runs()) == 2 * 2 * 2 + 4 * 2 - 2
    # A figure may name what there will be.
    later = STUDY | {"figures": {"f": {"draws": "error_by_k", "experiments": ["deep_steps20"]}}}
    select = {"steps": 10, "sweep": {"training.steps": [10, 20]}}
    swept = STUDY["experiments"]["deep"] | {"sweep": SWEEP, "select": select}
    content = read_study(later | {"experiments": {"deep": swept}}, "rates.yaml")
    assert resolve_in(content, tmp_path).figures == {}
    (figure,) = resolve(content.decided({"deep": "deep_width16_muon_rate0_01"})).figures.values()
    assert figure.experiments == ("deep_steps20",)
    with pytest.raises(ConfigError, match=r"experiments.deep.sweep: no setting 'training.stesp'"):
        study(sweep=SWEEP, select={"sweep": {"training.stesp": [10]}})


def test_a_plan_counts_every_trial_and_one_choice():
    assumed = study(sweep=SWEEP, select={"steps": 10}).assumed()
    assert len(assumed.variants) == 1 + 4
    assert len(assumed.trained_runs()) == 2 * 2 + 4 * 2


def test_select_is_refused_without_a_sweep_and_for_another_experiment(tmp_path):
    with pytest.raises(ConfigError, match="select: nothing to choose from; expected a sweep"):
        study(select={})
    resolve(study()).summary.write(tmp_path / "study.json")
    done = logdepth_here(
        *("select", "--experiment", "deep", "--study", tmp_path / "study.json"),
        *("--runs", tmp_path, "--output", tmp_path),
    )
    assert "--experiment deep: expected one with 'select'; this study has none" in error(done)


def test_a_study_may_extend_another(tmp_path):
    (tmp_path / "rates.yaml").write_text(json.dumps(STUDY))
    (tmp_path / "more.yaml").write_text(
        "extends: rates\nstudy: more\nexperiments: {deep: {depths: [3]}}\n"
        "figures: {error_by_k: null}\n"
    )
    more = load_study(tmp_path / "more.yaml")
    assert (more.study, more.title, more.figures) == ("more", "Rates", {})
    assert more.experiments["deep"].depths == (3,)
    assert more.experiments["deep"].model.width == 16
    (tmp_path / "more.yaml").write_text("extends: none\n")
    with pytest.raises(ConfigError, match=r"extends: no study 'none'; expected one of more, rates"):
        load_study(tmp_path / "more.yaml")


def test_released_models_are_shown_as_the_papers(root):
    paper, released = (load_study(root / f"config/{name}.yaml") for name in ("paper", "released"))
    assert set(released.experiments) == set(paper.experiments)
    assert released.trained_runs() == {}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"task": {"context": 9, "max_hops": 2}}, "task: write name: hop besides"),
        ({"task": {"name": "hop", "max_hops": 2}}, "task.max_hops: write max_k"),
        ({"evaluation": {"dropout": ["off"]}}, "evaluation.dropout: write modes"),
        ({"evaluation": {"hops": [1]}}, "evaluation.hops: write k"),
        ({"figures": {"a": {"draws": "error_by_hops"}}}, "figures.a.draws: 'error_by_hops' is now"),
        ({"figures": {"a": {"draws": "alignment", "hops": 2}}}, "figures.a.hops: write k"),
        (
            {"experiments": {"a": {"model": {"form": "fast"}}}},
            "experiments.a.model.form: 'fast' is now called 'softmax'; write that",
        ),
        (
            {"experiments": {"a": {"training": {"recipe": "fast"}}}},
            "experiments.a.training.recipe: 'fast' is now called 'muon'; write that",
        ),
    ],
)
def test_words_of_older_files_are_refused_with_what_to_write(changes, line):
    with pytest.raises(ConfigError, match=f"^old.yaml: {line}"):
        read_study(STUDY | changes, "old.yaml")
