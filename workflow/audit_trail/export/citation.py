"""CITATION.cff: who made the code, under which licence, and what it rebuilds, as entities."""

import re
from datetime import date
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.tokens import AliasToken

from audit_trail.errors import AuditError

FILE = "CITATION.cff"
_LARGEST = 1 << 18
_SCHOLARLY = ("article", "conference-paper", "magazine-article", "report", "thesis")
Entity = dict[str, Any]


def read_citation(content: bytes) -> Entity:
    """Return what a CITATION.cff says, as the properties that an RO-Crate has for it.

    Args:
        content: of the file.

    Returns:
        name and url of the code, license, author, and the publications that it refers to as
        citation; the last three are lists of entities, and only the last may be empty.

    Raises:
        AuditError: no plain YAML, or without a title, an author or a licence.
    """
    found = _read_yaml(content)
    for key in ("title", "authors", "license"):
        if not found.get(key):
            raise AuditError(f"{FILE}: {key}: is missing; expected a file of cff-version 1.2")
    works = [found.get("preferred-citation"), *_each(found.get("references"), dict)]
    spdx = "https://spdx.org/licenses"
    return {
        "name": _text(found["title"]),
        "url": _text(found.get("repository-code")) or None,
        "license": [
            {"@id": f"{spdx}/{_text(name)}", "@type": "CreativeWork", "name": _text(name)}
            for name in _each(found["license"], object)
        ],
        "author": _parties(found["authors"]),
        "citation": [_work(w) for w in works if isinstance(w, dict) and w.get("title")],
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
    parties = [_party(author) for author in _each(found, dict)]
    if not parties or not all(party["name"] for party in parties):
        raise AuditError(
            f"{FILE}: authors: one has no name; expected given-names and family-names of a "
            "person, or the name of a group"
        )
    return parties


def _party(author: dict[str, Any]) -> Entity:
    given = _joined(author, "given-names")
    family = _joined(author, "name-particle", "family-names", "name-suffix")
    name = _joined(author, "name") or f"{given} {family}".strip() or _joined(author, "alias")
    return {
        "@id": _joined(author, "orcid") or _joined(author, "website") or f"#author/{_slug(name)}",
        "@type": "Organization" if "name" in author else "Person",
        "name": name,
        "givenName": given or None,
        "familyName": family or None,
    }


def _work(work: dict[str, Any]) -> Entity:
    title, doi = _text(work["title"]), _joined(work, "doi")
    address = f"https://doi.org/{doi}" if doi else _joined(work, "url")
    return {
        "@id": address or f"#work/{_slug(title)}",
        "@type": "ScholarlyArticle" if work.get("type") in _SCHOLARLY else "CreativeWork",
        "name": title,
        "author": _parties(work["authors"]) if work.get("authors") else None,
        "datePublished": _joined(work, "year") or None,
    }


def _each(found: Any, kind: type) -> list[Any]:
    values = found if isinstance(found, list) else [found]
    return [value for value in values if isinstance(value, kind) and value is not None]


def _text(value: Any) -> str:
    """Return a scalar as text; empty for what is none."""
    return str(value) if isinstance(value, str | int | float | date) else ""


def _joined(values: dict[str, Any], *keys: str) -> str:
    return " ".join(text for key in keys if (text := _text(values.get(key))))


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower(), flags=re.ASCII).strip("-") or "unnamed"
