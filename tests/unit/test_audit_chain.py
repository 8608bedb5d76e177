"""The container image of a job, and sources that no commit has."""

import hashlib
from dataclasses import replace

import pytest

from audit_trail.repository import code_hashes, find_repository
from audit_trail.study import open_study
from audit_trail.verify import Chain
from logdepth.canonical import canonical_json
from logdepth.files import sha256_of, write_text
from logdepth.provenance.job import Job
from logdepth.provenance.record import recorded


@pytest.fixture
def image(tmp_path, monkeypatch):
    path = tmp_path / "logdepth.sif"
    path.write_bytes(b"an image")
    monkeypatch.setenv("APPTAINER_CONTAINER", str(path))
    monkeypatch.delenv("LOGDEPTH_IMAGE_SHA256", raising=False)
    return path


@pytest.fixture
def study(tmp_path, image):
    folder = tmp_path / "results" / "tiny"
    output = folder / "tables" / "out.csv"
    files = {"inputs": [], "outputs": [output], "record": folder / "provenance/data/a.json"}
    with recorded(Job("data", ("logdepth.files",), {}), **files, definition=""):
        write_text(output, "x")
    return open_study(folder)


def reasons(study, repository):
    record = study.record_for("tables/out.csv")
    return {p.reason: p.detail for p in Chain(study, repository).broken(record)}


def test_the_image_is_compared_by_its_bytes(study, image, root):
    def found(*named):
        return reasons(study, find_repository(root, *named)).get("image")

    record = study.record_for("tables/out.csv")
    assert record.image.sha256 == sha256_of(image)
    assert found(image) is None
    image.write_bytes(b"another image")
    assert "is another now" in found(image)
    image.unlink()
    assert f"is gone: {image}: is not there" in found(image)
    # By default it is the clone's own, which may have been built here.
    own = (root / "containers/logdepth.sif").is_file()
    assert ("is another now" if own else "containers/logdepth.sif: is not there") in found()


def test_code_is_stale_when_neither_hash_that_a_record_may_have_is_of_it(study, root):
    """A record of today and one from when messages counted know the same code."""
    module = "logdepth.files"
    record = study.record_for("tables/out.csv")
    repository = find_repository(root)
    now = code_hashes((root / "workflow/logdepth/files.py").read_bytes())
    assert len(set(now)) == 2, "else this file has no message, and the test shows nothing"
    (kept,) = record.kept_as("source")
    for value, reasons in ((now[0], []), (now[1], []), ("0" * 64, ["code"])):
        text = canonical_json({module: value})
        listed = f"provenance/sources/{hashlib.sha256(text.encode()).hexdigest()}.json"
        write_text(study.path(listed), text)
        source = replace(kept, name=listed, sha256=sha256_of(study.path(listed)))
        written = replace(record, kept=(source,))
        chain = Chain(study, repository)
        assert [problem.reason for problem in chain.stale(written)] == reasons


def test_a_repository_knows_its_code(root):
    repository = find_repository(root)
    assert repository.folder == root
    files = {"logdepth.tasks.hop": "tasks/hop.py", "logdepth.tasks": "tasks/__init__.py"}
    paths = {module: f"workflow/logdepth/{file}" for module, file in files.items()}
    now = {module: code_hashes((root / path).read_bytes())[0] for module, path in paths.items()}
    unknown = {"logdepth.nothing": "0", "../x": "0"}
    assert repository.other_code(now | unknown) == list(unknown)
    assert repository.other_code(dict.fromkeys(now, "0" * 64)) == list(now)
    if repository.problem is None and not repository.shallow:
        then = {m: code_hashes(repository.read("HEAD", path))[0] for m, path in paths.items()}
        assert repository.other_code(then | unknown, "HEAD") == list(unknown)
        assert repository.other_code(then, "0" * 40) == list(then)
        assert repository.time_of("0" * 40) is None
        assert repository.time_of("HEAD") > 1.7e9
