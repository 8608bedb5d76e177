"""The pages, from finished results and the documents of the clone."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from audit_trail.publish import new_folder
from audit_trail.tracing.show import as_text
from audit_trail.tracing.trace import Tracer
from logdepth.errors import UserError
from logdepth.tables import read_table
from logdepth.website.documents import Documents
from logdepth.website.gallery import Figure, Study, read_claims, read_studies
from logdepth.website.playground import models

_HERE = Path(__file__).parent
_DOCS, _PUBLISHED = Path("docs"), Path("results/published")
_CLAIMS = _DOCS / "claims.md"
_MARK = '<meta name="generator" content="logdepth site">'
# Documents in the menu, with the first letters of the studies whose figures stand below them.
_MENU: dict[str, tuple[str, tuple[str, ...]]] = {
    "law": ("The law", ("law",)),
    "results": ("Published numbers", ("released", "speedrun", "laptop")),
    "beyond": (
        "Architectures and tasks",
        ("architectures", "longer", "tasks", "looped", "width_vs_depth"),
    ),
    "theory": ("Theorems", ("theory",)),
    "speed": ("Speed", ("bench",)),
    "reliability": ("Reliability", ()),
}


def build(own: Sequence[Path], output: Path) -> int:
    """Write the site of what is published, and of studies that were made here.

    The same results give the same bytes. A folder that holds an earlier site is replaced once the
    new one is complete; nothing else is.

    Returns:
        The number of pages.

    Raises:
        UserError: a study or a document is missing or not what it should be, or something else is
            where the site would go.
    """
    front = output / "index.html"
    if output.exists() and not (front.is_file() and _MARK in front.read_text(encoding="utf-8")):
        raise UserError(f"{output}: is no site; expected no such folder, or an earlier site")
    studies = read_studies(_PUBLISHED, own)
    with new_folder(output) as folder:
        return _Site(studies, folder).write()


class _Site:
    def __init__(self, studies: list[Study], folder: Path) -> None:
        self._studies, self._folder = studies, folder
        self._pages = 0
        self._figures = [figure for study in studies for figure in study.figures]
        sources = sorted(_DOCS.glob("*.md"))
        texts = sorted(_PUBLISHED.glob("*/tables/*.md"))
        self._files = {text: f"files/{text.parts[-3]}-{text.name}" for text in texts}
        self._documents = Documents(
            {source: f"{source.stem}.html" for source in sources}
            | {study.folder: f"gallery.html#{study.slug}" for study in studies}
            | {figure.picture: f"{figure.address}.html" for figure in self._figures}
            | {_PUBLISHED: "gallery.html"}
            | self._files
        )
        self._texts = {source: self._documents.page(source) for source in sources}
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        menu = [(f"{name}.html", title) for name, (title, _) in _MENU.items()]
        self._templates.globals |= {
            "menu": [("gallery.html", "Figures"), ("playground.html", "Playground"), *menu],
            "others": [
                (f"{source.stem}.html", title)
                for source, (title, _) in self._texts.items()
                if source.stem not in _MENU
            ],
            "mark": _MARK,
        }

    def write(self) -> int:
        """Write everything; return the number of pages."""
        for name in ("site.css", "site.js", "playground.js"):
            self._copy(_HERE / name, name)
        for path, place in self._files.items():
            self._copy(path, place)
        tracer = Tracer(Path("results"), Path())
        for figure in self._figures:
            files = [figure.picture.with_suffix(f".{kind}") for kind in ("png", "csv", "pdf")]
            for path in filter(Path.is_file, files):
                self._copy(path, f"{figure.address}{path.suffix}")
            (self._folder / f"{figure.address}.svg").write_bytes(figure.drawing)
            trace = as_text(tracer.trace(figure.picture)) if figure.record else ""
            self._page(f"{figure.address}.html", "figure", figure=figure, trace=trace)
        for source, (title, text) in self._texts.items():
            _, names = _MENU.get(source.stem, ("", ()))
            studies = [s for s in self._studies if names and s.name.startswith(names)]
            values = {"source": source, "title": title, "text": text, "studies": studies}
            self._page(f"{source.stem}.html", "document", **values)
        self._page("gallery.html", "gallery", sections=self._sections())
        self._page("playground.html", "playground", models=models(self._studies))
        self._page("index.html", "index", **_findings(self._figures))
        return self._pages

    def _copy(self, source: Path, place: str) -> None:
        (self._folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, self._folder / place)

    def _page(self, name: str, template: str, **values: Any) -> None:
        up = "../" * name.count("/")
        text = self._templates.get_template(f"{template}.html").render(up=up, here=name, **values)
        (self._folder / name).write_text(f"{text}\n", encoding="utf-8", newline="\n")
        self._pages += 1

    def _sections(self) -> list[dict[str, Any]]:
        """Return studies, those of the first claims first, with claims that share figures."""
        claims = read_claims(_CLAIMS)
        named = [claim.study for claim in claims]
        sections = []
        for study in sorted(self._studies, key=lambda s: [*named, s.slug].index(s.slug)):
            groups: dict[tuple[Figure, ...], list[dict[str, Any]]] = {}
            for claim in claims:
                if claim.study == study.slug and (figures := tuple(study.shown(claim))):
                    cells = {k: self._documents.line(v, _CLAIMS) for k, v in vars(claim).items()}
                    groups.setdefault(figures, []).append(cells)
            rest = [f for f in study.figures if not any(f in figures for figures in groups)]
            sections.append({"study": study, "groups": groups, "rest": rest})
        return sections


def _findings(figures: Sequence[Figure]) -> dict[str, Any]:
    """Return the numbers and figures of the landing page, from published tables.

    Raises:
        UserError: one of them is missing.
    """

    def table(study: str, name: str) -> Any:
        return read_table(name, _PUBLISHED / study / "tables" / f"{name}.csv")

    def figure(study: str, name: str) -> Figure:
        for one in figures:
            if one.address == f"figure/{study}/{name}":
                return one
        raise UserError(f"{_PUBLISHED / study}: no figure {name}; expected by the first page")

    chosen = "experiment == 'law_steps6000' and mode == 'eval' and threshold == 0.1"
    laws = table("law_small", "scaling").query(chosen).set_index("growth")
    solved = table("law_small", "thresholds").query(f"{chosen} and seed == 'all'")
    compared = table("released", "comparison").query("mode == 'eval' and train_samples == 'inf'")
    cells = table("released", "comparison_summary").groupby("mode")[["cells", "agrees", "lower"]]
    fall = compared.loc[(compared["published"] - compared["ours"]).idxmax()]
    claims = table("theory", "claims")
    return {
        "law": figure("law_small", "depth_law"),
        "solved": solved.sort_values("depth"),
        "slope": laws.loc["exponential"],
        "rejected": laws.index[laws["p"] < 0.05].tolist(),
        "dropout": figure("released", "comparison"),
        "cells": cells.sum().to_dict("index"),
        "fall": fall,
        "theory": figure("theory", "construction_depth"),
        "instances": f"{claims['instances'].sum():,}".replace(",", "\N{NO-BREAK SPACE}"),
        "failures": claims["failures"].sum(),
        "printed": table("theory", "counterexamples").query("form == 'printed'")["claim"].nunique(),
    }
