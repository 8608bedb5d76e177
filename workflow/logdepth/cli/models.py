"""``logdepth data, compile, evaluate, lengths, attention, ablation``: sets and models."""

from pathlib import Path
from typing import Annotated

import typer

from logdepth.cli.options import (
    DataFile,
    Device,
    Folder,
    ModelFile,
    ModeOption,
    Output,
    Recorded,
    RunOption,
    StudyOption,
    Threads,
    checked_mode,
    command,
    read_settings,
    run_files,
)


@command
def data(
    task: Annotated[str, typer.Option(help="The task, as JSON.")],
    k: Annotated[list[int], typer.Option(help="A value of k; may be repeated.")],
    sequences: Annotated[int, typer.Option(help="Sequences for each k.")],
    seed: Annotated[int, typer.Option(help="Seed of the set.")],
    stream: Annotated[
        str, typer.Option(help="evaluation, or selection for trials: independent of one another.")
    ],
    output: Output,
    recorded: Recorded,
) -> None:
    """Write the frozen evaluation set of a task."""
    from safetensors.torch import save

    from logdepth import jobs
    from logdepth.config.run import AnyTask
    from logdepth.errors import UserError
    from logdepth.evaluation.error_rates import evaluation_set
    from logdepth.files import atomic_path

    spec = read_settings(task, AnyTask, "--task")
    if unknown := set(k) - set(spec.ks):
        known = f"{spec.ks.start} to {spec.ks.stop - 1}"
        raise UserError(f"--k {unknown.pop()}: expected numbers from {known}")
    if stream not in ("evaluation", "selection"):
        raise UserError(f"--stream {stream}: expected evaluation or selection")
    job = jobs.data(spec, k, sequences, seed, stream)
    with recorded(job, inputs=[], outputs=[output]), atomic_path(output) as temporary:
        temporary.write_bytes(save(evaluation_set(spec, tuple(k), sequences, seed, stream)))


@command
def compile_(
    run: RunOption,
    output: Annotated[Path, typer.Option(help="Folder for model.safetensors and run.json.")],
    recorded: Recorded,
) -> None:
    """Write down a transformer that answers hop_k by construction, with the recipe 'compiled'."""
    from logdepth import jobs
    from logdepth.config.run import Run
    from logdepth.errors import UserError
    from logdepth.theory.hop_to_weights import compiled
    from logdepth.training.store import write_run

    spec = read_settings(run, Run, "--run")
    if spec.training.is_trained:
        raise UserError(
            f"--run: training.recipe is '{spec.training.recipe}'; expected 'compiled', "
            "or 'logdepth train'"
        )
    files = [output / name for name in ("model.safetensors", "run.json")]
    with recorded(jobs.compile_(spec), inputs=[], outputs=files):
        write_run(output, spec, compiled(spec).network(), {})


@command
def evaluate(
    model: ModelFile,
    data: DataFile,
    output: Output,
    mode: Annotated[
        list[str], typer.Option(help="eval, or train as in the published evaluation; repeatable.")
    ],
    recorded: Recorded,
    seed: Annotated[int, typer.Option(help="Seed of dropout while evaluating.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Count the wrong answers of a model on every sequence of a frozen set."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.evaluation import error_rates
    from logdepth.files import write_csv
    from logdepth.training.store import load_model, load_set, run_of

    job = jobs.evaluate(run_of(model), [checked_mode(word) for word in mode], seed)
    where = prepare_device(device, threads)
    with recorded(job, inputs=[model, data], outputs=[output], device=str(where)):
        trained, _ = load_model(model, where)
        write_csv(output, error_rates.evaluate(trained, load_set(data), mode, seed))


@command
def lengths(
    study: StudyOption,
    runs: Folder,
    output: Output,
    length: Annotated[
        list[int], typer.Option(min=1, help="Strings so many times as long; repeatable.")
    ],
    recorded: Recorded,
    k: Annotated[list[int] | None, typer.Option(help="By default all of the task.")] = None,
    sequences: Annotated[
        int, typer.Option(min=2, help="For each k; fewer where strings are longer.")
    ] = 512,
    seed: Annotated[int, typer.Option(help="Seed of the sets.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Count the wrong answers on longer strings, of a study's models without positions."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.evaluation.lengths import length_table
    from logdepth.resolved import of_any_length, read_summary
    from logdepth.tables import write_table
    from logdepth.training.store import load_model

    summary = read_summary(study)
    chosen = of_any_length(summary, length)
    named = {run.identifier: run for some in chosen.values() for run in some}
    inputs = run_files(runs, named, "model.safetensors")
    where = prepare_device(device, threads)
    job = jobs.lengths(summary, length, k, sequences, seed)
    with recorded(job, inputs=inputs, outputs=[output], device=str(where)):
        table = length_table(
            chosen,
            lambda run: load_model(runs / run.identifier / "model.safetensors", where)[0],
            length,
            k,
            sequences,
            seed,
        )
        write_table("lengths", table, output)


@command
def attention(
    model: ModelFile,
    data: DataFile,
    output: Output,
    recorded: Recorded,
    sequences: Annotated[
        int, typer.Option(min=1, help="Sequences to average over: the first of the largest k.")
    ] = 10,
    k: Annotated[
        int | None,
        typer.Option(help="Write the matrices on the first sequence instead, asked for this k."),
    ] = None,
    mode: ModeOption = "eval",
    seed: Annotated[int, typer.Option(help="Seed of dropout.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Compare every head with every find^j, or write the attention matrices on one string."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.attention import alignment_table, attention_table, first_sequences
    from logdepth.tables import write_table
    from logdepth.training.store import load_model, load_set, run_of

    run = run_of(model)
    if not (run.task.has_pointers and run.model.has_attention):
        raise UserError(f"{model}: has no attention that can be compared with find^j")
    if k is not None and k not in run.task.ks:
        raise UserError(f"--k {k}: expected {run.task.ks.start} to {run.task.ks.stop - 1}")
    job = jobs.attention(run, sequences, k, checked_mode(mode), seed)
    where = prepare_device(device, threads)
    with recorded(job, inputs=[model, data], outputs=[output], device=str(where)):
        trained, _ = load_model(model, where)
        try:
            tokens = first_sequences(load_set(data), 1 if k is not None else sequences).to(where)
        except ValueError as error:
            raise UserError(f"{data}: {error}") from error
        depth = run.model.depth
        if k is None:
            table = alignment_table(trained, run.task, tokens, mode=mode, seed=seed)
            write_table("alignment", table.assign(depth=depth), output)
        else:
            table = attention_table(trained, run.task, tokens[0], k, mode=mode, seed=seed)
            write_table("attention", table.assign(depth=depth, k=k), output)


@command
def ablation(
    model: ModelFile,
    data: DataFile,
    output: Output,
    recorded: Recorded,
    sequences: Annotated[
        int, typer.Option(min=1, help="Sequences for each k: the first of the set.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the order of positions.")] = 0,
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Write the errors of a model with each head switched off, and with positions shuffled."""
    from logdepth import jobs
    from logdepth.devices import prepare_device
    from logdepth.errors import UserError
    from logdepth.evaluation.ablation import ablation_table
    from logdepth.tables import write_table
    from logdepth.training.store import load_model, load_set, run_of

    run = run_of(model)
    if not run.model.has_attention:
        raise UserError(f"{model}: has no attention heads to switch off")
    where = prepare_device(device, threads)
    job = jobs.ablation(run, sequences, seed)
    with recorded(job, inputs=[model, data], outputs=[output], device=str(where)):
        trained, _ = load_model(model, where)
        try:
            table = ablation_table(trained, load_set(data), sequences, seed)
        except ValueError as error:
            raise UserError(f"{data}: {error}") from error
        write_table("ablation", table.assign(depth=run.model.depth), output)
