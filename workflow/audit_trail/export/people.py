"""Who made the code, under which licence, and what it rebuilds: read from CITATION.cff."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from logdepth.errors import UserError

FILE = "CITATION.cff"
# What the Citation File Format calls a publication of scholars; other references are other works.
_SCHOLARLY = ("article", "conference-paper", "magazine-article", "report", "thesis")


@dataclass(frozen=True)
class Party:
    """A person, or a group that goes by one name.

    Attributes:
        identifier: ORCID or web page, if the file has one; else made of the name, after a "#".
        name: whole.
        person: whether it is one.
        given: given names of a person, if known.
        family: family names of a person, if known.
    """

    identifier: str
    name: str
    person: bool
    given: str = ""
    family: str = ""


@dataclass(frozen=True)
class Work:
    """A publication that the code refers to.

    Attributes:
        identifier: DOI or web page, if the file has one; else made of the title, after a "#".
        title: as given.
        authors: in their order.
        year: as text; empty if not given.
        venue: journal or conference; empty if not given.
        scholarly: whether it is an article, a report or a thesis.
    """

    identifier: str
    title: str
    authors: tuple[Party, ...]
    year: str
    venue: str
    scholarly: bool


@dataclass(frozen=True)
class Citation:
    """What CITATION.cff says.

    Attributes:
        title: of the code.
        authors: in their order, at least one.
        licences: by their SPDX identifiers, at least one.
        works: that it refers to.
        repository: where the code is published; empty if not given.
    """

    title: str
    authors: tuple[Party, ...]
    licences: tuple[str, ...]
    works: tuple[Work, ...]
    repository: str


def read_citation(content: bytes, path: Path) -> Citation:
    """Return what a CITATION.cff says.

    Args:
        content: of the file.
        path: where it is from, for errors.

    Raises:
        UserError: no YAML, or without a title, an author or a licence.
    """
    try:
        found = YAML(typ="safe", pure=True).load(content)
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no YAML; expected a file of cff-version 1.2") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: is no mapping; expected a file of cff-version 1.2")
    licences = found.get("license")
    for key, example in (
        ("title", "title: the name of the code"),
        ("authors", "authors: [{given-names: Ada, family-names: Lovelace}]"),
        ("license", "license: MIT"),
    ):
        if not found.get(key):
            raise UserError(f"{path}: {key}: is missing; expected {example}")
    references = [found.get("preferred-citation"), *_mappings(found.get("references"))]
    return Citation(
        title=str(found["title"]),
        authors=_parties(found["authors"], path),
        licences=tuple(str(x) for x in (licences if isinstance(licences, list) else [licences])),
        works=tuple(_work(r, path) for r in references if isinstance(r, dict) and r.get("title")),
        repository=str(found.get("repository-code", "")),
    )


def _parties(found: Any, path: Path) -> tuple[Party, ...]:
    parties = tuple(_party(author) for author in _mappings(found))
    if not parties or not all(party.name for party in parties):
        raise UserError(
            f"{path}: authors: one has no name; expected given-names and family-names of a "
            "person, or the name of a group"
        )
    return parties


def _party(author: dict[str, Any]) -> Party:
    given = str(author.get("given-names", ""))
    family = _joined(author, "name-particle", "family-names", "name-suffix")
    person = "name" not in author
    name = _joined(author, "name") or f"{given} {family}".strip() or str(author.get("alias", ""))
    identifier = author.get("orcid") or author.get("website") or f"#author/{_slug(name)}"
    return Party(str(identifier), name, person, given, family)


def _work(reference: dict[str, Any], path: Path) -> Work:
    title = str(reference["title"])
    doi, conference = reference.get("doi"), reference.get("conference")
    conference = conference.get("name") if isinstance(conference, dict) else None
    address = f"https://doi.org/{doi}" if doi else reference.get("url")
    return Work(
        identifier=str(address or f"#work/{_slug(title)}"),
        title=title,
        authors=_parties(reference.get("authors"), path) if reference.get("authors") else (),
        year=str(reference.get("year", "")),
        venue=str(reference.get("journal") or conference or ""),
        scholarly=reference.get("type") in _SCHOLARLY,
    )


def _mappings(found: Any) -> Sequence[dict[str, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _joined(author: dict[str, Any], *keys: str) -> str:
    return " ".join(str(author[key]) for key in keys if author.get(key))


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower(), flags=re.ASCII).strip("-") or "unnamed"
