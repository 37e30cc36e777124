// The cells of an inverted file: which are probed for a query, and what is found there.

const SIZE = 460, EDGE = 14;
const n = data.rows.length, nlist = data.centroids.length;
const state = { nprobe: data.nprobe, query: [...data.query] };
const squared = (a, b) => (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2;

// ---- the search

/** Positions of the nearest rows, nearest first; of equal ones the smaller first. */
function nearest(rows, point) {
  const distances = rows.map((row) => squared(row, point));
  return range(rows.length).sort((a, b) => distances[a] - distances[b] || a - b);
}

function computed(nprobe) {
  const order = nearest(data.centroids, state.query);
  const probed = new Set(order.slice(0, nprobe));
  const ranked = nearest(data.rows, state.query);
  const wanted = ranked.slice(0, data.k);
  const found = wanted.filter((row) => probed.has(data.cells[row]));
  return { order, probed, wanted, found, recall: found.length / data.k,
    read: data.cells.filter((cell) => probed.has(cell)).length };
}

// ---- from the plane to the picture and back

const low = [0, 1].map((axis) => Math.min(...data.rows.map((row) => row[axis])));
const high = [0, 1].map((axis) => Math.max(...data.rows.map((row) => row[axis])));
const scale = (SIZE - 2 * EDGE) / Math.max(high[0] - low[0], high[1] - low[1]);
const [width, height] = [0, 1].map((axis) => 2 * EDGE + scale * (high[axis] - low[axis]));
const shift = ([x, y]) => [EDGE + scale * (x - low[0]), height - EDGE - scale * (y - low[1])];
const back = (x, y) => [low[0] + (clamp(x, 4, width - 4) - EDGE) / scale,
  low[1] + (height - EDGE - clamp(y, 4, height - 4)) / scale];

/** The corners of a cell: the frame, cut by the line half way to each other centroid. */
function corners(cell) {
  const own = shift(data.centroids[cell]);
  let polygon = [[0, 0], [width, 0], [width, height], [0, height]];
  for (const other of data.centroids.map(shift)) {
    if (other[0] === own[0] && other[1] === own[1]) continue;
    const side = (p) => squared(p, other) - squared(p, own); // positive on the cell's side
    polygon = polygon.flatMap((from, i) => {
      const to = polygon[(i + 1) % polygon.length], [a, b] = [side(from), side(to)];
      const cut = from.map((x, axis) => x + (a / (a - b)) * (to[axis] - x));
      return [...(a >= 0 ? [from] : []), ...((a >= 0) !== (b >= 0) ? [cut] : [])];
    });
  }
  return polygon;
}

// ---- the picture

const svg = element("svg", { viewBox: `-3 -3 ${width + 6} ${height + 6}`, role: "group",
  "aria-label": "cells of an inverted file with a query" });
const polygons = range(nlist).map((cell) => svg.appendChild(element("polygon", {
  points: corners(cell).map((p) => p.map((x) => x.toFixed(1)).join(",")).join(" "),
  stroke: "var(--quiet)", "stroke-width": 1.5, "stroke-linejoin": "round" })));
const dots = data.rows.map((row) => {
  const [cx, cy] = shift(row);
  return svg.appendChild(element("circle", { cx, cy, r: 3.2 }));
});
const marks = svg.appendChild(element("g"));
const orders = data.centroids.map((centroid) => {
  const [x, y] = shift(centroid);
  return svg.appendChild(element("text", { x, y: y + 6, "text-anchor": "middle", style: "font-size:" +
    "18px;font-weight:700;paint-order:stroke;stroke:var(--paper);stroke-width:5px" }));
});
const star = element("polygon", { fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 2,
  points: range(10).map((i) => [13, 5.5][i % 2] * Math.sin((i * Math.PI) / 5) + "," +
    -[13, 5.5][i % 2] * Math.cos((i * Math.PI) / 5)).join(" ") });
const move = (x, y) => { state.query = back(x, y); draw(); };
const query = svg.appendChild(handle(svg, "query", star, move, (right, up) => {
  const [x, y] = shift(state.query);
  move(x + 8 * right, y - 8 * up);
}));

// ---- recall and work of every nprobe, for this query

const chart = element("svg", { viewBox: "0 0 360 185", role: "img",
  "aria-label": "recall and share of vectors read against nprobe" });

function drawChart(all) {
  const place = (i, share) => `${48 + (300 * i) / (nlist - 1)},${140 - 120 * share}`;
  const curve = (share, stroke, dash) => element("polyline", { fill: "none", stroke, "stroke-width": 3,
    "stroke-dasharray": dash, points: all.map((one, i) => place(i, share(one))).join(" ") });
  const text = (x, y, anchor, label, style = "") => element("text", { x, y, "text-anchor": anchor,
    class: "small", style }, label);
  const now = 48 + (300 * (state.nprobe - 1)) / (nlist - 1);
  chart.replaceChildren(
    element("line", { x1: 48, x2: 348, y1: 140, y2: 140, stroke: "var(--line)", "stroke-width": 2 }),
    element("line", { x1: now, x2: now, y1: 14, y2: 140, stroke: "var(--ink)", "stroke-width": 2 }),
    curve((one) => one.recall, "var(--blue)", ""),
    curve((one) => one.read / n, "var(--orange)", "7 5"),
    text(42, 25, "end", "100%"), text(42, 144, "end", "0"),
    text(48, 160, "middle", "1"), text(348, 160, "middle", nlist), text(198, 160, "middle", "nprobe"),
    text(58, 180, "start", "— recall", "fill:var(--blue);font-weight:700"),
    text(340, 180, "end", "- - vectors read", "fill:var(--orange);font-weight:700"));
}

// ---- controls and numbers

const dial = slider("nprobe", "Cells to probe (nprobe)", { min: 1, max: nlist, step: 1,
  value: data.nprobe }, (x) => { state.nprobe = x; draw(); });
const shown = numbers({ recall: `Recall@${data.k}`, read: "Vectors read", share: "Share of all vectors" });
const say = spoken();
const key = (name, text) => [element("span", { class: "key", style: `background: var(--${name})` }),
  ` ${text} `, element("br")];
const legend = element("p", {}, ...key("blue", `one of the ${data.k} nearest, found`),
  ...key("orange", `one of the ${data.k} nearest, missed`));

function draw() {
  const all = range(nlist).map((i) => computed(i + 1)), now = all[state.nprobe - 1];
  for (const cell of range(nlist)) {
    const place = now.order.indexOf(cell), probed = place < state.nprobe;
    set(polygons[cell], { fill: probed ? "var(--sky)" : "var(--paper)",
      "fill-opacity": probed ? 0.5 - (0.3 * place) / nlist : 1 });
    orders[cell].textContent = probed ? place + 1 : "";
  }
  dots.forEach((dot, row) => dot.setAttribute("fill", now.probed.has(data.cells[row])
    ? "var(--ink)" : "var(--line)"));
  marks.replaceChildren(...now.wanted.map((row) => {
    const [x, y] = shift(data.rows[row]);
    return now.found.includes(row)
      ? element("circle", { cx: x, cy: y, r: 6.5, fill: "var(--blue)", stroke: "var(--paper)" })
      : element("polygon", { points: `${x},${y - 9} ${x + 8},${y + 6} ${x - 8},${y + 6}`,
        fill: "var(--orange)", stroke: "var(--paper)" });
  }));
  query.dataset.at = state.query;
  query.place(...shift(state.query), `in cell ${now.order[0] + 1}`);
  drawChart(all);
  shown.show("recall", now.recall, `${Math.round(100 * now.recall)}%`);
  shown.show("read", now.read, `${now.read} of ${n}`);
  shown.show("share", now.read / n, `${Math.round((100 * now.read) / n)}%`);
  say.say(`${state.nprobe} of ${nlist} cells hold ${now.found.length} of the ${data.k} nearest ` +
    `vectors; ${now.read} vectors and ${nlist} centroids are compared with the query.`);
}

piece.append(element("p", { class: "quiet" }, "Drag the query (the star), or focus it and press the " +
  "arrow keys. Numbers are the order in which cells are probed: nearest centroid first."),
element("div", { class: "split" }, element("div", {}, svg), element("div", {},
  element("div", { class: "controls" }, dial), shown, chart, legend, say)));
draw();
