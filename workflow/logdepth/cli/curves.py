"""``logdepth curves``: training curves of all runs as a table."""

from logdepth.cli.options import Definition, Folder, Output, Record, StudyOption, run_files


def curves(
    study: StudyOption,
    runs: Folder,
    output: Output,
    definition: Definition = "",
    record: Record = None,
) -> None:
    """Write the table of training curves."""
    from logdepth import jobs
    from logdepth.evaluation.training_curves import training_table
    from logdepth.provenance.record import recorded
    from logdepth.resolved import read_summary
    from logdepth.tables import write_table

    summary = read_summary(study)
    trained = {run.identifier: run for some in summary.trained.values() for run in some}
    with recorded(
        jobs.curves(summary),
        inputs=run_files(runs, trained, "by_k.csv"),
        outputs=[output],
        record=record,
        definition=definition,
        study=study,
    ):
        write_table("training", training_table(runs, summary.trained), output)
