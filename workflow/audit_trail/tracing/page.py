"""A lineage as one HTML page that needs no network and no server.

Records are files from somebody else: everything of theirs is escaped, the script takes it as text
alone, and the page's own policy lets no other script run.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from audit_trail.report import printable
from audit_trail.tracing.appearance import SCRIPT, STYLE
from audit_trail.tracing.nodes import Node
from audit_trail.tracing.trace import Rows, Trace
from audit_trail.tracing.words import moment, took
from logdepth.files import write_text

_DEEPEST = 40
_ROWS = 20
_OPEN = 12
# A larger picture is left out, for the page is to stay below a megabyte.
_PICTURE = 400_000


def write_page(trace: Trace, path: Path) -> None:
    """Write a trace as a page of HTML."""
    write_text(path, page(trace, datetime.now(UTC)))


def page(trace: Trace, now: datetime) -> str:
    """Return a trace as a page of HTML.

    Args:
        trace: to show.
        now: when the files were looked at.
    """
    title = _text(trace.file)
    states = ", ".join(f"{number} {state}" for state, number in trace.lineage.states().items())
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(STYLE)}'; "
        f"script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    picture = _picture(trace)
    rows = "" if trace.rows is None else _rows(trace.rows)
    tree = _Tree().item(trace.lineage.root, 0)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trace of {title}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>Where it comes from, as the records of the study {_text(trace.study)} tell. The files behind it,
as found on {now:%Y-%m-%d %H:%M} UTC: {_text(states)}. <kbd>↑</kbd> <kbd>↓</kbd> move,
<kbd>←</kbd> <kbd>→</kbd> close and open; <code>logdepth audit verify</code> checks the records
themselves.</p>
{rows}</header>
<main>
<nav aria-label="what it comes from"><ul role="tree" aria-label="{title}">{tree}</ul></nav>
<section id="panel" aria-live="polite" aria-label="facts and record" tabindex="0">
{picture}<noscript><p>Facts and records are shown by a script of this page; all of them are in
<code>logdepth audit trace --json</code>.</p></noscript>
</section>
</main>
<script type="application/json" id="trace">{_embedded(trace)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


class _Tree:
    """The tree as nested lists; what was shown before is referred to."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def item(self, node: Node, depth: int) -> str:
        # An environment is short, and what stands above may be closed.
        short = node.kind == "environment"
        again = node.key in self._seen and bool(node.children) and not short
        self._seen.add(node.key)
        label = f'<span class="kind">{_text(node.kind)}</span> {_title(node)}'
        if "rows" in node.facts:
            label += f' <span class="few">{_text(str(node.facts["rows"]))} rows</span>'
        if node.state:
            label += f' <span class="state {_word(node.state)}">{_text(str(node.state))}</span>'
        if again:
            label += ' <span class="few">as above</span>'
        inner = ""
        if node.children and not again and depth < _DEEPEST:
            inner = "".join(self.item(child, depth + 1) for child in node.children)
        # Many runs would push all else off the screen.
        closed = node.kind in ("run", "environment") or len(node.children) > _OPEN
        opened = "false" if closed else "true"
        expanded = f' aria-expanded="{opened}"' if inner else ""
        group = f'<ul role="group">{inner}</ul>' if inner else ""
        return (
            f'<li role="treeitem" tabindex="-1" data-key="{_text(node.key)}"{expanded}>'
            f'<div class="label">{label}</div>{group}</li>'
        )


def _title(node: Node) -> str:
    title = f"<b>{_text(node.title)}</b>"
    if node.kind == "job":
        return f'{title} <span class="few">{_text(moment(node))}</span>'
    if node.kind == "run":
        known = [f"{name} {node.facts[name]}" for name in ("depth", "seed") if name in node.facts]
        known += [taken] if (taken := took(node.facts)) else []
        return f'{title} <span class="few">{_text(", ".join(known))}</span>'
    return title


def _rows(rows: Rows) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in rows.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"
        for row in rows.rows[:_ROWS]
    )
    asked = ", ".join(f"{name}={value}" for name, value in rows.conditions.items())
    caption = f"{len(rows.rows)} of {rows.total} rows have {asked}"
    if len(rows.rows) > _ROWS:
        caption += f"; the first {_ROWS} of them"
    return (
        f'<div class="wide"><table><caption>{_text(caption)}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>\n"
    )


def _picture(trace: Trace) -> str:
    if trace.image is None or trace.image.stat().st_size > _PICTURE:
        return ""
    content = base64.b64encode(trace.image.read_bytes()).decode()
    alt = _text(f"the figure {trace.image.stem} as it is in the study")
    return f'<img alt="{alt}" src="data:image/png;base64,{content}">\n'


def _embedded(trace: Trace) -> str:
    found = trace.as_json()
    wanted = {
        "root": found["root"],
        "nodes": {node.pop("key"): node for node in found["nodes"]},
        "records": found["records"],
    }
    # Within a script element nothing is escaped, so that no sign may be there that could end it.
    plain = json.dumps(wanted, separators=(",", ":"))
    return plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _word(state: str) -> str:
    return _text(str(state).replace(" ", "-"))


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
