"""``logdepth tabulate, curves, describe, compare, fit, depths, select``: many runs as tables."""

import math
from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import (
    Folder,
    Output,
    Recorded,
    StudyOption,
    command,
    read_settings,
    run_files,
)


@command
def tabulate(
    study: StudyOption,
    runs: Folder,
    output: Annotated[Path, typer.Option(help="Folder for errors.csv and errors_by_run.csv.")],
    recorded: Recorded,
) -> None:
    """Write the tables of errors."""
    from logdepth import jobs
    from logdepth.evaluation.counts import errors_by_depth, errors_by_run, read_counts
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    inputs = run_files(runs, summary.runs, "evaluation.csv")
    files = [output / f"{name}.csv" for name in ("errors", "errors_by_run")]
    with recorded(jobs.tabulate(summary), inputs=inputs, outputs=files):
        counts = read_counts(runs, summary.experiments)
        write_table("errors", errors_by_depth(counts), files[0])
        write_table("errors_by_run", errors_by_run(counts), files[1])


@command
def curves(study: StudyOption, runs: Folder, output: Output, recorded: Recorded) -> None:
    """Write the table of training curves."""
    from logdepth import jobs
    from logdepth.evaluation.training_curves import training_table
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    trained = {run.identifier: run for some in summary.trained.values() for run in some}
    inputs = run_files(runs, trained, "by_k.csv")
    with recorded(jobs.curves(summary), inputs=inputs, outputs=[output]):
        write_table("training", training_table(runs, summary.trained), output)


@command
def describe(
    study: StudyOption,
    output: Annotated[Path, typer.Option(help="Folder for table1 to table3, .csv, .md and .tex.")],
    recorded: Recorded,
) -> None:
    """Write the tables of the tasks, of the settings and of the models (paper: Tables 1 to 3)."""
    from logdepth import jobs
    from logdepth.evaluation.paper_tables import models_table, settings_table, task_table, written
    from logdepth.files import write_text
    from logdepth.resolved import read_summary

    summary = read_summary(study)
    makers = {"table1": task_table, "table2": settings_table, "table3": models_table}
    files = [output / f"{name}.{kind}" for name in makers for kind in ("csv", "md", "tex")]
    with recorded(jobs.describe(summary), inputs=[], outputs=files):
        for name, make in makers.items():
            for kind, text in written(make(summary.experiments)).items():
                write_text(output / f"{name}.{kind}", text)


@command
def compare(
    study: StudyOption,
    runs: Folder,
    output: Annotated[
        Path, typer.Option(help="Folder for comparison.csv and comparison_summary.csv.")
    ],
    recorded: Recorded,
    published: Annotated[Path, typer.Option(help="Table of the published errors.")] = Path(
        "config/published_errors.csv"
    ),
) -> None:
    """Write the tables that compare the published errors with those of all runs."""
    from logdepth import jobs
    from logdepth.evaluation import comparison
    from logdepth.evaluation.counts import read_counts
    from logdepth.resolved import read_summary
    from logdepth.tables import read_table, write_table

    summary = read_summary(study)
    inputs = [published, *run_files(runs, summary.runs, "evaluation.csv")]
    files = [output / f"{name}.csv" for name in ("comparison", "comparison_summary")]
    with recorded(jobs.compare(summary), inputs=inputs, outputs=files):
        counts = read_counts(runs, summary.experiments)
        theirs = read_table("published_errors", published)
        table = comparison.compare(theirs, counts, summary.runs)
        write_table("comparison", table, files[0])
        write_table("comparison_summary", comparison.summary(table), files[1])


@command
def fit(
    study: StudyOption,
    runs: Folder,
    threshold: Annotated[
        list[float], typer.Option(help="Error below which a k is solved; may be repeated.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for thresholds.csv and scaling.csv.")],
    recorded: Recorded,
) -> None:
    """Write what each depth solves, and the laws of its growth."""
    from logdepth import jobs
    from logdepth.evaluation.counts import read_counts
    from logdepth.fitting.tables import scaling_table, thresholds_table
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    inputs = run_files(runs, summary.runs, "evaluation.csv")
    files = [output / f"{name}.csv" for name in ("thresholds", "scaling")]
    with recorded(jobs.fit(summary, threshold), inputs=inputs, outputs=files):
        counts = read_counts(runs, summary.experiments)
        scaling = scaling_table(counts, threshold)
        write_table("thresholds", thresholds_table(counts, threshold), files[0])
        write_table("scaling", scaling, files[1])
    for row in scaling[scaling["growth"] == "exponential"].to_dict("records"):
        ends = f"[{row['slope_low']:.2f}, {row['slope_high']:.2f}]"
        grows = f"log2 k* grows by {row['slope']:.2f} {ends} a layer; "
        print(
            f"{row['experiment']} (mode {row['mode']}), error below {row['threshold']:.0%}: "
            f"{'' if math.isnan(row['slope']) else grows}{row['verdict']}: {row['reason']}"
        )


@command
def depths(
    study: StudyOption,
    thresholds: Annotated[Path, typer.Option(help="The study's table thresholds.csv.")],
    output: Output,
    recorded: Recorded,
    beside: Annotated[
        list[str] | None,
        typer.Option(help="Of another study, as JSON: results, experiment, mode, title."),
    ] = None,
    published: Annotated[
        Path | None, typer.Option(help="Table of the published errors, where the task is theirs.")
    ] = None,
) -> None:
    """Write what each depth solves, for this study's experiments and those beside them."""
    import pandas as pd

    from logdepth import jobs
    from logdepth.config.study import OtherStudy
    from logdepth.fitting.depths import depths_beside, own_depths, published_depths
    from logdepth.resolved import read_summary
    from logdepth.tables import read_table, write_table

    summary = read_summary(study)
    others = [read_settings(text, OtherStudy, "--beside") for text in beside or []]
    files = [Path(other.results, "tables", "thresholds.csv") for other in others]
    inputs = [thresholds, *dict.fromkeys(files), *([published] if published else [])]
    with recorded(jobs.depths(summary, others), inputs=inputs, outputs=[output]):
        own = read_table("thresholds", thresholds)
        found = [own_depths(own, summary.titles, summary.compiled)]
        if published:
            errors = read_table("published_errors", published)
            found.append(published_depths(errors, own["threshold"].iloc[0]))
        found += [
            depths_beside(read_table("thresholds", file), other)
            for file, other in zip(files, others, strict=True)
        ]
        write_table("solved_depths", pd.concat(found, ignore_index=True), output)


@command
def select(
    experiment: Annotated[str, typer.Option(help="The experiment to choose for.")],
    study: StudyOption,
    runs: Folder,
    output: Annotated[Path, typer.Option(help="Folder for <experiment>.json and .csv.")],
    recorded: Recorded,
) -> None:
    """Choose the trial of the least error; write it, and the errors of all trials."""
    from logdepth import jobs
    from logdepth.canonical import canonical_json
    from logdepth.errors import UserError
    from logdepth.evaluation.selection import best_trial, trial_table
    from logdepth.files import write_text
    from logdepth.resolved import identifiers, read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    if experiment not in summary.trials:
        known = ", ".join(summary.trials) or "one with 'select'; this study has none"
        raise UserError(f"--experiment {experiment}: expected {known}")
    trials = summary.trials[experiment]
    tried = {run.identifier: run for some in trials.values() for run in some}
    inputs = run_files(runs, tried, "trial.csv")
    files = [output / f"{experiment}.{kind}" for kind in ("json", "csv")]
    with recorded(jobs.select(experiment, summary), inputs=inputs, outputs=files):
        table = trial_table(runs, trials)
        chosen = best_trial(table)
        write_table("selection", table, files[1])
        choice = {"chosen": chosen, "trials": identifiers(trials)}
        write_text(files[0], canonical_json(choice) + "\n")
    print(f"{experiment}: {chosen}, of {len(trials)} trials")
