"""People, licences and publications as entities of a crate."""

from collections.abc import Iterable

from audit_trail.export.crate.graph import Graph, Reference, identify
from audit_trail.export.people import Party, Work


def add_parties(graph: Graph, parties: Iterable[Party]) -> list[Reference]:
    """Add persons and groups."""
    return [
        graph.add(
            party.identifier,
            "Person" if party.person else "Organization",
            name=party.name,
            givenName=party.given or None,
            familyName=party.family or None,
        )
        for party in parties
    ]


def add_licences(graph: Graph, licences: Iterable[str]) -> list[Reference]:
    """Add licences by their SPDX identifiers."""
    return [
        graph.add(f"https://spdx.org/licenses/{licence}", "CreativeWork", name=licence)
        for licence in licences
    ]


def add_works(graph: Graph, works: Iterable[Work]) -> list[Reference]:
    """Add publications with their authors and where they appeared."""
    return [
        graph.add(
            work.identifier,
            "ScholarlyArticle" if work.scholarly else "CreativeWork",
            name=work.title,
            author=add_parties(graph, work.authors),
            datePublished=work.year or None,
            isPartOf=_venue(graph, work.venue),
        )
        for work in works
    ]


def _venue(graph: Graph, name: str) -> Reference | None:
    if not name:
        return None
    return graph.add(identify("venue", name.replace("/", " ")), "CreativeWork", name=name)
