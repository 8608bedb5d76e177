"""Make the bytes of a SIF image a function of what is in it: normalise.py IMAGE.

Apptainer writes the time of the build and a random identifier into the header, and the time, user
and group into each descriptor. Here the times become SOURCE_DATE_EPOCH (0 without), user and group
root, and the identifier a hash of all other bytes. The squashfs inside is left alone: it is the
same in every build with SOURCE_DATE_EPOCH set.
"""

import hashlib
import os
import struct
import sys
import uuid
from pathlib import Path
from typing import BinaryIO

# Header: launch line (32), magic (10), version (3), architecture (3), identifier (16), times of
# creation and change, then free and total descriptors, offset and size of the table, of the data.
MAGIC = (32, b"SIF_MAGIC\0")
IDENTIFIER = 48
TIMES = 64
TABLE = 80
HEADER_SIZE = 128
# Descriptor: type (4), used (1), id, group, link (4 each), offset, size, padded size (8 each),
# times of creation and change, user, group (8 each), name (128), more (384).
DESCRIPTOR_SIZE = 585
USED = 4
OWNED = 41


class ImageError(ValueError):
    """The file is not a SIF image, or one of a layout that is not known."""


def normalise(path: Path, epoch: int) -> uuid.UUID:
    """Rewrite header and descriptors of an image, in place.

    Args:
        path: the image.
        epoch: what all times become, in seconds.

    Returns:
        The new identifier.

    Raises:
        ImageError: the file has not the layout of a SIF image.
    """
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_SIZE))
        start, magic = MAGIC
        if len(header) < HEADER_SIZE or header[start : start + len(magic)] != magic:
            raise ImageError(f"{path}: not a SIF image")
        _, total, offset, size = struct.unpack_from("<4q", header, TABLE)
        if size < total * DESCRIPTOR_SIZE:
            raise ImageError(f"{path}: its descriptors are not of {DESCRIPTOR_SIZE} bytes")
        file.seek(offset)
        table = bytearray(file.read(size))
        if len(table) < size:
            raise ImageError(f"{path}: its table of descriptors is cut short")
        for place in range(0, total * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE):
            if table[place + USED]:
                struct.pack_into("<4q", table, place + OWNED, epoch, epoch, 0, 0)
            else:
                table[place : place + DESCRIPTOR_SIZE] = bytes(DESCRIPTOR_SIZE)
        struct.pack_into("<2q", header, TIMES, epoch, epoch)
        header[IDENTIFIER : IDENTIFIER + 16] = bytes(16)
        _write(file, 0, header)
        _write(file, offset, table)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").digest()
        # Version 8: the one for identifiers made in a way of one's own.
        identifier = bytearray(digest[:16])
        identifier[6] = identifier[6] & 0x0F | 0x80
        identifier[8] = identifier[8] & 0x3F | 0x80
        _write(file, IDENTIFIER, identifier)
    return uuid.UUID(bytes=bytes(identifier))


def _write(file: BinaryIO, offset: int, content: bytes | bytearray) -> None:
    file.seek(offset)
    file.write(content)


def main() -> None:
    """Normalise the image named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("normalise.py: error: one image is wanted; expected: normalise.py IMAGE")
    try:
        print(normalise(Path(sys.argv[1]), int(os.environ.get("SOURCE_DATE_EPOCH", "0"))))
    except (OSError, ImageError) as error:
        sys.exit(f"normalise.py: error: {error}")


if __name__ == "__main__":
    main()
