"use strict";
// Tables that can be sorted, and pictures that can be enlarged.

const ROWS = 20;

function element(name, text = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
}

/** Fill a table with rows of text, whose columns can be sorted: as numbers where they are. */
function fill(table, more, { columns, rows }) {
  let shown = ROWS;
  let sorted = { column: -1, up: false };
  const head = table.createTHead().insertRow();
  const body = table.createTBody();
  const draw = () => {
    body.replaceChildren(
      ...rows.slice(0, shown).map((row) => {
        const line = document.createElement("tr");
        line.append(...row.map((cell) => element("td", cell.replaceAll("$", ""))));
        return line;
      }),
    );
    more.textContent = `${Math.min(shown, rows.length)} of ${rows.length} rows. `;
    if (shown >= rows.length) return;
    const all = element("button", "Show all", { type: "button" });
    all.onclick = () => ((shown = rows.length), draw(), table.querySelector("button").focus());
    more.append(all);
  };
  columns.forEach((name, column) => {
    const cell = element("th", "", { scope: "col" });
    const button = element("button", name, { type: "button" });
    button.onclick = () => {
      sorted = { column, up: sorted.column === column ? !sorted.up : true };
      const sign = sorted.up ? 1 : -1;
      rows.sort((one, other) => sign * compared(one[column], other[column]));
      for (const other of head.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
      draw();
    };
    cell.append(button);
    head.append(cell);
  });
  draw();
}

function compared(one, other) {
  if (one === "" || other === "") return (one === "") - (other === "");
  const difference = Number(one) - Number(other);
  return Number.isNaN(difference) ? one.localeCompare(other, "en") : difference;
}

for (const table of document.querySelectorAll("table.data")) {
  fill(table, document.querySelector(".more"), JSON.parse(document.getElementById("data").text));
}
// From as wide as the page to 2 and 4 times that, where it scrolls, or on until the text of many
// panels can be read, and back.
for (const link of document.querySelectorAll("a.zoom")) {
  const image = link.firstChild;
  let scale = 1;
  link.onclick = (event) => {
    event.preventDefault();
    const [x, y] = [event.offsetX / image.width || 0, event.offsetY / image.height || 0];
    scale = scale < 4 || scale * link.clientWidth < image.naturalWidth / 3 ? 2 * scale : 1;
    image.classList.toggle("large", scale > 1);
    image.style.width = scale > 1 ? `${scale * link.clientWidth}px` : "";
    // What was pointed at stays in sight.
    link.scrollTo(x * image.width - link.clientWidth / 2, y * image.height - link.clientHeight / 2);
  };
}
