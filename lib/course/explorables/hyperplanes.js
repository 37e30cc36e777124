// Random hyperplanes through the origin: the bits of a query, and its bucket in each table.

const SIZE = 460, RADIUS = 190, MIDDLE = SIZE / 2;
const n = data.rows.length, DRAWS = data.normals.length;
const state = { bits: data.bits, tables: data.tables, draw: 0, query: [...data.query] };
const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
const bit = (normal, row) => Number(dot(normal, row) >= 0);

// ---- the search

/** The hyperplanes in use, a list of normals for each table. */
const tables = () => data.normals[state.draw].slice(0, state.tables)
  .map((normals) => normals.slice(0, state.bits));

function computed() {
  const codes = tables().map((normals) => normals.map((normal) => bit(normal, state.query)));
  const shares = (row) => tables().map((normals, table) =>
    normals.every((normal, i) => bit(normal, row) === codes[table][i]));
  const inside = data.rows.map(shares); // for each point and table: the same bucket?
  const cosines = data.rows.map((row) => dot(row, state.query) / Math.hypot(...row));
  const wanted = range(n).sort((a, b) => cosines[b] - cosines[a] || a - b).slice(0, data.k);
  const scored = range(n).filter((row) => inside[row].some(Boolean));
  return { codes, wanted, scored, found: wanted.filter((row) => inside[row].some(Boolean)) };
}

// ---- from the plane to the picture and back

const reach = Math.max(...data.rows.map((row) => Math.hypot(...row)));
const scale = (RADIUS - 8) / reach;
const shift = ([x, y]) => [MIDDLE + scale * x, MIDDLE - scale * y];
function back(x, y) {
  const [right, up] = [(x - MIDDLE) / scale, (MIDDLE - y) / scale], length = Math.hypot(right, up);
  if (length < 1e-9) return state.query; // the origin has no direction
  const kept = clamp(length, 0.15 * reach, reach) / length;
  return [right * kept, up * kept];
}
const rim = (angle, radius = RADIUS) =>
  [MIDDLE + radius * Math.cos(angle), MIDDLE - radius * Math.sin(angle)];

/** The bucket of the query in one table: the wedge between the nearest lines on both sides. */
function wedge(normals) {
  const own = Math.atan2(state.query[1], state.query[0]);
  const turn = (angle) => ((angle % Math.PI) + Math.PI) % Math.PI; // to the next line, 0 to pi
  const ahead = normals.map(([x, y]) => turn(Math.atan2(-x, y) - own));
  const [from, to] = [own + Math.max(...ahead) - Math.PI, own + Math.min(...ahead)];
  const large = to - from > Math.PI ? 1 : 0;
  return `M${MIDDLE} ${MIDDLE}L${rim(from).join(" ")}A${RADIUS} ${RADIUS} 0 ${large} 0 ` +
    `${rim(to).join(" ")}Z`;
}

// ---- the picture

const LINES = ["green", "pink", "sky", "amber"].map((name) => `var(--${name})`);
const svg = element("svg", { viewBox: `6 6 ${SIZE - 12} ${SIZE - 12}`, role: "group",
  "aria-label": "hyperplanes through the origin, points and a query" });
const wedges = svg.appendChild(element("g")), planes = svg.appendChild(element("g"));
const dots = data.rows.map((row) => {
  const [cx, cy] = shift(row);
  return svg.appendChild(element("circle", { cx, cy }));
});
const marks = svg.appendChild(element("g"));
const star = element("polygon", { fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 2,
  points: range(10).map((i) => [13, 5.5][i % 2] * Math.sin((i * Math.PI) / 5) + "," +
    -[13, 5.5][i % 2] * Math.cos((i * Math.PI) / 5)).join(" ") });
const move = (x, y) => { state.query = back(x, y); draw(); };
const query = svg.appendChild(handle(svg, "query", star, move, (right, up) => {
  const [x, y] = shift(state.query);
  move(x + 7 * right, y - 7 * up);
}));

/** A line for each hyperplane, and a short arrow to the side where its bit is 1. */
function drawPlane([x, y], name, stroke) {
  const along = Math.atan2(-x, y), side = Math.atan2(y, x);
  const [a, b] = [rim(along), rim(along + Math.PI)];
  const foot = rim(along, RADIUS - 16), label = rim(along, RADIUS + 16);
  const tip = [foot[0] + 20 * Math.cos(side), foot[1] - 20 * Math.sin(side)];
  const wing = (angle) => `${tip[0] - 8 * Math.cos(side + angle)} ${tip[1] + 8 * Math.sin(side + angle)}`;
  return element("g", { stroke, "stroke-width": 2.2, fill: "none" },
    element("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }),
    element("path", { d: `M${foot.join(" ")}L${tip.join(" ")}M${wing(0.5)}L${tip.join(" ")}L${wing(-0.5)}` }),
    element("text", { x: label[0], y: label[1] + 5, "text-anchor": "middle", class: "small",
      style: "stroke:none;font-weight:700" }, name));
}

// ---- controls and numbers

const bits = slider("bits", "Hyperplanes of a table (bits)", { min: 1, max: data.normals[0][0].length,
  step: 1, value: data.bits }, (x) => { state.bits = x; draw(); });
const many = slider("tables", "Tables", { min: 1, max: data.normals[0].length, step: 1,
  value: data.tables }, (x) => { state.tables = x; draw(); });
const redraw = element("div", { class: "buttons" }, element("button", { id: "redraw", onclick: () => {
  state.draw = (state.draw + 1) % DRAWS;
  draw();
} }, "Draw other hyperplanes"));
const shown = numbers({ scored: "Points scored",
  share: "Share of all points", recall: `Recall@${data.k}` });
const codes = element("p", { id: "codes" }), say = spoken();
const key = (name, text) => [element("span", { class: "key", style: `background: var(--${name})` }),
  ` ${text} `, element("br")];
const legend = element("p", {}, ...key("ink", "scored"), ...key("line", "not scored"),
  ...key("blue", `○ one of the ${data.k} nearest by angle, scored`),
  ...key("orange", `△ one of the ${data.k} nearest by angle, missed`));

function draw() {
  const now = computed(), used = tables(), scored = new Set(now.scored);
  wedges.replaceChildren(element("circle", { cx: MIDDLE, cy: MIDDLE, r: RADIUS, fill: "none",
    stroke: "var(--line)" }), ...used.map((normals, table) =>
    element("path", { d: wedge(normals), fill: LINES[table], "fill-opacity": 0.25 })));
  planes.replaceChildren(...used.flatMap((normals, table) => normals.map((normal, i) =>
    drawPlane(normal, state.tables * state.bits > 8 ? "" : `h${i + 1}`, LINES[table]))));
  dots.forEach((one, row) => set(one, { r: scored.has(row) ? 4 : 3,
    fill: scored.has(row) ? "var(--ink)" : "var(--line)" }));
  marks.replaceChildren(...now.wanted.map((row) => {
    const [x, y] = shift(data.rows[row]);
    return scored.has(row)
      ? element("circle", { cx: x, cy: y, r: 6.5, fill: "var(--blue)", stroke: "var(--paper)" })
      : element("polygon", { points: `${x},${y - 9} ${x + 8},${y + 6} ${x - 8},${y + 6}`,
        fill: "var(--orange)", stroke: "var(--paper)" });
  }));
  const written = now.codes.map((code) => code.join(""));
  query.dataset.at = state.query;
  query.dataset.draw = state.draw;
  query.place(...shift(state.query), `code ${written.join(", ")}`);
  codes.replaceChildren("Code of the query: ", ...written.flatMap((code, table) => [
    element("strong", { class: "code", style: `font-family:monospace;border-bottom:4px solid ${LINES[table]}` }, code), " "]));
  shown.show("scored", now.scored.length, `${now.scored.length} of ${n}`);
  shown.show("share", now.scored.length / n, `${Math.round((100 * now.scored.length) / n)}%`);
  shown.show("recall", now.found.length / data.k, `${Math.round((100 * now.found.length) / data.k)}%`);
  const where = state.tables > 1 ? `bucket in at least one of ${state.tables} tables` : "bucket";
  say.say(`${now.scored.length} of ${n} points share the query's ${where}, and ` +
    `${now.found.length} of its ${data.k} nearest are among them.`);
}

piece.append(element("p", { class: "quiet" }, "Drag the query (the star), or focus it and press the " +
  "arrow keys. A short arrow points to the side where the bit is 1. Each table has its own colour."),
element("div", { class: "split" }, element("div", {}, svg), element("div", {},
  element("div", { class: "controls" }, bits, many, redraw), codes, shown, legend, say)));
draw();
