"""Checkpoints: damage is noticed, another definition refused."""

import logging

import pytest
import torch

from logdepth.training.checkpoint import CheckpointError, CheckpointStore


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "checkpoints", "a" * 64)


def state(value):
    return {"weights": torch.full((50,), float(value))}


def test_the_last_two_are_kept_and_the_newest_is_loaded(store):
    for step in (5, 10, 100):
        store.save(step, state(step))
    assert [path.name[:14] for path in sorted(store.folder.iterdir())] == [
        "step-000000010",
        "step-000000100",
    ]
    found = store.latest()
    assert found["step"] == 100
    assert found["state"]["weights"][0] == 100


def test_a_note_is_kept_with_it(store):
    CheckpointStore(store.folder, store.definition, {"together": ["a", "b"]}).save(3, state(3))
    assert store.latest()["note"] == {"together": ["a", "b"]}


def test_no_checkpoint(store):
    assert store.latest() is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(store, damage, caplog):
    store.save(1, state(1))
    path = store.save(2, state(2))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"truncated": content[:-100], "flipped": content, "emptied": b""}[damage])
    with pytest.raises(CheckpointError, match=f"{path.name}: damaged, its sha256 is not"):
        store.load(path)
    with caplog.at_level(logging.WARNING):
        found = store.latest()
    assert found["step"] == 1
    assert found["state"]["weights"][0] == 1
    assert "damaged" in caplog.text


def test_a_checkpoint_of_another_definition_is_never_loaded(store, caplog):
    path = CheckpointStore(store.folder, "b" * 64).save(7, state(7))
    with pytest.raises(CheckpointError, match=r"written under definition b{12}, but this run is a"):
        store.load(path)
    assert store.latest() is None
    store.save(1, state(1))
    assert store.latest()["step"] == 1


def test_another_file_is_no_checkpoint(store, tmp_path):
    with pytest.raises(CheckpointError, match="not the name of a checkpoint"):
        store.load(tmp_path / "model.pt")


def test_a_pickle_with_code_in_it_is_not_run(store):
    import hashlib
    import pickle

    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    store.folder.mkdir(parents=True)
    content = pickle.dumps(Evil())
    path = store.folder / f"step-000000001-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        store.load(path)


def test_clear_leaves_no_folder(store):
    store.save(1, state(1))
    store.clear()
    assert not store.folder.exists()
    store.clear()
