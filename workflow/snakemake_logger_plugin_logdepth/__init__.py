"""Logger ``logdepth``: on a terminal a live view of a study, in place of a line for each job.

Jobs done, running and left, and of what trains loss, error and time left, as its log has them.
Everything else that Snakemake says is printed above. In a log there is no such thing: `make` takes
this one for a terminal alone, and the file in .snakemake/log has all lines as ever.

Snakemake imports every plugin that is installed, also for an older checkout that outputs are made
again in. So nothing of ``logdepth`` is imported before there is something to show.
"""

import logging
import time
from logging import LogRecord
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

if TYPE_CHECKING:
    from logdepth.overview import Training

# What the view says better. Where there is none yet or any more, notes without an event are said.
_IN_VIEW = (LogEvent.JOB_INFO, LogEvent.JOB_STARTED, LogEvent.JOB_FINISHED, LogEvent.PROGRESS, None)
# Reading logs of all runs of a large study takes a while.
_ESTIMATED_EVERY = 10.0


class LogHandler(LogHandlerBase):
    """The handler that Snakemake finds by its name."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Start with nothing known; the view appears with the first job."""
        self.console = Console(stderr=not self.common_settings.stdout, highlight=False)
        self.done, self.total = 0, 0
        self.running: dict[int, Path] = {}  # the log of each job
        self.left: float | None = None
        self.estimated = -_ESTIMATED_EVERY
        self.live = Live(
            console=self.console, get_renderable=self.view, refresh_per_second=2, transient=True
        )

    def emit(self, record: LogRecord) -> None:
        """Take a message into the view, or print it above."""
        event, said = getattr(record, "event", None), vars(record)
        if event == LogEvent.RUN_INFO:
            self.total = said["stats"].get("total", 0)
        if event == LogEvent.PROGRESS:
            self.done, self.total = said["done"], said["total"]
        if event == LogEvent.JOB_INFO and not self.common_settings.dryrun:
            self.running[said["jobid"]] = Path(*(said["log"] or [])[:1])
            self.live.start()
        elif event in (LogEvent.JOB_FINISHED, LogEvent.JOB_ERROR):
            self.running.pop(said["job_id" if event == LogEvent.JOB_FINISHED else "jobid"], None)
        seen = self.live.is_started and self.done < self.total and event in _IN_VIEW
        seen = (seen or event == LogEvent.PROGRESS) and record.levelno <= logging.INFO
        if not seen and (text := self.format(record)):
            self.console.print(Text.from_ansi(text))

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.live.stop()
        super().close()

    def view(self) -> Group:
        """Return what the terminal shows now."""
        from logdepth.overview import training_of
        from logdepth.planning.report import duration

        # A copy, for Snakemake's messages come in another thread.
        logs = dict(self.running).values()
        training = [log for log in logs if log.parts[-2:-1] == ("train",)]
        left = max(0, self.total - self.done - len(logs))
        text = f"{self.done} of {self.total} jobs done, {len(logs)} running, {left} left"
        if training and (seconds := self.seconds_left(training[0])) is not None:
            text += f", about {duration((seconds, seconds))} of training"
        bar = ProgressBar(total=max(1, self.total), completed=self.done, width=20)
        first, table = Table.grid(padding=(0, 2, 0, 0)), Table.grid(padding=(0, 2, 0, 0))
        first.add_row(bar, text)
        for log in training:
            found = training_of(log.parents[2], log.stem)
            table.add_row(*_cells(log.stem, found))
        return Group(first, table)

    def seconds_left(self, log: Path) -> float | None:
        """Return about how long the trainings that are left take."""
        from logdepth.cli.plan import cores
        from logdepth.errors import UserError
        from logdepth.overview import seconds_left, summary_of

        if time.monotonic() - self.estimated >= _ESTIMATED_EVERY:
            self.estimated = time.monotonic()
            try:
                self.left = seconds_left(log.parents[2], summary_of(log.parents[2]), cores())
            except (UserError, OSError):
                self.left = None
        return self.left


def _cells(run: str, found: "Training | None") -> list[Any]:
    from logdepth.planning.report import duration

    if found is None:
        return [run, "starts"]
    error, seconds = f"error {100 * found.error:.1f} %", found.seconds_left
    bar = ProgressBar(total=found.steps, completed=found.step, width=20)
    return [run, bar, f"loss {found.loss:.4f}", error, f"{duration((seconds, seconds))} left"]
