"""What decides the outputs of each job of a study: settings, and where its code starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from logdepth.config.contents import Contents
from logdepth.files import sha256_of
from logdepth.provenance.definition import command_module, definition
from logdepth.theory.catalog import CHECKS, JOBS


@dataclass(frozen=True)
class Ingredients:
    """What the definition of a job covers.

    Attributes:
        modules: where its computation starts.
        settings: its slice of the configuration, as plain JSON values.
    """

    modules: tuple[str, ...]
    settings: Any

    def definition(self, image: str | None = None) -> str:
        """Return the hash over all of it, for a job in the image of that sha256 or in none."""
        inside = {"settings": self.settings, "image": image}
        return definition(self.modules, self.settings if image is None else inside)


def ingredients(contents: Contents, published: Path) -> dict[str, Ingredients]:
    """Return what decides each job that a study may have, by its record: "train/<run>".

    Args:
        contents: of the study.
        published: file of the published errors.
    """
    study, experiments = contents.study, contents.experiments
    evaluation, alignment = study.evaluation, study.alignment
    titles = {name: experiment.title for name, experiment in study.experiments.items()}

    def job(stage: str, settings: Any, *modules: str) -> Ingredients:
        return Ingredients((command_module(stage), *modules), settings)

    found = {
        "data/evaluation": job(
            "data",
            {
                "task": study.task.model_dump(),
                "hops": study.evaluated_hops,
                "sequences": evaluation.sequences,
                "seed": evaluation.seed,
            },
        ),
        "tabulate/tables": job("tabulate", experiments),
        "curves/training": job("curves", contents.trained_experiments),
        "describe/tables": job("describe", experiments),
        "compare/comparison": job(
            "compare", {"experiments": experiments, "published": sha256_of(published)}
        ),
        "fit/fits": job("fit", {"experiments": experiments, "fit": study.fit.model_dump()}),
    }
    if study.theory is not None:
        sizes = study.theory.model_dump(mode="json")
        for name, module in JOBS.items():
            found[f"theory/{name}"] = job("theory", sizes, module)
        found["claims/claims"] = job("claims", list(CHECKS))
    if contents.shows_depths:
        found["depths/solved_depths"] = job(
            "depths",
            {
                "titles": titles,
                "beside": [other.model_dump(mode="json") for other in study.beside],
                "published": sha256_of(published),
            },
        )
    for name, run in contents.compiled.items():
        found[f"compile/{name}"] = job("compile", run.model_dump(mode="json"))
    for name, run in contents.trained.items():
        found[f"train/{name}"] = job("train", run.model_dump(mode="json"))
    evaluated = {"dropout": evaluation.dropout, "seed": evaluation.seed}
    aligned = {"alignment": alignment.model_dump(), "seed": evaluation.seed}
    looked_into = {"dropout": alignment.dropout, "seed": evaluation.seed}
    for name in contents.runs:
        found[f"evaluate/{name}"] = job("evaluate", evaluated)
        found[f"alignment/{name}"] = job("attention", aligned)
        for hops in range(study.task.max_hops + 1):
            found[f"attention/{name}-hops{hops}"] = job("attention", looked_into)
    for name, spec in contents.figures.items():
        drawn = {"spec": spec.model_dump(mode="json"), "titles": titles}
        found[f"figure/{name}"] = job("figure", drawn, f"logdepth.figures.{spec.draws}")
    return found
