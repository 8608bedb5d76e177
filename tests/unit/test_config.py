"""The configuration: generated documents in step, and clear errors."""

import copy
import json
import re

import pytest
import yaml
from pydantic import ValidationError

from logdepth import models, recipes, tasks
from logdepth.canonical import canonical_json
from logdepth.config.documents import default_text, schema_text
from logdepth.config.former import former_words
from logdepth.config.study import Study, load_study, read_study
from logdepth.errors import ConfigError, UserError
from logdepth.models.softmax import Softmax
from logdepth.recipes.muon import MuonRecipe
from logdepth.settings import changed as settings_changed

BASE = {
    "study": "tiny",
    "title": "A study",
    "task": {"name": "hop", "context": 20, "alphabet": 4, "max_k": 8},
    "experiments": {
        "fast": {
            "title": "fast",
            "model": {"form": "softmax", "heads": 2, "width": 32},
            "training": {"recipe": "muon", "steps": 200},
            "depths": [1, 2],
        }
    },
}


def changed(path: str, value):
    config = copy.deepcopy(BASE)
    *parents, key = path.split(".")
    place = config
    for parent in parents:
        place = place.setdefault(parent, {})
    place[key] = value
    return config


def test_schema_and_default_are_in_step(root):
    hint = "run: make config"
    assert (root / "config/schema.json").read_text() == schema_text(), hint
    assert (root / "config/default.yaml").read_text() == default_text(), hint


def test_the_default_is_a_study():
    study = read_study(yaml.safe_load(default_text()), "default.yaml")
    assert study == Study.model_validate(yaml.safe_load(default_text()))
    assert len(study.trained_runs()) == 27
    assert len(study.compiled_runs()) == 5


def test_the_schema_has_every_member_of_every_family():
    known = json.loads(schema_text())["$defs"]
    for family in (tasks, models, recipes):
        for name in family.names():
            properties = known[family.settings(name).__name__]["properties"]
            # The depth of a model comes from its experiment.
            assert "depth" not in properties
            assert all("description" in setting for setting in properties.values()), name


def test_every_study_in_config_is_valid(root):
    names = [path.stem for path in (root / "config").glob("*.yaml")]
    assert {"laptop", "smoke"} <= set(names)
    for name in names:
        assert load_study(root / f"config/{name}.yaml").study == name


def test_the_laptop_study_is_the_one_the_readme_describes(root):
    study = load_study(root / "config/laptop.yaml")
    depths = {name: list(e.depths) for name, e in study.experiments.items()}
    assert depths == {"attention_only": [1, 2, 3, 4], "with_mlp": [1, 2, 3, 4, 5]}
    assert len(study.seeds) == 3
    assert len(study.trained_runs()) == 27


FORMS = ", ".join(f"'{name}'" for name in models.names())
BAD = [
    (
        "experiments.fast.model.widht",
        32,
        (
            r"t\.yaml: experiments\.fast\.model: unknown key 'widht', did you mean 'width'\? "
            r"\(allowed: form, depth, width"
        ),
    ),
    ("sedes", [0], r"t\.yaml: unknown key 'sedes', did you mean 'seeds'\?"),
    (
        "experiments.fast.training.steps",
        "many",
        (r"t\.yaml: experiments\.fast\.training\.steps: input should be a valid integer.*'many'"),
    ),
    (
        "experiments.fast.depths",
        [0, 1],
        (r"t\.yaml: experiments\.fast\.depths\.0: .*greater than or equal to 1, not 0"),
    ),
    ("task.alphabet", 1, r"t\.yaml: task\.alphabet: .*greater than or equal to 2, not 1"),
    (
        "evaluation.k",
        [1, 9],
        (
            r"t\.yaml: evaluation\.k has 9, but experiments\.fast has the task hop with k from "
            r"0 to 8"
        ),
    ),
    ("evaluation.k", [-1], r"t\.yaml: evaluation\.k\.0: .*greater than or equal to 0, not -1"),
    (
        "task.name",
        "jump",
        r"t\.yaml: task\.name: .*'jump'",
    ),
    (
        "experiments.fast.model.heads",
        3,
        (
            r"t\.yaml: experiments\.fast\.model: heads is 3, which does not divide width 32; "
            r"expected one of 1, 2, 4, 8, 16, 32"
        ),
    ),
    (
        "experiments.fast.model.form",
        "slow",
        (rf"t\.yaml: experiments\.fast\.model\.form: is 'slow', expected one of {FORMS}$"),
    ),
    (
        "experiments.fast.model",
        {"heads": 2},
        (rf"t\.yaml: experiments\.fast\.model\.form: is missing, expected one of {FORMS}$"),
    ),
    (
        "experiments.fast.training",
        {"steps": 2},
        (r"t\.yaml: experiments\.fast\.training\.recipe: is missing, expected one of 'compiled'"),
    ),
    (
        "experiments.fast.model.depth",
        3,
        (r"t\.yaml: experiments\.fast: model\.depth is set by depths"),
    ),
    (
        "experiments.fast.at_depth",
        {3: {}},
        (r"t\.yaml: experiments\.fast: at_depth names depth 3, which is not among depths"),
    ),
    (
        "experiments.fast.at_depth",
        {2: {"training.step": 9}},
        (r"t\.yaml: experiments\.fast\.at_depth\.2: no setting 'training\.step'"),
    ),
    (
        "experiments.fast.at_depth",
        {2: {"training.steps": 50}},
        (r"t\.yaml: experiments\.fast at depth 2: training: warmup is 100, but must be below"),
    ),
    ("experiments.fast.training.warmup", 200, r"warmup is 200, but must be below steps"),
    ("seeds", [0, 0], r"t\.yaml: seeds names a seed twice"),
    ("experiments.fast.seeds", [1, 1], r"t\.yaml: experiments\.fast: seeds names a seed twice"),
    (
        "experiments.fast.select",
        {"seeds": [0]},
        r"t\.yaml: experiments\.fast: select: nothing to choose from; expected a sweep",
    ),
    ("study", "my study", r"t\.yaml: study: .*pattern.*'my study'"),
    ("evaluation.modes", ["maybe"], r"t\.yaml: evaluation\.modes\.0: .*'eval' or 'train'.*'maybe'"),
    ("evaluation.modes", [], r"t\.yaml: evaluation\.modes: .*at least 1 item"),
    ("experiments.fast.sweep", {"model.depth": [3]}, r"fast\.sweep: no setting 'model\.depth'"),
    ("experiments", {}, r"t\.yaml: experiments: .*at least 1 item"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_a_mistake_is_one_line_with_file_and_key(path, value, message):
    with pytest.raises(ConfigError) as caught:
        read_study(changed(path, value), "t.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0]), lines[0]


def test_more_tokens_than_gpt2_has():
    config = changed("task.max_k", 24)
    config["experiments"]["fast"]["model"] = {"form": "gpt2"}
    config["experiments"]["fast"]["training"] = {"recipe": "paper"}
    message = (
        "the task has 31 tokens, but the form gpt2 has 30; expected a smaller task .*max_k is 24"
    )
    with pytest.raises(ConfigError, match=rf"experiments\.fast at depth 1: {message}"):
        read_study(config, "t.yaml")
    config["task"]["max_k"] = 23
    assert read_study(config, "t.yaml").task.vocabulary == 30


def test_a_missing_key_is_named():
    config = copy.deepcopy(BASE)
    del config["task"]
    with pytest.raises(ConfigError, match=r"^t\.yaml: task: this key is required$"):
        read_study(config, "t.yaml")


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"list\.yaml: expected 'key: value' lines"):
        load_study(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: not YAML"):
        load_study(tmp_path / "bad.yaml")


def test_further_files_and_options_change_a_study_key_by_key(root, tmp_path):
    laptop = root / "config/laptop.yaml"
    (tmp_path / "more.yaml").write_text("title: More\ntask: {max_k: 4}\n")
    study = load_study(laptop, tmp_path / "more.yaml", options=["seeds=[5]"])
    assert (study.title, study.task.max_k, study.seeds) == ("More", 4, (5,))
    assert study.task.context == load_study(laptop).task.context
    with pytest.raises(ConfigError, match=r"laptop\.yaml, .*more\.yaml: seeds: "):
        load_study(laptop, tmp_path / "more.yaml", options=["seeds=x"])
    # As in a file of YAML 1.2: no is a word, and a key without a value is taken away.
    theory = root / "config/theory.yaml"
    assert load_study(theory, options=["title=no", "theory="]).title == "no"
    assert load_study(theory).theory
    assert load_study(theory, options=["theory=null"]).theory is None
    with pytest.raises(ConfigError, match=r"^--config seeds: not YAML: "):
        load_study(laptop, options=["seeds=[1"])


UNREADABLE = {
    "latin": ("title: Für\n".encode("latin-1"), r"invalid .* at byte 8; expected UTF-8"),
    "utf16": ("title: x\n".encode("utf-16"), r"invalid .* at byte 0; expected UTF-8"),
    "tab": (b"task:\n\tname: hop\n", r"not YAML: .*'\\t' that cannot start any token"),
    "twice": (b"study: a\nstudy: b\n", r"not YAML: .*duplicate key"),
    "two": (b"study: a\n---\nstudy: b\n", r"not YAML: expected a single document"),
    "within": (b"a: &a [*a]\n", r"nested more than 50 deep"),
    "deep": (b"a: " + 3000 * b"[" + 3000 * b"]", r"nested more than 50 deep"),
    "zero": (b"study: a\0b\n", r"not YAML: .*special characters"),
    "object": (b"study: !!python/name:os.system x\n", r"not YAML: .*constructor for the tag"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_cannot_be_read_is_named_in_one_line(tmp_path, name):
    content, message = UNREADABLE[name]
    (tmp_path / f"{name}.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^\S+/{name}\.yaml: {message}") as caught:
        load_study(tmp_path / f"{name}.yaml")
    assert len(str(caught.value).splitlines()) == 1


def test_marks_and_line_ends_of_other_systems_are_read(root, tmp_path):
    text = (root / "config/smoke.yaml").read_text()
    for name, content in {
        "mark": b"\xef\xbb\xbf" + text.encode(),
        "ends": text.replace("\n", "\r\n").encode(),
    }.items():
        (tmp_path / f"{name}.yaml").write_bytes(content)
        assert load_study(tmp_path / f"{name}.yaml") == load_study(root / "config/smoke.yaml")


@pytest.mark.parametrize(
    ("title", "message"),
    [
        ("", "expected one line of text"),
        ("two\nlines", "expected one line of text"),
        ("costs $5", "expected \\$ in pairs"),
        (r"$\nothing$", "mathematics cannot be drawn: .*nothing"),
        ("$a_$", "mathematics cannot be drawn"),
        ("深い", "figures have no sign for '深'"),
    ],
)
def test_a_title_that_figures_cannot_show_is_refused(title, message):
    with pytest.raises(ConfigError, match=rf"^t\.yaml: experiments\.fast\.title: is .*{message}"):
        read_study(changed("experiments.fast.title", title), "t.yaml")


@pytest.mark.parametrize(
    "title", ["{braces} {wildcards.run}", r"costs \$5", "Größe ≤ $2^{10}$", "100 % [/b] <i> 'q\""]
)
def test_any_other_title_is_taken(title):
    study = read_study(changed("experiments.fast.title", title), "t.yaml")
    assert study.experiments["fast"].title == title


# More of them, with studies that extend another and with sweeps: test_sweeps.py.
FORMER = [
    ("alignment.dropout", "on", "alignment.dropout: write mode, with .train. for on"),
    ("figures", {"a": {"draws": "depth_law", "dropout": "on"}}, "figures.a.dropout: write mode"),
    ("beside", [{"dropout": "on"}], "beside.dropout: write mode"),
    (
        "experiments.fast.model.form",
        "paper",
        "experiments.fast.model.form: 'paper' is now called 'gpt2'; write that",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), FORMER)
def test_a_word_of_an_older_file_is_answered_with_the_one_to_write(path, value, message):
    with pytest.raises(ConfigError) as caught:
        read_study(changed(path, value), "t.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert re.match(rf"t\.yaml: {message}", lines[0]), lines[0]


def test_words_of_today_are_not_taken_for_former_ones(root):
    assert former_words(BASE) == []
    # The recipe of the authors has kept its name.
    assert former_words({"experiments": {"fast": {"training": {"recipe": "paper"}}}}) == []
    config = changed("theory", {"max_hops": 4})
    # Nor are names of the user's own.
    fast = config["experiments"]["fast"]
    config["experiments"] = dict.fromkeys(("fast", "hops", "dropout"), fast)
    assert read_study(config, "t.yaml").theory.max_hops == 4


def test_a_study_that_cannot_be_extended_is_named(tmp_path):
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    (tmp_path / "second.yaml").write_text("extends: base\nstudy: second\n")
    (tmp_path / "third.yaml").write_text("extends: second\nstudy: third\n")
    assert load_study(tmp_path / "second.yaml").study == "second"
    with pytest.raises(ConfigError, match=r"third\.yaml: extends: .*second\.yaml extends another"):
        load_study(tmp_path / "third.yaml")
    for name in ("none", 3):
        (tmp_path / "third.yaml").write_text(f"extends: {name}\nstudy: third\n")
        message = rf"third\.yaml: extends: no study '{name}'; expected one of base, second, third"
        with pytest.raises(ConfigError, match=message):
            load_study(tmp_path / "third.yaml")


SELECTING = changed("experiments.fast.sweep", {"model.width": [32, 64]})
SELECTING["experiments"]["fast"]["select"] = {"steps": 150, "seeds": [7]}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("select.steps", 100, "select: warmup is 100, but must be below steps, which is 100"),
        ("select.seeds", [1, 1], "select.seeds names a seed twice"),
        ("training", {"recipe": "compiled"}, "select: expected models that are trained"),
        ("imported", True, "select: expected models that are trained"),
        ("sweep", {"training.steps": [100]}, "sweep: training: warmup is 100"),
    ],
)
def test_a_selection_that_cannot_be_made_is_refused(key, value, message):
    config = copy.deepcopy(SELECTING)
    *parents, last = f"experiments.fast.{key}".split(".")
    place = config
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(ConfigError) as caught:
        read_study(config, "t.yaml")
    (line,) = str(caught.value).splitlines()
    assert re.match(rf"t\.yaml: experiments\.fast[.:] ?{message}", line), line


def test_an_experiment_may_have_seeds_of_its_own():
    config = changed("experiments.fast.seeds", [5, 3])
    config["experiments"]["usual"] = BASE["experiments"]["fast"]
    study = read_study(config, "t.yaml")
    assert [run.seed for run in study.runs("fast")] == [5, 3, 5, 3]
    assert [run.seed for run in study.runs("usual")] == [0, 1, 2, 0, 1, 2]


def test_an_experiment_may_have_a_task_of_its_own():
    config = changed("experiments.fast.task", {"name": "hop", "max_k": 2, "context": 9})
    config["experiments"]["usual"] = BASE["experiments"]["fast"]
    study = read_study(config, "t.yaml")
    assert {run.task.max_k for run in study.runs("fast")} == {2}
    assert {run.task.max_k for run in study.runs("usual")} == {8}
    assert len(study.trained_runs()) == 12
    config["evaluation"] = {"k": [0, 3]}
    with pytest.raises(
        ConfigError, match=r"evaluation\.k has 3, but experiments\.fast has the task"
    ):
        read_study(config, "t.yaml")
    # A sweep may go over its settings; an experiment that leaves the task to the study has none.
    swept = changed("experiments.fast.task", {"name": "hop", "max_k": 2, "context": 9})
    swept["experiments"]["fast"]["sweep"] = {"task.context": [9, 12]}
    study = read_study(swept, "t.yaml")
    assert [study.task_of(variant).context for variant in study.variants.values()] == [9, 12]


def test_a_name_that_no_member_of_a_family_has():
    for family, key in ((tasks, "task.name"), (models, "model.form"), (recipes, "training.recipe")):
        known = ", ".join(family.names())
        with pytest.raises(UserError, match=f"^{key} 'nothing': expected {known}$"):
            family.settings("nothing")
        assert family.names() == tuple(sorted(family.names()))


def test_other_values_of_settings_are_checked_as_those_of_a_file():
    recipe = settings_changed(MuonRecipe(), {"steps": 300})
    assert (type(recipe), recipe.steps, recipe.batch) == (MuonRecipe, 300, MuonRecipe().batch)
    for kind, values in ((MuonRecipe, {"steps": 20}), (Softmax, {"heads": 3}), (Softmax, {"x": 1})):
        with pytest.raises(ValidationError):
            settings_changed(kind(), values)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.steps = 5


def test_runs_are_named_by_their_definition():
    study = read_study(BASE, "t.yaml")
    again = read_study(
        yaml.safe_load(canonical_json(study.model_dump(mode="json")).replace('"depth":1,', "")),
        "t.yaml",
    )
    assert list(study.trained_runs()) == list(again.trained_runs())
    names = set(study.trained_runs())
    assert len(names) == 6
    assert all(
        re.fullmatch(r"hop-softmax-L[12]-H2-m32-seed[012]-[0-9a-f]{8}", name) for name in names
    )
    for path, value in {
        "task.alphabet": 5,
        "experiments.fast.model.init_std": 0.2,
        "experiments.fast.training.batch": 32,
    }.items():
        assert not names & set(read_study(changed(path, value), "t.yaml").trained_runs())
    # What does not define a model does not rename it.
    assert names == set(read_study(changed("fit.thresholds", [0.2]), "t.yaml").trained_runs())
    assert names == set(read_study(changed("title", "Other"), "t.yaml").trained_runs())


def test_a_change_for_one_depth():
    config = changed("experiments.fast.at_depth", {2: {"training.steps": 300}})
    steps = {run.model.depth: run.training.steps for run in read_study(config, "t").runs("fast")}
    assert steps == {1: 200, 2: 300}
