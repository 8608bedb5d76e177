"""Strings longer than those of training."""

import pandas as pd
import pytest
import torch

from logdepth.config.run import Run, longer
from logdepth.config.study import Study
from logdepth.errors import ConfigError
from logdepth.evaluation.counts import counts_of, errors_by_depth
from logdepth.evaluation.error_rates import count_errors, evaluation_set
from logdepth.evaluation.lengths import length_table
from logdepth.figures import error_by_length as figure
from logdepth.figures.style import Shown
from logdepth.models import MODELS
from logdepth.resolved import resolve
from logdepth.tasks.cycles import Cycles
from logdepth.tasks.hop import Hop

TASK = {"name": "hop", "context": 12, "alphabet": 4, "max_k": 2}
RUN = {
    "task": TASK,
    "model": {"form": "softmax", "positions": "none", "depth": 2, "heads": 2, "width": 16},
    "training": {"recipe": "muon", "steps": 9, "batch": 2, "warmup": 1},
    "seed": 0,
}
FORMS = [name for name in MODELS.names() if "positions" in MODELS.settings(name).model_fields]


def built(run):
    return run.model.build(run.task, torch.Generator().manual_seed(run.seed)).eval()


@pytest.mark.parametrize("form", FORMS)
def test_a_model_without_positions_reads_any_length(form):
    """And says of a string what it says of the start of a longer one."""
    model = MODELS.settings(form)(depth=2, positions="none").build(
        Hop(**TASK), torch.Generator().manual_seed(0)
    )
    assert not any("positions" in name for name, _ in model.named_parameters())
    tokens = torch.randint(4, (2, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(
            model.eval()(tokens)[:, :12], model(tokens[:, :12]), rtol=1e-4, atol=1e-5
        )


def test_at_the_length_of_training_the_errors_are_those_of_the_evaluation():
    runs = [Run.model_validate(RUN | {"seed": seed}) for seed in (0, 1)]
    table = length_table({"any": runs}, built, [1, 4], None, 8, seed=3)
    data = evaluation_set(runs[0].task, tuple(runs[0].task.ks), 8, seed=3)
    tables = [count_errors(built(run), data, mode="eval") for run in runs]
    same = errors_by_depth([counts_of("any", "eval", runs, tables, runs[0].task)])
    pd.testing.assert_frame_equal(table[table["context"] == 12].drop(columns="context"), same)
    long = table[table["context"] == 48]
    assert (long["sequences"] == 2).all()
    # k = 0 is answered everywhere: 11 symbols of 8 sequences, 47 of 2.
    assert list(table[table["k"] == 0]["symbols"]) == [88, 94]
    shown = figure.prepare({"lengths": table}, Shown({"any": "Any"}))
    labels = [text.get_text() for text in figure.draw(shown).legends[0].get_texts()]
    assert labels == ["best guess", "$N=12$", "$N=48$"]


def test_longer_strings_have_the_same_tokens():
    assert longer(Hop(**TASK), 4) == Hop(**TASK | {"context": 48})
    with pytest.raises(ValueError, match="other tokens"):
        longer(Cycles(), 2)


@pytest.mark.parametrize(
    ("task", "model", "said"),
    [
        (TASK, {"positions": "learned"}, "expected model.positions: none"),
        ({"name": "cycles"}, {"positions": "none"}, "longer strings have other tokens"),
    ],
)
def test_what_cannot_be_asked_on_longer_strings_is_refused(task, model, said):
    study = Study.model_validate(
        {
            "study": "mine",
            "title": "Mine",
            "task": task,
            "experiments": {
                "any": {
                    "title": "Any",
                    "model": {"form": "softmax"} | model,
                    "training": RUN["training"],
                    "depths": [1],
                }
            },
            "figures": {"lengths": {"draws": "error_by_length"}},
        }
    )
    with pytest.raises(ConfigError, match=said):
        resolve(study)
