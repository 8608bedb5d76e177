"""CITATION.cff: who made the code, under which licence, and what it rebuilds, as entities."""

import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import AliasToken

from audit_trail.errors import AuditError

FILE = "CITATION.cff"
_LARGEST = 1 << 18
Entity = dict[str, Any]


def read_citation(content: bytes) -> Entity:
    """Return what a CITATION.cff says, as the properties that an RO-Crate has for it.

    Args:
        content: of the file.

    Returns:
        name and url of the code, license, author, and the publications that it refers to as
        citation; the last three are lists of entities.

    Raises:
        AuditError: no plain YAML, or without a title, an author or a licence.
    """
    found = _read_yaml(content)
    authors, licences = _parties(found.get("authors")), found.get("license")
    names = list(map(str, licences)) if isinstance(licences, list) else [_joined(found, "license")]
    for key, value in {
        "title": found.get("title"),
        "authors": authors,
        "license": "".join(names),
    }.items():
        if not value:
            raise AuditError(f"{FILE}: {key}: is missing; expected a file of cff-version 1.2")
    works = [found.get("preferred-citation"), *_mappings(found.get("references"))]
    return {
        "name": str(found["title"]),
        "url": _joined(found, "repository-code"),
        "license": [
            {"@id": f"https://spdx.org/licenses/{name}", "@type": "CreativeWork", "name": name}
            for name in names
        ],
        "author": authors,
        "citation": [_work(work) for work in _mappings(works) if work.get("title")],
    }


def _read_yaml(content: bytes) -> dict[str, Any]:
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


def _parties(found: Any) -> list[Entity]:
    parties = []
    for author in _mappings(found):
        name = _joined(author, "given-names", "name-particle", "family-names", "name-suffix")
        kind = "Organization" if "name" in author else "Person"
        if not (name := _joined(author, "name") or name or _joined(author, "alias")):
            raise AuditError(
                f"{FILE}: authors: one has no name; expected given-names and family-names of a "
                "person, or the name of a group"
            )
        address = _joined(author, "orcid") or f"#author/{_slug(name)}"
        parties.append({"@id": address, "@type": kind, "name": name})
    return parties


def _work(work: dict[str, Any]) -> Entity:
    doi, title, kind = (_joined(work, key) for key in ("doi", "title", "type"))
    address = f"https://doi.org/{doi}" if doi else _joined(work, "url")
    return {
        "@id": address or f"#work/{_slug(title)}",
        "@type": "ScholarlyArticle" if "paper" in kind or kind == "article" else "CreativeWork",
        "name": title,
        "author": _parties(work.get("authors")),
        "datePublished": _joined(work, "year"),
    }


def _mappings(found: Any) -> list[dict[str, Any]]:
    return [value for value in found if isinstance(value, dict)] if isinstance(found, list) else []


def _joined(values: dict[str, Any], *keys: str) -> str:
    return " ".join(str(values[key]) for key in keys if values.get(key))


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower(), flags=re.ASCII).strip("-") or "unnamed"
