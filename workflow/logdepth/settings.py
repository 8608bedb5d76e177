"""Settings: what a file may say, checked; and classes of settings that are found by file name."""

import difflib
import importlib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from logdepth.errors import UserError


class Settings(BaseModel):
    """Base of every configuration class: unknown keys are refused, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields:
                close = difflib.get_close_matches(str(key), cls.model_fields, 1)
                meant = f", did you mean '{close[0]}'?" if close else ""
                allowed = ", ".join(cls.model_fields)
                raise ValueError(f"unknown key '{key}'{meant} (allowed: {allowed})")
        return data


Kind = TypeVar("Kind", bound=Settings)

# A key of a file, and the name of a class of its family, which pydantic takes for a key as well.
_TAGS: set[tuple[str, str]] = set()


class Family(Generic[Kind]):
    """The classes of one kind: each in a file of its own, which is found and not listed.

    A file of the package with a class whose tag is the file's name is a member.
    """

    def __init__(self, package: str, base: type[Kind], *, key: str, tag: str) -> None:
        """Name a family.

        Args:
            package: where the files lie.
            base: class of all of them.
            key: under which a file has such settings, such as "model".
            tag: setting with the name of the member, such as "form".
        """
        self._package = package
        self._base = base
        self._key = key
        self._tag = tag

    @cached_property
    def _members(self) -> dict[str, str]:
        """The class of each member, by its name."""
        folder = importlib.import_module(self._package).__path__[0]
        members = {}
        for path in sorted(Path(folder).glob("*.py")):
            # Without importing it: a configuration is read in half a second.
            own = rf'^class (\w+)(?:(?!^class ).)*?^    {self._tag}: Literal\["{path.stem}"\]'
            if found := re.search(own, path.read_text("utf-8"), re.M | re.S):
                members[path.stem] = found[1]
        return members

    def names(self) -> tuple[str, ...]:
        """Return the names of all members, in alphabetical order."""
        return tuple(self._members)

    def settings(self, name: str) -> type[Kind]:
        """Return the class of a member.

        Raises:
            UserError: there is no such member.
            TypeError: its class is not derived from the base.
        """
        if name not in self._members:
            raise UserError(f"{self._key}.{self._tag} '{name}': expected {', '.join(self.names())}")
        module = importlib.import_module(f"{self._package}.{name}")
        member: type[Kind] = getattr(module, self._members[name])
        if not issubclass(member, self._base):
            raise TypeError(f"{module.__name__}: expected a class of {self._base.__name__}")
        return member

    def module(self, settings: Kind) -> str:
        """Return the module of a member, where its computation starts."""
        return f"{self._package}.{getattr(settings, self._tag)}"

    def union(self) -> Any:
        """Return the type of settings of any member, told apart by the tag."""
        members = tuple(self.settings(name) for name in self.names())
        if len(members) == 1:
            return members[0]
        _TAGS.update((self._key, name) for name in self.names())
        return Annotated[Union[members], Field(discriminator=self._tag)]  # noqa: UP007 - dynamic


def mistakes(error: ValidationError) -> list[str]:
    """Return a line for each mistake, with its key and what was expected."""
    lines = []
    details = error.errors()
    for detail in details:
        here = detail["loc"]
        if any(len(d["loc"]) > len(here) and d["loc"][: len(here)] == here for d in details):
            continue  # a mistake within this one says it better
        location = [
            str(part)
            for i, part in enumerate(here)
            if not i or (str(here[i - 1]), str(part)) not in _TAGS
        ]
        key = ".".join(location)
        message = detail["msg"].removeprefix("Value error, ")
        context = detail.get("ctx", {})
        if detail["type"].startswith("union_tag"):
            key = f"{key}.{str(context['discriminator']).strip(chr(39))}"
            given = f"is {context['tag']!r}, " if "tag" in context else "is missing, "
            known = context.get("expected_tags") or ", ".join(
                repr(name) for field, name in sorted(_TAGS) if field == str(here[-1])
            )
            message = f"{given}expected one of {known}"
        elif detail["type"] == "missing":
            message = "this key is required"
        elif detail["type"] != "value_error":
            message = f"{message[0].lower()}{message[1:]}, not {detail['input']!r}"
        lines.append(f"{key}: {message}" if key else message)
    return lines


def changed(settings: Kind, values: Mapping[str, Any]) -> Kind:
    """Return settings with other values, checked as those of a file.

    Raises:
        ValidationError: a value does not fit.
    """
    return type(settings).model_validate(settings.model_dump() | dict(values))
