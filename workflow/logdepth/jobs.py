"""The jobs of a study: what each is called, what decides its outputs, where its code starts.

Each kind of job is declared once, by a function below. The workflow takes from it the options of
the command and the definition; the command makes the same job from its options and records it. A
definition starts at the science, never at a command.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from logdepth.config.figures import FigureSpec
from logdepth.config.run import Run
from logdepth.config.study import OtherStudy
from logdepth.config.theory import Theory
from logdepth.figures import KINDS
from logdepth.models import MODELS
from logdepth.provenance.job import Job
from logdepth.resolved import ResolvedStudy, StudySummary, identifiers, of_any_length
from logdepth.tasks import TASKS
from logdepth.tasks.base import Task
from logdepth.theory.catalog import CHECKS, OF_MODELS, TABLES

WRITERS = ("logdepth.files",)
STORE = ("logdepth.training.store", *WRITERS)


def data(
    task: Task, k: Sequence[int], sequences: int, seed: int, stream: str = "evaluation"
) -> Job:
    """Freeze the evaluation set of a task, or the one that trials are measured on."""
    return Job(
        "data",
        ("logdepth.evaluation.error_rates", TASKS.module(task), *WRITERS),
        {
            "task": task.model_dump(mode="json"),
            "k": list(k),
            "sequences": sequences,
            "stream": stream,
        },
        {"evaluation set": seed},
    )


def train(run: Run) -> Job:
    """Train a run."""
    modules = ("logdepth.training.loop", *STORE, *run.modules)
    return Job("train", modules, {"run": run.content}, {"run": run.seed}, hidden=("run",))


def compile_(run: Run) -> Job:
    """Write down the weights of a run."""
    modules = ("logdepth.theory.hop_to_weights", *STORE, *run.modules)
    return Job("compile", modules, {"run": run.content})


def import_(run: Run) -> Job:
    """Take over a released model."""
    modules = ("logdepth.released", *STORE, *_task_and_model(run))
    return Job("import", modules, {"run": run.content}, {"run": run.seed})


def evaluate(run: Run, modes: Sequence[str], seed: int) -> Job:
    """Count the wrong answers of a model."""
    modules = ("logdepth.evaluation.error_rates", *STORE, *_task_and_model(run))
    return Job("evaluate", modules, {"mode": list(modes)}, {"dropout": seed})


def select(experiment: str, study: StudySummary) -> Job:
    """Choose the best trial of an experiment."""
    return Job(
        "select",
        ("logdepth.evaluation.selection", *WRITERS),
        {"experiment": experiment, "trials": identifiers(study.trials[experiment])},
    )


def attention(run: Run, sequences: int | None, k: int | None, mode: str, seed: int) -> Job:
    """Compare a model's heads with find^j, or write its attention on one string for one k."""
    modules = ("logdepth.evaluation.attention", *STORE, *_task_and_model(run))
    asked = {"sequences": sequences} if k is None else {"k": k}
    return Job("attention", modules, asked | {"mode": mode}, {"dropout": seed})


def ablation(run: Run, sequences: int, seed: int) -> Job:
    """Count the wrong answers of a model with each head switched off."""
    modules = ("logdepth.evaluation.ablation", *STORE, *_task_and_model(run))
    return Job("ablation", modules, {"sequences": sequences}, {"order of positions": seed})


def tabulate(study: StudySummary) -> Job:
    """Write the tables of errors."""
    return _collect("tabulate", study.experiments, "logdepth.evaluation.counts")


def curves(study: StudySummary) -> Job:
    """Write the table of training curves."""
    return _collect("curves", study.trained, "logdepth.evaluation.training_curves")


def lengths(
    study: StudySummary, times: Sequence[int], k: Sequence[int] | None, sequences: int, seed: int
) -> Job:
    """Count the wrong answers of models without positions on longer strings."""
    modules = {module for run in study.runs.values() for module in _task_and_model(run)}
    return Job(
        "lengths",
        ("logdepth.evaluation.lengths", *STORE, *WRITERS, *sorted(modules)),
        {
            "experiments": identifiers(of_any_length(study, times)),
            "length": list(times),
            "k": list(k or ()),
            "sequences": sequences,
        },
        {"evaluation set": seed},
    )


def describe(study: StudySummary) -> Job:
    """Write the tables of tasks, settings and models."""
    modules = {module for run in study.runs.values() for module in run.modules}
    starts = ("logdepth.evaluation.paper_tables", *sorted(modules))
    return _collect("describe", study.experiments, *starts)


def compare(study: StudySummary) -> Job:
    """Compare with the published errors."""
    return _collect("compare", study.experiments, "logdepth.evaluation.comparison")


def fit(study: StudySummary, threshold: Sequence[float]) -> Job:
    """Fit thresholds and growth laws."""
    return Job(
        "fit",
        ("logdepth.fitting.tables", *WRITERS),
        {"experiments": identifiers(study.experiments), "threshold": list(threshold)},
    )


def depths(study: StudySummary, beside: Sequence[OtherStudy]) -> Job:
    """Put what each depth solves beside other studies."""
    return Job(
        "depths",
        ("logdepth.fitting.depths", *WRITERS),
        {
            "titles": study.titles,
            "compiled": list(study.compiled),
            "beside": [other.model_dump(mode="json") for other in beside],
        },
    )


def theory(table: str, settings: Theory, study: StudySummary | None) -> Job:
    """Run a part of the theory; ``study`` for a table of its models."""
    modules: tuple[str, ...] = (TABLES[table], *WRITERS)
    parameters: dict[str, Any] = {"settings": settings.model_dump(mode="json")}
    if study is not None:
        runs = models_of(study)
        parameters["models"] = list(runs)
        starts = {module for run in runs.values() for module in _task_and_model(run)}
        modules += tuple(sorted(starts))
    return Job("theory", modules, parameters, {"instances": settings.seed}, hidden=("instances",))


def models_of(study: StudySummary | None) -> dict[str, Run]:
    """Return the runs that tables about models are about: those with softmax attention."""
    runs = study.runs if study else {}
    return {name: run for name, run in runs.items() if run.model.has_attention}


def claims(tables: Sequence[str] = CHECKS) -> Job:
    """Put the checks of the theory into one table."""
    return Job("claims", ("logdepth.theory.checks.claims", *WRITERS), {"tables": list(tables)})


def figure(spec: FigureSpec, study: StudySummary) -> Job:
    """Draw a figure."""
    shown: dict[str, Any] = {"titles": study.titles}
    if "reach" in KINDS[spec.draws].uses:
        shown["reach"] = reach(study)
    return Job(
        "figure",
        (f"logdepth.figures.{spec.draws}", "logdepth.figures.selection", "logdepth.figures.style"),
        {"figure": spec.model_dump(mode="json"), **shown},
    )


def reach(study: StudySummary) -> dict[str, dict[int, int]]:
    """Return, by experiment and depth, the largest k that the theory says is solved, if any."""
    return {
        name: {
            run.model.depth: largest
            for run in runs
            if (largest := run.task.reach(run.model.depth)) is not None
        }
        for name, runs in study.experiments.items()
    }


def jobs_of(resolved: ResolvedStudy) -> dict[str, Job]:
    """Return every job that a study may have, by its record: "train/<run>"."""
    study, summary = resolved.study, resolved.summary
    evaluation, alignment = study.evaluation, study.alignment
    found = {
        f"data/{name}": data(task, study.ks(task), evaluation.sequences, evaluation.seed)
        for name, task in resolved.tasks.items()
    }
    found |= {
        "tabulate/tables": tabulate(summary),
        "curves/training": curves(summary),
        "describe/tables": describe(summary),
        "compare/comparison": compare(summary),
        "lengths/lengths": lengths(
            summary,
            evaluation.lengths,
            evaluation.k,
            evaluation.sequences,
            evaluation.seed,
        ),
        "fit/fits": fit(summary, study.fit.thresholds),
        "depths/solved_depths": depths(summary, study.beside),
    }
    for experiment, tried in resolved.trials.items():
        found[f"select/{experiment}"] = select(experiment, summary)
        k = study.ks(tried.task)
        frozen = data(tried.task, k, tried.sequences, evaluation.seed, "selection")
        found[f"data/{tried.data_name}"] = frozen
    for name, run in resolved.trial_runs.items():
        found[f"train/{name}"] = train(run)
        found[f"trial/{name}"] = evaluate(run, ["eval"], evaluation.seed)
    if study.theory is not None:
        for table in TABLES:
            models = summary if table in OF_MODELS else None
            found[f"theory/{table}"] = theory(table, study.theory, models)
        found["claims/claims"] = claims()
    found |= {f"compile/{name}": compile_(run) for name, run in resolved.compiled.items()}
    found |= {f"train/{name}": train(run) for name, run in resolved.trained.items()}
    for name, run in resolved.runs.items():
        found[f"evaluate/{name}"] = evaluate(run, evaluation.modes, evaluation.seed)
        if run.model.has_attention:
            found[f"ablation/{name}"] = ablation(run, alignment.sequences, evaluation.seed)
        if run.task.has_pointers and run.model.has_attention:
            found[f"alignment/{name}"] = attention(
                run, alignment.sequences, None, alignment.mode, evaluation.seed
            )
            for asked in run.task.ks:
                found[f"attention/{name}-k{asked}"] = attention(
                    run, None, asked, alignment.mode, evaluation.seed
                )
    for name, spec in resolved.figures.items():
        found[f"figure/{name}"] = figure(spec, summary)
    return found


def _task_and_model(run: Run) -> tuple[str, str]:
    return TASKS.module(run.task), MODELS.module(run.model)


def _collect(stage: str, experiments: Mapping[str, list[Run]], *modules: str) -> Job:
    return Job(stage, (*modules, *WRITERS), {"experiments": identifiers(experiments)})
