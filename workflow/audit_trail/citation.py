"""CITATION.cff: who made the code and under which licence."""

from pydantic import BaseModel, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import AliasToken

from audit_trail.errors import AuditError

FILE = "CITATION.cff"
_LARGEST = 1 << 18


class Author(BaseModel):
    """A person with given and family names, or a group with a name."""

    given: str = Field("", alias="given-names")
    particle: str = Field("", alias="name-particle")
    family: str = Field("", alias="family-names")
    group: str = Field("", alias="name")
    orcid: str = ""

    @property
    def name(self) -> str:
        """All of the name; empty for none."""
        return self.group or " ".join(filter(None, (self.given, self.particle, self.family)))


class Citation(BaseModel):
    """What is needed of the file."""

    title: str = Field(min_length=1)
    authors: list[Author] = Field(min_length=1)
    license: str = Field(min_length=1)
    url: str = Field("", alias="repository-code")


def read_citation(content: bytes) -> Citation:
    """Return what the file says.

    Raises:
        AuditError: no YAML, or with aliases, by which a few lines become millions of values; or
            without a title, a licence, or authors with names.
    """
    try:
        text = content[:_LARGEST].decode("utf-8")
        if len(content) > _LARGEST:
            reason = f"has {len(content)} bytes"
        elif any(isinstance(token, AliasToken) for token in YAML(pure=True).scan(text)):
            reason = "has an alias"
        else:
            citation = Citation.model_validate(YAML(typ="safe", pure=True).load(text))
            if all(author.name for author in citation.authors):
                return citation
            reason = "authors: one has no name"
    except ValidationError as error:
        first = error.errors()[0]
        reason = f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg'].lower()}"
    except (YAMLError, ValueError, RecursionError):
        reason = "is no YAML"
    raise AuditError(f"{FILE}: {reason}; expected a file of cff-version 1.2, every value written")
