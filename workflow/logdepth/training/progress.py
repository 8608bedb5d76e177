"""Progress of a training: a bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """What the training loop calls after each interval."""

    def __call__(self, step: int, loss: float, error: float) -> None:
        """Report ``step`` steps done, with loss and error of the last interval."""


@contextmanager
def progress(label: str, steps: int, done: int) -> Iterator[Report]:
    """Yield the report function of a run that has ``done`` of its ``steps`` behind it."""
    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}, error {task.fields[error]}, left"),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        ) as bar:
            bar.console.print(label)
            task = bar.add_task(label, total=steps, completed=done, loss="-", error="-")

            def draw(step: int, loss: float, error: float) -> None:
                bar.update(task, completed=step, loss=f"{loss:.4f}", error=f"{100 * error:.1f} %")

            yield draw
        return

    if done:
        print(f"{label}: goes on from step {done}/{steps}", file=sys.stderr, flush=True)
    started = time.monotonic()
    next_line = done + steps / 20

    def write(step: int, loss: float, error: float) -> None:
        nonlocal next_line
        if step < next_line and step < steps:
            return
        next_line = step + steps / 20
        rate = (step - done) / max(time.monotonic() - started, 1e-9)
        left = (steps - step) / max(rate, 1e-9)
        print(
            f"{label}: step {step}/{steps}, loss {loss:.4f}, error {100 * error:.1f} %, "
            f"{rate:.1f} steps/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    yield write
