"""The container image that jobs run in: the one whose sha256 was recorded when it was built."""

import os
from pathlib import Path

from logdepth.errors import UserError
from logdepth.files import sha256_of

# The environment variable by which jobs learn the digest, without hashing gigabytes each.
VARIABLE = "LOGDEPTH_IMAGE_SHA256"


def running_image() -> tuple[str, str] | None:
    """Return name and sha256 of the image that this process runs in; None outside of one.

    The workflow has compared the image with its recorded sha256 before it started any job.
    """
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_CONTAINER")
    known = os.environ.get(VARIABLE)
    if not image or not (known or Path(image).is_file()):
        return None
    return Path(image).name, known or sha256_of(Path(image))


def checked_image(image: Path) -> str:
    """Return the sha256 of an image, after comparing its bytes with the recorded one.

    ``make image`` leaves that next to it, in ``<image>.sha256``. A UserError says that there is no
    image, no recorded sha256, or another one than that of the bytes.
    """
    record = image.with_name(f"{image.name}.sha256")
    if not image.is_file():
        raise UserError(f"{image}: no such image; expected: make image, or image in site.yaml")
    if not record.is_file():
        raise UserError(f"{record}: no such file; expected the one that make image wrote with it")
    recorded = (record.read_text(encoding="utf-8").split() or ["nothing"])[0]
    found = sha256_of(image)
    if found != recorded:
        raise UserError(
            f"{image}: its sha256 is {found[:12]}, but {record.name} says {recorded[:12]}; "
            "expected the recorded image, or: make image"
        )
    return found
