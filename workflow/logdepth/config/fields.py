"""Types of settings that several configuration classes share."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def _on_off(value: Any) -> Any:
    # YAML 1.1 reads the words on and off as true and false.
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


Switch = Annotated[Literal["off", "on"], BeforeValidator(_on_off)]
