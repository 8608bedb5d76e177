"""The live view of a study on a terminal, fed with what Snakemake logs."""

import io
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.common import LogEvent

from logdepth.overview import Training, training_of
from logdepth.training.progress import progress
from snakemake_logger_plugin_logdepth import LogHandler


def record(event, message=None, level=logging.INFO, **said):
    made = logging.LogRecord("snakemake", level, "", 0, message, (), None)
    vars(made).update(said)
    if event is not None:
        made.event = event
    return made


@pytest.fixture
def handler():
    settings = SimpleNamespace(stdout=False, dryrun=False)
    made = LogHandler(settings, None)
    made.setFormatter(DefaultFormatter())
    made.console.file = io.StringIO()
    made.live.auto_refresh = False  # no thread
    yield made
    made.close()


def shown(handler):
    console = Console(file=io.StringIO(), width=120)
    console.print(handler.view())
    return console.file.getvalue()


def write_log(folder, run, label="run-1", *, steps=200, done=0, until=120):
    """Write the log of a training that has got somewhere, by what writes it in earnest."""
    with pytest.MonkeyPatch.context() as patch:
        log = io.StringIO()
        patch.setattr("sys.stderr", log)
        with progress(label, steps, done) as report:
            for step in range(done + 10, until + 1, 10):
                report(step, 0.25, 0.125)
    path = folder / "logs/train" / f"{run}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(log.getvalue())
    return path


@pytest.mark.parametrize(("done", "label"), [(0, "run-1"), (50, "run-1"), (0, "run-1 and 3 more")])
def test_a_log_says_how_far_a_training_is(tmp_path, done, label):
    path = write_log(tmp_path, "run-1", label, done=done)
    found = training_of(tmp_path, "run-1")
    assert (found.step, found.steps, found.loss, found.error) == (120, 200, 0.25, 0.125)
    path.write_text(f"{path.read_text()}logdepth train: stopped by SIGTERM after step 133\n")
    assert training_of(tmp_path, "run-1") == found
    # Of what is longer than what is looked at, the end counts.
    path.write_text("x" * 10_000 + "\n" + path.read_text())
    assert training_of(tmp_path, "run-1") == found
    assert training_of(tmp_path, "run-2") is None


def test_the_time_that_is_left():
    assert Training(50, 200, 1.0, 0.5, steps_per_second=10.0).seconds_left == 15


def test_jobs_that_are_done_run_and_are_left(handler, tmp_path):
    log = write_log(tmp_path / "results/tiny", "run-1")
    handler.emit(record(LogEvent.RUN_INFO, "Job stats", stats={"train": 3, "total": 5}))
    for job, path in ((1, log), (2, tmp_path / "results/tiny/logs/data/hop.log")):
        handler.emit(record(LogEvent.JOB_INFO, jobid=job, log=[str(path)], rule_msg="Training"))
    text = shown(handler)
    assert "0 of 5 jobs done, 2 running, 3 left" in text
    assert "run-1" in text
    assert "loss 0.2500  error 12.5 %" in text
    handler.emit(record(LogEvent.JOB_FINISHED, "Finished jobid: 2", job_id=2))
    handler.emit(record(LogEvent.PROGRESS, done=1, total=5))
    assert "1 of 5 jobs done, 1 running, 3 left" in shown(handler)
    assert "Training" not in handler.console.file.getvalue()


def test_what_went_wrong_is_printed_above(handler):
    handler.emit(record(None, "Using shell: bash"))
    handler.emit(record(LogEvent.RUN_INFO, "Job stats", stats={"total": 2}))
    handler.emit(record(LogEvent.JOB_INFO, jobid=1, log=[], rule_msg="Training"))
    handler.emit(record(None, "Select jobs to execute..."))
    handler.emit(record(None, "a warning", logging.WARNING))
    handler.emit(record(LogEvent.ERROR, "an [error]", logging.ERROR))
    handler.emit(record(LogEvent.PROGRESS, done=2, total=2))
    handler.emit(record(None, "Complete log(s): x.log"))
    lines = handler.console.file.getvalue().split("\n")
    assert [line for line in lines if line] == [
        *("Using shell: bash", "Job stats", "a warning", "an [error]", "Complete log(s): x.log")
    ]


def test_an_older_checkout_is_not_asked_for_what_it_has_not(tmp_path):
    """Snakemake imports every plugin that is installed, whichever code it works on."""
    (tmp_path / "logdepth").mkdir()
    (tmp_path / "logdepth/__init__.py").touch()
    code = "import sys, snakemake_logger_plugin_logdepth; assert 'logdepth' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, check=True)
