"""Types of settings that several configuration classes share."""

from typing import Annotated, Literal

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Mode = Literal["eval", "train"]
"""Mode of the network while it is evaluated; in "train" dropout is active."""
