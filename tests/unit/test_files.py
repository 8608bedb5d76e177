"""Atomic writing."""

import os
import resource
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from logdepth.files import atomic_path, sha256_of, write_text


def test_a_failed_block_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_missing_folders_are_made_and_the_umask_kept(tmp_path):
    path = tmp_path / "x" / "y" / "a.txt"
    write_text(path, "text")
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o077 == 0o666 & ~0o022 & 0o077


def test_an_error_names_the_final_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/a\.txt"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    # A limit on the size of files stands in for a full disk: writing fails half-way.
    path = tmp_path / "big.txt"
    code = f"""
        import resource
        from pathlib import Path
        from logdepth.files import write_text
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
        try:
            write_text(Path({str(path)!r}), "x" * 5000)
        except OSError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert str(path) in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_modes_and_synced_folders_loses_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    synced = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda fd: refuse() if stat.S_ISDIR(os.fstat(fd).st_mode) else synced(fd)
    )
    write_text(tmp_path / "a.txt", "text")
    assert [p.read_text() for p in tmp_path.iterdir()] == ["text"]
    monkeypatch.setattr(os, "fsync", refuse)
    # That of the file itself is what tells that the disk is full.
    with pytest.raises(OSError, match=r"b\.txt"):
        write_text(tmp_path / "b.txt", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_sha256(tmp_path):
    write_text(tmp_path / "a", "abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")
