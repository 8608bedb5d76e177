"use strict";
// hop_k, its pointers, and transformers that answer it.

/** Return find^0, find^1, ... find^k of a place in a string (an array), as far as there are hops. */
function pointers(string, place, k) {
  const path = [place];
  while (path.length <= k) {
    let before = path.at(-1) - 1;
    while (before >= 0 && string[before] !== string[path.at(-1)]) before--;
    if (before < 0) break;
    path.push(before + 1);
  }
  return path;
}

/** Decode weights: float32 in base64, as they lie in a page. */
function decoded(model) {
  const weights = {};
  for (const [name, { shape, data }] of Object.entries(model.weights)) {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    weights[name] = { shape, data: new Float32Array(bytes.buffer) };
  }
  return { ...model, weights };
}

/** The error function to double precision, by a series of positive terms. */
function erf(x) {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [sum, term] = [0, x];
  for (let n = 1; Math.abs(term) > 1e-17; n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const ACTIVATION = {
  softmax: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  gpt2: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/**
 * Run a model of the form softmax or gpt2 on token ids, as Network.forward does.
 *
 * Returns logits, a Float64Array for each token, and attention[layer][head], for each token that
 * asks an array over the tokens up to it.
 */
function forward(model, tokens) {
  const { weights, width, heads, depth } = model;
  const size = width / heads;
  const times = (rows, name) => {
    const { shape, data } = weights[`${name}.weight`];
    const bias = weights[`${name}.bias`]?.data;
    return rows.map((row) =>
      Float64Array.from({ length: shape[0] }, (_, out) => {
        let sum = bias ? bias[out] : 0;
        for (let i = 0, at = out * shape[1]; i < shape[1]; i++) sum += data[at + i] * row[i];
        return sum;
      }),
    );
  };
  const norm = (rows, name) => {
    const [scale, shift] = ["weight", "bias"].map((part) => weights[`${name}.${part}`].data);
    return rows.map((row) => {
      const mean = row.reduce((sum, x) => sum + x, 0) / width;
      const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / width;
      return row.map((x, i) => ((x - mean) / Math.sqrt(variance + 1e-5)) * scale[i] + shift[i]);
    });
  };
  const added = (rows, more) => rows.map((row, t) => row.map((x, i) => x + more[t][i]));
  const embedded = (name, t) => weights[name].data.subarray(t * width, (t + 1) * width);

  let rows = tokens.map((token, t) =>
    Float64Array.from(embedded("tokens.weight", token), (x, i) => x + embedded("positions.weight", t)[i]),
  );
  const attention = [];
  for (let layer = 0; layer < depth; layer++) {
    const block = `blocks.${layer}`;
    const asked = times(norm(rows, `${block}.mixer_norm`), `${block}.mixer.query_key_value`);
    const mixed = rows.map(() => new Float64Array(width));
    attention.push(
      Array.from({ length: heads }, (_, head) => {
        const from = head * size;
        return asked.map((query, t) => {
          const scores = asked.slice(0, t + 1).map((key) => {
            let sum = 0;
            for (let i = from; i < from + size; i++) sum += query[i] * key[width + i];
            return sum / Math.sqrt(size);
          });
          const shares = softmax(scores);
          shares.forEach((share, s) => {
            for (let i = from; i < from + size; i++) mixed[t][i] += share * asked[s][2 * width + i];
          });
          return shares;
        });
      }),
    );
    rows = added(rows, times(mixed, `${block}.mixer.output`));
    if (weights[`${block}.mlp.hidden.weight`]) {
      const hidden = times(norm(rows, `${block}.mlp_norm`), `${block}.mlp.hidden`);
      const active = hidden.map((row) => row.map(ACTIVATION[model.form]));
      rows = added(rows, times(active, `${block}.mlp.output`));
    }
  }
  rows = norm(rows, "norm");
  return { logits: weights["head.weight"] ? times(rows, "head") : rows, attention };
}

function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, x) => sum + x, 0);
  return powers.map((power) => power / total);
}

const letter = (symbol) => String.fromCharCode(97 + symbol);

/** Return the token ids of a string (an array of symbols) behind the hop token of k. */
const tokensOf = (model, string, k) => [k, ...string.map((symbol) => model.max_k + 1 + symbol)];

/** Return what a model answers at a place of the string: symbol (or null for none) and share. */
function answer(model, logits) {
  const first = model.max_k + 1 - model.first_class;
  const shares = softmax([...logits.slice(first, first + model.alphabet + 1)]);
  const best = shares.indexOf(Math.max(...shares));
  return { symbol: best === model.alphabet ? null : best, share: shares[best] };
}

/** Draw a string with the hops of a path; column 0 is the hop token. */
function drawHops(svg, string, k, path) {
  const [unit, top] = [20, 62];
  const middle = (place) => (place + 1.5) * unit;
  const tile = (x, text, more) =>
    `<rect class="tile ${more}" x="${x * unit + 1}" y="${top}" width="${unit - 2}" height="${unit}" rx="3"/>` +
    `<text x="${(x + 0.5) * unit}" y="${top + 14}">${text}</text>`;
  let drawn = tile(0, k, "k") + `<text class="small" x="${unit / 2}" y="${top + 29}">k</text>`;
  string.forEach((symbol, place) => {
    drawn += tile(place + 1, letter(symbol), path.includes(place) ? "on" : "");
    if (!place || place % 5 === 4) {
      drawn += `<text class="small" x="${middle(place)}" y="${top + 29}">${place + 1}</text>`;
    }
  });
  path.slice(1).forEach((to, j) => {
    const [start, end] = [middle(path[j]), middle(to)];
    const high = top - Math.min(top - 12, 10 + Math.abs(start - end) / 3);
    drawn += `<circle class="ring" cx="${middle(to - 1)}" cy="${top + 10}" r="8"/>`;
    drawn += start === end
      ? `<path d="M${start - 3} ${top} c-6 -14 12 -14 6 0"/>`
      : `<path d="M${start} ${top} Q${(start + end) / 2} ${2 * high - top} ${end} ${top}"/>`;
    drawn += `<path d="M${end - 3} ${top - 5} L${end} ${top} L${end + 3} ${top - 5}"/>`;
    drawn += `<text class="small" x="${(start + end) / 2}" y="${high - 3}">${j + 1}</text>`;
  });
  svg.setAttribute("viewBox", `0 0 ${(string.length + 1) * unit} ${top + 32}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${string.map(letter).join("")}: ${path.length - 1} hops`);
  svg.innerHTML = drawn;
}

/** Say where most of a head's attention goes: find^j, or what else the token is; "" for nowhere. */
function sees(shares, path) {
  const most = shares.indexOf(Math.max(...shares));
  if (shares[most] < 0.5) return "";
  const j = path.indexOf(most - 1);
  if (j > 0) return `find<sup>${j}</sup>`;
  return most === 0 ? "<i>k</i>" : most === shares.length - 1 ? "itself" : most === shares.length - 2 ? "before" : "";
}

function play() {
  const models = JSON.parse(document.getElementById("model-data").text).map(decoded);
  window.models = models;
  const { alphabet, max_k: maxK, context } = models[0];
  const [field, kField, placeField, problem, said] = ["string", "k", "place", "problem", "said"].map((id) =>
    document.getElementById(id),
  );
  let timer;

  const draw = (hops = Infinity) => {
    clearTimeout(timer);
    const string = [...field.value].map((symbol) => symbol.charCodeAt(0) - 97);
    const wrong = [...field.value].find((_, i) => !(string[i] >= 0 && string[i] < alphabet));
    problem.textContent = wrong
      ? `'${wrong}' is no letter of this task; expected ${letter(0)} to ${letter(alphabet - 1)}`
      : string.length ? "" : "Expected a string of one letter or more";
    if (problem.textContent) return;
    placeField.max = string.length;
    const [k, place] = [Number(kField.value), Number(placeField.value) - 1];
    const path = pointers(string, place, k);
    document.getElementById("k-said").value = k;
    document.getElementById("place-said").value = `${place + 1} (${letter(string[place])})`;
    document.querySelector(".stage").style.setProperty("--least", `${(string.length + 1) * 13}px`);
    drawHops(document.getElementById("string-drawn"), string, k, path.slice(0, hops + 1));
    const lines = path.slice(1, hops + 1).map((to, j) => {
      const symbol = letter(string[path[j]]);
      return `the ${symbol} before place ${path[j] + 1} is at ${to}: hop to ${to + 1}, ${letter(string[to])}`;
    });
    if (hops >= path.length && path.length <= k) {
      lines.push(`no ${letter(string[path.at(-1)])} before place ${path.at(-1) + 1}: there is no answer`);
    }
    said.innerHTML = lines.map((line) => `<li>${line}</li>`).join("");
    if (hops < path.length) {
      timer = setTimeout(() => draw(hops + 1), 700);
      return;
    }
    const right = path.length > k ? string[path[k]] : null;
    document.getElementById("models").innerHTML = models
      .map((model) => panel(model, string, k, place, right))
      .join("");
  };

  field.value = Array.from("dcfeabdfcbdacfbeadfbc", (c) => letter((c.charCodeAt(0) - 97) % alphabet)).join("");
  field.maxLength = context - 1;
  document.getElementById("letters").textContent = `${letter(0)} to ${letter(alphabet - 1)}`;
  kField.max = maxK;
  kField.value = Math.min(3, maxK);
  const toEnd = () => (placeField.value = placeField.max = field.value.length || 1);
  field.oninput = () => (toEnd(), draw());
  kField.oninput = placeField.oninput = () => draw();
  document.getElementById("hop").onclick = () => draw(0);
  document.getElementById("playground").onsubmit = (event) => event.preventDefault();
  document.getElementById("random").onclick = () => {
    const symbols = [Math.floor(Math.random() * alphabet)];
    while (symbols.length < Math.min(30, context - 1)) {
      symbols.push((symbols.at(-1) + 1 + Math.floor(Math.random() * (alphabet - 1))) % alphabet);
    }
    field.value = symbols.map(letter).join("");
    field.oninput();
  };
  toEnd();
  draw();
}

/** Return a model's answer and, for each head, where it looks from a place, as HTML. */
function panel(model, string, k, place, right) {
  const { logits, attention } = forward(model, tokensOf(model, string, k));
  const { symbol, share } = answer(model, logits[place + 1]);
  const name = symbol === null ? "no answer" : letter(symbol);
  const path = pointers(string, place, model.max_k);
  const rows = attention.flatMap((of, layer) =>
    of.map((shares, head) => {
      const own = shares[place + 1];
      const cells = own.map((x, s) => (x < 0.005 ? "" : `<rect x="${s}" width="1" height="1" opacity="${x.toFixed(3)}"/>`));
      const seen = sees(own, path);
      return (
        `<div class="row ${head ? "" : "first"}"><span>${layer + 1}.${head + 1}</span>` +
        `<svg class="strip" viewBox="0 0 ${string.length + 1} 1" preserveAspectRatio="none" aria-hidden="true">${cells.join("")}</svg>` +
        `<span class="${seen.startsWith("find") ? "sure" : ""}">${seen}</span></div>`
      );
    }),
  );
  const verdict = symbol === right ? "right" : `<b>wrong</b>: ${right === null ? "there is no answer" : letter(right)}`;
  return `<h2>${model.title}: ${name}, ${(100 * share).toFixed(1)} %, ${verdict}</h2>${rows.join("")}`;
}

for (const svg of document.querySelectorAll("svg[data-string]")) {
  const string = [...svg.dataset.string].map((symbol) => symbol.charCodeAt(0) - 97);
  const k = Number(svg.dataset.k);
  drawHops(svg, string, k, pointers(string, string.length - 1, k));
}
if (document.getElementById("playground")) play();
