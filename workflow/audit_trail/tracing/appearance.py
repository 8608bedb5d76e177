"""Style and script of the pages: kept as text, for an installed package has no other files."""

STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1a1c20; --faint: #5c6370; --line: #d5d9e0;
  --mark: #e7f0ff; --good: #17693a; --fair: #805500; --bad: #b3132b; }
@media (prefers-color-scheme: dark) { :root { --back: #15171b; --text: #e6e8ec; --faint: #a0a7b4;
  --line: #363b45; --mark: #22324d; --good: #6fd39a; --fair: #eebd5c; --bad: #ff8090; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
header { padding: 1rem 1.5rem 0; }
h1 { font-size: 1.2rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
header p { margin: 0 0 .8rem; max-width: 60rem; color: var(--faint); }
kbd, code { font: .85em ui-monospace, monospace; border: 1px solid var(--line); border-radius: 3px;
  padding: 0 .3em; }
main { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.2rem;
  padding: 0 1.5rem 1.5rem; align-items: start; }
#panel { position: sticky; top: .8rem; max-height: calc(100vh - 1.6rem); overflow: auto;
  border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; }
#panel img { max-width: 100%; background: #fff; border-radius: 4px; }
ul { list-style: none; margin: 0; padding: 0; }
ul ul { margin-left: .55rem; padding-left: .9rem; border-left: 1px solid var(--line); }
li { outline: none; }
.label { position: relative; padding: .1rem .4rem .1rem 1.1rem; border-radius: 4px; cursor: pointer;
  overflow-wrap: anywhere; }
.label:hover, [aria-selected="true"] > .label { background: var(--mark); }
li:focus > .label { box-shadow: 0 0 0 2px currentColor; }
[aria-expanded] > .label::before { content: "▾"; position: absolute; left: .2rem;
  color: var(--faint); }
[aria-expanded="false"] > .label::before { content: "▸"; }
[aria-expanded="false"] > ul { display: none; }
.kind, .few { color: var(--faint); font-size: .87em; }
.label b { font-weight: 600; }
.state { font-size: .85em; font-weight: 600; color: var(--fair); white-space: nowrap; }
.state::before { content: "● "; }
.as-recorded { color: var(--good); }
.modified, .missing { color: var(--bad); }
table { border-collapse: collapse; font-size: .9em; }
caption { text-align: left; padding-bottom: .2rem; }
th, td { text-align: left; vertical-align: top; padding: .12rem .8rem .12rem 0;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--faint); }
#panel table { width: 100%; }
#panel th { width: 34%; }
.wide { overflow-x: auto; margin-bottom: .8rem; }
summary { cursor: pointer; margin-top: .6rem; }
pre { font: .8em/1.35 ui-monospace, monospace; overflow: auto; max-height: 60vh; margin: .4rem 0 0;
  padding: .6rem; border: 1px solid var(--line); border-radius: 4px; }
@media (max-width: 60rem) { main { grid-template-columns: 1fr; }
  #panel { order: -1; max-height: 45vh; background: var(--back); z-index: 1; } }
"""

# Values of records reach the page as text content only, never as HTML.
SCRIPT = """
"use strict";
const trace = JSON.parse(document.getElementById("trace").textContent);
const panel = document.getElementById("panel");
const tree = document.querySelector("[role=tree]");
const items = [...tree.querySelectorAll("[role=treeitem]")];
let current = null;

function make(parent, tag, text, kind) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  parent.append(element);
  return element;
}

function words(value) {
  if (value === null) return "none";
  return typeof value === "object" ? JSON.stringify(value, null, 1) : String(value);
}

function show(key) {
  const node = trace.nodes[key];
  const picture = key === trace.root ? panel.querySelector("img") || show.picture : null;
  show.picture = show.picture || panel.querySelector("img");
  panel.replaceChildren();
  if (picture) panel.append(picture);
  make(panel, "h2", node.title);
  const line = make(panel, "p", node.kind + " ", "kind");
  if (node.state) make(line, "span", node.state, "state " + node.state.replaceAll(" ", "-"));
  const facts = make(make(panel, "table"), "tbody");
  const named = Object.entries(node.facts);
  if (node.sha256) named.unshift(["sha256", node.sha256]);
  if (node.name && node.name !== node.title) named.unshift(["file", node.name]);
  if (node.record) named.push(["its record", node.record]);
  for (const [name, value] of named) {
    const row = make(facts, "tr");
    make(row, "th", name).scope = "row";
    if (value !== null && typeof value === "object" && words(value).length > 120) {
      const more = make(make(row, "td"), "details");
      make(more, "summary", Object.keys(value).length + " entries");
      make(more, "pre", words(value));
    } else make(row, "td", words(value));
  }
  if (node.record && node.record in trace.records) {
    const whole = make(panel, "details");
    if (node.kind === "job") whole.open = true;
    make(whole, "summary", "record");
    make(whole, "pre", JSON.stringify(trace.records[node.record], null, 1));
  }
  panel.scrollTop = 0;
}

function select(item, focus) {
  if (current) {
    current.tabIndex = -1;
    current.setAttribute("aria-selected", "false");
  }
  current = item;
  item.tabIndex = 0;
  item.setAttribute("aria-selected", "true");
  if (focus) item.focus({preventScroll: false});
  show(item.dataset.key);
}

function open(item, value) {
  if (item.hasAttribute("aria-expanded")) item.setAttribute("aria-expanded", String(value));
}

function above(item) {
  return item.parentElement.closest("[role=treeitem]");
}

tree.addEventListener("click", (event) => {
  const label = event.target.closest(".label");
  if (!label) return;
  const item = label.parentElement;
  const arrow = event.clientX - label.getBoundingClientRect().left < 18;
  if (arrow || item === current) open(item, item.getAttribute("aria-expanded") !== "true");
  select(item, true);
});

tree.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const seen = items.filter((item) => item.getClientRects().length);
  const place = seen.indexOf(current);
  const closed = current.getAttribute("aria-expanded");
  let next = null;
  if (event.key === "ArrowDown") next = seen[place + 1];
  else if (event.key === "ArrowUp") next = seen[place - 1];
  else if (event.key === "Home") next = seen[0];
  else if (event.key === "End") next = seen[seen.length - 1];
  else if (event.key === "ArrowRight" && closed === "false") open(current, true);
  else if (event.key === "ArrowRight" && closed === "true") next = seen[place + 1];
  else if (event.key === "ArrowLeft" && closed === "true") open(current, false);
  else if (event.key === "ArrowLeft") next = above(current);
  else if (event.key === "Enter" || event.key === " ") open(current, closed !== "true");
  else return;
  event.preventDefault();
  if (next) select(next, true);
});

select(items[0], false);
"""
