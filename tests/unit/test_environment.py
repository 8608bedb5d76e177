"""What the user's environment says to other programs changes no output of ours."""

import os

import pytest

from command_line import logdepth, logdepth_here
from logdepth import environment
from logdepth.config.run import Run
from logdepth.files import sha256_of
from logdepth.resolved import StudySummary

RUN = {
    "task": {"name": "hop", "context": 12, "alphabet": 4, "max_k": 2},
    "model": {"form": "softmax", "depth": 1, "heads": 2, "width": 16},
    "training": {"recipe": "muon", "steps": 20, "batch": 8, "warmup": 2},
    "seed": 0,
}
ERRORS = """\
experiment,depth,mode,k,error,sequences_low,sequences_high,seeds_low,seeds_high,seeds,sequences,\
symbols,late_error,late_symbols,guess
a,1,eval,1,0.5,0.4,0.6,0.4,0.6,2,8,100,0.5,25,0.7
a,1,eval,2,0.6,0.5,0.7,0.5,0.7,2,8,100,0.6,25,0.7
"""
# Each alone would change a figure, or end the command.
HOSTILE = {
    "MPLBACKEND": "nonsense",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "many",
    "HOME": "/dev/null",
    "LC_ALL": "C",
}
MATPLOTLIBRC = "text.usetex: True\nfont.size: 30\nfont.family: serif\naxes.facecolor: black\n"


def test_neither_variables_nor_a_matplotlibrc_change_a_figure(tmp_path):
    table, study, here = tmp_path / "errors.csv", tmp_path / "study.json", tmp_path / "elsewhere"
    table.write_text(ERRORS)
    StudySummary("mine", {"a": "Mühe $x^2$"}, (), {"a": [Run.model_validate(RUN)]}).write(study)
    here.mkdir()
    (here / "matplotlibrc").write_text(MATPLOTLIBRC)
    words = ("figure", "mine", "--figure", '{"draws": "error_by_k"}', "--study", study)
    words = (*words, "--table", table, "--output")
    done = logdepth(*words, tmp_path / "hostile", cwd=here, env=os.environ | HOSTILE)
    assert done.returncode == 0, done.stderr
    assert logdepth_here(*words, tmp_path / "plain").returncode == 0
    drawn = sorted((tmp_path / "plain").iterdir())
    assert [path.suffix for path in drawn] == [".csv", ".pdf", ".png"]
    for path in drawn:
        assert sha256_of(path) == sha256_of(tmp_path / "hostile" / path.name), path.name


@pytest.mark.parametrize("name", ["MKL_CBWR", "ONEDNN_DEFAULT_FPMATH_MODE", "MPLBACKEND"])
def test_what_changes_arithmetic_or_figures_is_taken_away(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv("MPLCONFIGDIR", "/tmp")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    environment.settle()
    assert name not in os.environ
    assert os.environ["MPLCONFIGDIR"] == "/tmp"
    assert os.environ["OMP_NUM_THREADS"] == "1"
