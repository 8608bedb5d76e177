"""Documents of the clone as pages: their links lead to what the site has, or are left out."""

import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from logdepth.errors import UserError

_WIDE = '<div class="wide" role="region" aria-label="table" tabindex="0"><table>'


class Documents:
    """Renders Markdown.

    Args:
        places: for a file or folder of the clone, where the site has it or what stands for it.
    """

    def __init__(self, places: Mapping[Path, str]) -> None:
        self._places = places
        self._markdown = MarkdownIt("commonmark").enable("table")

    def line(self, text: str, source: Path) -> Markup:
        """Return text of a document within a line, such as a cell of a table, as HTML."""
        return self._rendered(self._markdown.parseInline(text), source)

    def page(self, source: Path) -> tuple[Markup, Markup]:
        """Return title and text of a document as HTML.

        Raises:
            UserError: it does not start with a title, or shows a picture that is no figure.
        """
        tokens = self._markdown.parse(source.read_text(encoding="utf-8"))
        if len(tokens) < 3 or tokens[0].tag != "h1":
            raise UserError(f"{source}: expected a title, '# ...', in its first line")
        for token, following in pairwise(tokens):
            if token.type == "heading_open":
                # As GitHub has it.
                anchor = re.sub(r"[^\w\- ]", "", following.content.lower()).replace(" ", "-")
                token.attrs["id"] = anchor
        text = str(self._rendered(tokens[3:], source))
        text = text.replace("<table>", _WIDE).replace("</table>", "</table></div>")
        return self._rendered([tokens[1]], source), Markup(text)

    def _rendered(self, tokens: Sequence[Token], source: Path) -> Markup:
        for token in (inner for outer in tokens for inner in outer.children or []):
            if token.type == "image":
                path = Path(os.path.normpath(source.parent / str(token.attrs["src"])))
                if path not in self._places:
                    raise UserError(f"{source}: {path} is no figure of the site")
                page = self._places[path]
                image = page.removesuffix("html") + "svg"
                token.type = "html_inline"
                token.content = (
                    f'<a class="picture" href="{page}">'
                    f'<img src="{image}" alt="{token.content}" loading="lazy"></a>'
                )
            elif token.type == "link_open" and "://" not in (link := str(token.attrs["href"])):
                name, mark, anchor = link.partition("#")
                path = Path(os.path.normpath(source.parent / name))
                place = self._places.get(path, "") if name else ""
                token.attrs.pop("href")
                if place or not name:
                    token.attrs["href"] = f"{place}{mark}{anchor}"
        return Markup(self._markdown.renderer.render(tokens, self._markdown.options, {}))
