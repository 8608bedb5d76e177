"""The configuration: generated documents in step, and clear errors."""

import copy
import re

import pytest
import yaml

from logdepth.canonical import canonical_json
from logdepth.config.documents import default_text, schema_text
from logdepth.config.study import ConfigError, Study, load_study, read_study

BASE = {
    "study": "tiny",
    "title": "A study",
    "task": {"context": 20, "alphabet": 4, "max_hops": 8},
    "experiments": {
        "fast": {
            "title": "fast",
            "model": {"form": "fast", "heads": 2, "width": 32},
            "training": {"recipe": "fast", "steps": 200},
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
    study = Study.model_validate(yaml.safe_load(default_text()))
    assert len(study.all_runs()) == 27


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
    assert len(study.all_runs()) == 27


BAD = [
    (
        "experiments.fast.model.widht",
        32,
        (
            r"t\.yaml: experiments\.fast\.model: unknown key 'widht', did you mean 'width'\? "
            r"\(allowed: form, depth, heads, width"
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
        "evaluation.hops",
        [1, 9],
        (
            r"t\.yaml: evaluation\.hops has 9, but the hop tokens of the task end at "
            r"task\.max_hops, which is 8"
        ),
    ),
    (
        "experiments.fast.model.heads",
        3,
        (
            r"t\.yaml: experiments\.fast\.model: heads is 3, which does not divide width 32; "
            r"right would be one of 1, 2, 4, 8, 16, 32"
        ),
    ),
    (
        "experiments.fast.model.form",
        "slow",
        (r"t\.yaml: experiments\.fast\.model\.form: should be 'fast' or 'paper'"),
    ),
    (
        "experiments.fast.model",
        {"heads": 2},
        (r"t\.yaml: experiments\.fast\.model\.form: should be 'fast' or 'paper'"),
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
    ("study", "my study", r"t\.yaml: study: .*pattern.*'my study'"),
    ("evaluation.dropout", ["maybe"], r"t\.yaml: evaluation\.dropout\.0: .*'off' or 'on'"),
    ("experiments", {}, r"t\.yaml: experiments: .*at least 1 item"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_a_mistake_is_one_line_with_file_and_key(path, value, message):
    with pytest.raises(ConfigError) as caught:
        read_study(changed(path, value), "t.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0]), lines[0]


def test_more_hops_than_the_papers_model_has_tokens():
    config = changed("task.max_hops", 24)
    config["experiments"]["fast"]["model"] = {"form": "paper"}
    config["experiments"]["fast"]["training"] = {"recipe": "paper"}
    with pytest.raises(ConfigError, match="max_hops may be 23 at most"):
        read_study(config, "t.yaml")


def test_a_missing_key_is_named():
    config = copy.deepcopy(BASE)
    del config["task"]
    with pytest.raises(ConfigError, match=r"^t\.yaml: task: this key is required$"):
        read_study(config, "t.yaml")


def test_files_that_are_no_study(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        load_study(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match=r"list\.yaml: right would be 'key: value' lines"):
        load_study(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml: not YAML"):
        load_study(tmp_path / "bad.yaml")


def test_on_and_off_may_be_written_without_quotes():
    text = yaml.safe_dump(BASE) + "evaluation: {dropout: [off, on]}\n"
    assert read_study(yaml.safe_load(text), "t.yaml").evaluation.dropout == ("off", "on")


def test_runs_are_named_by_their_definition():
    study = read_study(BASE, "t.yaml")
    again = read_study(
        yaml.safe_load(canonical_json(study.model_dump(mode="json")).replace('"depth":1,', "")),
        "t.yaml",
    )
    assert list(study.all_runs()) == list(again.all_runs())
    names = set(study.all_runs())
    assert len(names) == 6
    assert all(re.fullmatch(r"fast-L[12]-H2-m32-seed[012]-[0-9a-f]{8}", name) for name in names)
    for path, value in {
        "task.alphabet": 5,
        "experiments.fast.model.init_std": 0.2,
        "experiments.fast.training.batch": 32,
    }.items():
        assert not names & set(read_study(changed(path, value), "t.yaml").all_runs())
    # What does not define a model does not rename it.
    assert names == set(read_study(changed("fit.bootstrap", 50), "t.yaml").all_runs())
    assert names == set(read_study(changed("title", "Other"), "t.yaml").all_runs())


def test_a_change_for_one_depth():
    config = changed("experiments.fast.at_depth", {2: {"training.steps": 300}})
    steps = {run.model.depth: run.training.steps for run in read_study(config, "t").runs("fast")}
    assert steps == {1: 200, 2: 300}
