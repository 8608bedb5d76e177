"""Types of settings that several configuration classes share."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field


@cache
def _drawable(title: str) -> str:
    """Return a title if figures can show it, with the fonts that come with matplotlib."""
    if not title.strip() or not title.isprintable():
        raise ValueError(f"is {title!r}; expected one line of text")
    if len(re.findall(r"(?<!\\)\$", title)) % 2:
        raise ValueError(
            f"is {title!r}; expected $ in pairs, around mathematics, or \\$ for a dollar"
        )
    # What follows takes a fifth of a second, and hardly any title needs it.
    if "$" in title and set(title) & set("\\^_{}"):
        from matplotlib.mathtext import MathTextParser

        try:
            MathTextParser("path").parse(title)
        except ValueError as error:
            reason = str(error).splitlines()[-1]
            raise ValueError(
                f"is {title!r}, whose mathematics cannot be drawn: {reason}"
            ) from error
    if not title.isascii():
        from matplotlib import get_data_path
        from matplotlib.ft2font import FT2Font

        known = FT2Font(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")).get_charmap()
        if unknown := [sign for sign in title if ord(sign) not in known]:
            raise ValueError(
                f"is {title!r}, but figures have no sign for {unknown[0]!r}; expected signs of "
                "DejaVu Sans: Latin, Greek, Cyrillic and others"
            )
    return title


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Mode = Literal["eval", "train"]
"""Mode of the network while it is evaluated; in "train" dropout is active."""
Title = Annotated[str, AfterValidator(_drawable)]
"""Name of an experiment in figures."""
