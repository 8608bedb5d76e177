"""Stopping a training between two steps."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class InterruptedTraining(Exception):  # noqa: N818 - it is no error of the program
    """The process was told to stop; a checkpoint has been written."""

    def __init__(self, signum: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name} after step {step}")
        self.signum = signum


@dataclass
class StopRequest:
    """Number of the signal that asked for a stop, 0 for none so far."""

    signum: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note what asks for a stop, instead of dying in mid-step.

    SIGTERM and SIGINT (preemption, time limit, Ctrl-C), SIGUSR1 (Slurm's warning) and SIGHUP (the
    terminal was closed), unless the process was started to ignore that, by nohup.
    """
    stop = StopRequest()

    def note(signum: int, _frame: FrameType | None) -> None:
        stop.signum = signum

    asked = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        asked.append(signal.SIGHUP)
    before = {signum: signal.signal(signum, note) for signum in asked}
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
