"""``logdepth select``: choose the settings of an experiment from its trials."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import Definition, Folder, Record, StudyOption, run_files


def select(
    experiment: Annotated[str, typer.Option(help="The experiment to choose for.")],
    study: StudyOption,
    runs: Folder,
    output: Annotated[Path, typer.Option(help="Folder for <experiment>.json and .csv.")],
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Choose the trial of the least error; write it, and the errors of all trials."""
    from logdepth import jobs
    from logdepth.canonical import canonical_json
    from logdepth.errors import UserError
    from logdepth.evaluation.selection import best_trial, trial_table
    from logdepth.files import write_text
    from logdepth.provenance.record import recorded
    from logdepth.resolved import identifiers, read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    if experiment not in summary.trials:
        known = ", ".join(summary.trials) or "one with 'select'; this study has none"
        raise UserError(f"--experiment {experiment}: expected {known}")
    trials = summary.trials[experiment]
    tried = {run.identifier: run for some in trials.values() for run in some}
    with recorded(
        jobs.select(experiment, summary),
        inputs=run_files(runs, tried, "trial.csv"),
        outputs=[output / f"{experiment}.{kind}" for kind in ("json", "csv")],
        record=record,
        definition=definition,
        study=study,
    ):
        table = trial_table(runs, trials)
        chosen = best_trial(table)
        write_table("selection", table, output / f"{experiment}.csv")
        choice = {"chosen": chosen, "trials": identifiers(trials)}
        write_text(output / f"{experiment}.json", canonical_json(choice) + "\n")
    print(f"{experiment}: {chosen}, of {len(trials)} trials")
