"""One Snakemake at a time on a study."""

import pytest
from filelock import FileLock

from logdepth import locking
from logdepth.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / ".snakemake").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locking, "_held", [])
    return tmp_path


def test_a_held_study_is_refused_and_another_is_not(folder, capsys):
    with FileLock(folder / ".snakemake/one.lock"):
        with pytest.raises(UserError, match="results/one: another Snakemake is at work here"):
            locking.hold("one")
        locking.hold("two")
    locking.hold("one")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [OSError("read-only"), NotImplementedError("no flock")])
def test_where_nothing_can_be_locked_work_goes_on_and_says_so(monkeypatch, capsys, error):
    def acquire(*_, **__):
        raise error

    monkeypatch.setattr(FileLock, "acquire", acquire)
    locking.hold("one")
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"results/one: cannot be locked ({error}); expected no second Snakemake here"
