"""An image is used only if its bytes are those that were recorded when it was built."""

import hashlib

import pytest

from logdepth.errors import UserError
from logdepth.provenance.image import checked_image


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "some.sif"
    path.write_bytes(b"an image")
    digest = hashlib.sha256(b"an image").hexdigest()
    (tmp_path / "some.sif.sha256").write_text(f"{digest}  some.sif\n")
    return path


def refusal(path):
    with pytest.raises(UserError) as error:
        checked_image(path)
    (line,) = str(error.value).splitlines()
    assert "expected" in line
    return line


def test_the_recorded_image_is_taken(image):
    assert checked_image(image) == hashlib.sha256(b"an image").hexdigest()


def test_another_image_is_refused(image):
    image.write_bytes(b"another image")
    assert "some.sif.sha256 says" in refusal(image)


def test_an_image_nobody_vouches_for_is_refused(image):
    record = image.with_name("some.sif.sha256")
    record.write_text("")
    assert "says nothing" in refusal(image)
    record.unlink()
    assert "no such file" in refusal(image)


def test_a_missing_image_is_refused(tmp_path):
    assert "no such image" in refusal(tmp_path / "none.sif")
