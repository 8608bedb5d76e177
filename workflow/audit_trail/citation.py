"""CITATION.cff: who made the code and under which licence, as entities of an RO-Crate."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import AliasToken

from audit_trail.errors import AuditError

FILE = "CITATION.cff"
_LARGEST = 1 << 18
# What a name may be made of, in order: of a group, of a person, of neither.
_NAMES = (("name",), ("given-names", "name-particle", "family-names", "name-suffix"), ("alias",))
Entity = dict[str, Any]


def read_citation(content: bytes) -> Entity:
    """Return name and url of the code, its license and author, both as lists of entities.

    Raises:
        AuditError: no plain YAML, or without a title, an author or a licence.
    """
    found = _read_yaml(content)
    citation: Entity = {
        "name": str(found.get("title") or ""),
        "url": str(found.get("repository-code") or ""),
        "author": [_author(author) for author in _listed(found, "authors", dict)],
        "license": [
            {"@id": f"https://spdx.org/licenses/{name}", "@type": "CreativeWork", "name": name}
            for name in _listed(found, "license", str)
        ],
    }
    for key, value in {"title": "name", "authors": "author", "license": "license"}.items():
        if not citation[value]:
            raise AuditError(f"{FILE}: {key}: is missing; expected a file of cff-version 1.2")
    return citation


def _read_yaml(content: bytes) -> Entity:
    """Return what YAML holds; without aliases, by which a few lines become millions of values."""
    try:
        if len(content) > _LARGEST:
            raise AuditError(f"{FILE}: has {len(content)} bytes; expected {_LARGEST} at most")
        text = content.decode("utf-8")
        if any(isinstance(token, AliasToken) for token in YAML(pure=True).scan(text)):
            raise AuditError(f"{FILE}: has an alias; expected every value written out")
        found = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise AuditError(f"{FILE}: is no YAML; expected a file of cff-version 1.2") from error
    return found if isinstance(found, dict) else {}


def _author(author: Entity) -> Entity:
    names = (" ".join(str(author[k]) for k in keys if author.get(k)) for keys in _NAMES)
    if not (name := next(filter(None, names), "")):
        expected = "expected given-names and family-names of a person, or the name of a group"
        raise AuditError(f"{FILE}: authors: one has no name; {expected}")
    slug = re.sub(r"\W+", "-", name.lower(), flags=re.ASCII).strip("-") or "unnamed"
    address = str(author.get("orcid") or f"#author/{slug}")
    return {"@id": address, "@type": "Organization" if "name" in author else "Person", "name": name}


def _listed(found: Entity, key: str, kind: type) -> list[Any]:
    values = found.get(key)
    listed = values if isinstance(values, list) else [values]
    return [value for value in listed if isinstance(value, kind) and value]
