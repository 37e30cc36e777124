// A search in an HNSW, one step after the other.

const n = data.rows.length, top = data.levels.length - 1;
const PLANE = { width: 470, depth: 185, lean: 150, gap: 26 };
const state = { ef: data.ef, query: [...data.query], step: 0 };
const distance = (node) => Math.hypot(...data.rows[node].map((x, axis) => x - state.query[axis]));

// ---- the search, as a list of steps

/** Search one level best-first with a list of the ef best nodes, and note each step. */
function walk(level, entry, ef, steps) {
  const seen = new Set([entry]), expanded = [];
  const nearer = (a, b) => distance(a) - distance(b) || a - b;
  let waiting = [entry], best = [entry];
  const note = (more) => steps.push({ level, entry, best: [...best], expanded: [...expanded], ...more });
  note({ fresh: [entry], says: level === top ? `Enter level ${level} at node ${entry}.`
    : `Go down to level ${level} at node ${entry}.` });
  while (true) {
    waiting.sort(nearer);
    const node = waiting.shift();
    const far = distance(best.at(-1));
    if (node === undefined || (best.length === ef && distance(node) > far)) {
      note({ fresh: [], ends: true, says: node === undefined ? "No node is left to expand: stop here."
        : `Node ${node} is next, but farther than all ${ef} in the list: stop here.` });
      return best[0];
    }
    expanded.push(node);
    const fresh = data.levels[level][node].filter((other) => !seen.has(other));
    for (const other of fresh) {
      seen.add(other);
      if (best.length < ef || distance(other) < distance(best.at(-1))) {
        waiting.push(other);
        best = [...best, other].sort(nearer).slice(0, ef);
      }
    }
    const kept = fresh.filter((other) => best.includes(other)).length;
    note({ node, fresh, says: `Expand node ${node}: compare ${fresh.length} new neighbours, ` +
      `${kept} enter the list.` });
  }
}

/** Greedy walks on the upper levels, then a search with ef at the bottom. */
function search() {
  const steps = [];
  let entry = data.entry;
  for (let level = top; level >= 0; level--) entry = walk(level, entry, level ? 1 : state.ef, steps);
  return steps;
}

// ---- from the plane to the picture and back

const low = [0, 1].map((axis) => Math.min(...data.rows.map((row) => row[axis])));
const span = [0, 1].map((axis) => Math.max(...data.rows.map((row) => row[axis])) - low[axis]);
const ceiling = (level) => 12 + (top - level) * (PLANE.depth + PLANE.gap);
const corner = (u, v, level) => [PLANE.lean * (1 - v) + PLANE.width * u + 40,
  ceiling(level) + PLANE.depth * (1 - v)].map((x) => Number(x.toFixed(1)));
const inset = (share) => 0.05 + 0.9 * share;
const project = ([x, y], level) => corner(inset((x - low[0]) / span[0]),
  inset((y - low[1]) / span[1]), level);
function back(x, y) {
  const v = clamp(1 - (y - ceiling(0)) / PLANE.depth, 0.02, 0.98);
  const u = clamp((x - 40 - PLANE.lean * (1 - v)) / PLANE.width, 0.02, 0.98);
  return [low[0] + span[0] * ((u - 0.05) / 0.9), low[1] + span[1] * ((v - 0.05) / 0.9)];
}

// ---- the picture: a tower of planes, links first, marks over them

const svg = element("svg", { viewBox: `0 0 ${PLANE.width + PLANE.lean + 60} ` +
  `${ceiling(0) + PLANE.depth + 14}`, role: "group", "aria-label": "levels of an HNSW" });
const planes = [];
for (let level = top; level >= 0; level--) {
  const frame = [[0, 0], [1, 0], [1, 1], [0, 1]].map(([u, v]) => corner(u, v, level).join(",")).join(" ");
  const members = range(n).filter((node) => data.levels[level][node].length || node === data.entry);
  const links = members.flatMap((node) => data.levels[level][node].map((other) =>
    `M${project(data.rows[node], level)}L${project(data.rows[other], level)}`)).join("");
  const plane = element("polygon", { points: frame, fill: "var(--wash)", stroke: "var(--line)",
    "stroke-width": 2 });
  const marks = element("g");
  svg.append(plane, element("path", { d: links, stroke: "var(--line)", "stroke-width": 1.2 }), marks,
    element("text", { x: 2, y: ceiling(level) + PLANE.depth - 22, style: "font-weight:700" }, `level ${level}`),
    element("text", { x: 2, y: ceiling(level) + PLANE.depth - 4, class: "small quiet" }, `${members.length} nodes`));
  planes[level] = { plane, marks, members };
}
const star = element("polygon", { fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 2,
  points: range(10).map((i) => [13, 5.5][i % 2] * Math.sin((i * Math.PI) / 5) + "," +
    -[13, 5.5][i % 2] * Math.cos((i * Math.PI) / 5)).join(" ") });
const move = (x, y) => { state.query = back(x, y); restart(); };
const query = svg.appendChild(handle(svg, "query", star, move, (right, up) => {
  const [x, y] = project(state.query, 0);
  move(x + 9 * right, y - 6 * up);
}));

/** Draw one level as it is at a step: compared, expanded and listed nodes. */
function drawLevel(level, so_far, step, goal) {
  const here = so_far.filter((one) => one.level === level), last = here.at(-1);
  const compared = new Set(here.flatMap((one) => one.fresh));
  const marks = planes[level].members.map((node) => {
    const [cx, cy] = project(data.rows[node], level);
    const expanded = last?.expanded.includes(node);
    return element("circle", { cx, cy, r: expanded ? 6.5 : compared.has(node) ? 5.5 : 3,
      fill: expanded ? "var(--blue)" : compared.has(node) ? "var(--sky)" : "var(--quiet)" });
  });
  const place = (node) => project(data.rows[node], level).join(" ");
  if (last) {
    marks.unshift(element("path", { d: last.expanded.map((o, i) => (i ? "L" : "M") + place(o)).join(""),
      fill: "none", stroke: "var(--blue)", "stroke-width": 2.5 }));
    if (step.level === level && step.node !== undefined) {
      marks.unshift(element("path", { d: step.fresh.map((o) => `M${place(step.node)}L${place(o)}`).join(""),
        stroke: "var(--orange)", "stroke-width": 3 }));
    }
    for (const node of last.best) {
      const [cx, cy] = project(data.rows[node], level);
      marks.push(element("circle", { cx, cy, r: 9.5, fill: "none", stroke: "var(--orange)",
        "stroke-width": 2.5 }));
    }
  }
  const [x, y] = project(level ? state.query : data.rows[goal], level);
  marks.push(level ? element("text", { x, y: y + 6, "text-anchor": "middle", class: "quiet" }, "★")
    : element("rect", { x: x - 13, y: y - 13, width: 26, height: 26, fill: "none",
      stroke: "var(--green)", "stroke-width": 3 }));
  planes[level].plane.setAttribute("stroke", step.level === level ? "var(--ink)" : "var(--line)");
  planes[level].marks.replaceChildren(...marks);
}

// ---- controls and numbers

let steps = [];
const show = (step) => { state.step = clamp(step, 0, steps.length - 1); draw(); };
const width = slider("ef", "Length of the list (ef)", { min: 1, max: data.most, step: 1, value: data.ef },
  (x) => { state.ef = x; restart(); });
const scrub = slider("step", "Step", { min: 0, max: 1, step: 1, value: 0,
  shown: (x) => `${x + 1} of ${steps.length}` }, show);
const play = player("Play", 700, () => {
  show(state.step + 1);
  return state.step < steps.length - 1;
});
const buttons = element("div", { class: "buttons" },
  element("button", { id: "back", onclick: () => show(state.step - 1) }, "Back"),
  element("button", { id: "next", onclick: () => show(state.step + 1) }, "Next"), play,
  element("button", { id: "end", onclick: () => show(steps.length - 1) }, "To the end"));
const shown = numbers({ compared: "Compared with the query", hops: "Nodes expanded",
  best: "Best node so far", found: "Is it the nearest of all?" });
const list = element("p", { id: "list" }), say = spoken();
const key = (look, text) => [element("span", { class: "key", style: look }), ` ${text} `];
const legend = element("p", {}, ...key("background:var(--sky)", "compared"),
  ...key("background:var(--blue)", "expanded"), ...key("border:3px solid var(--orange);border-radius:50%",
    "in the list"), ...key("border:3px solid var(--green)", "the nearest"));

function restart() {
  steps = search();
  scrub.querySelector("input").max = steps.length - 1;
  show(Math.min(state.step, steps.length - 1));
}

function draw() {
  const so_far = steps.slice(0, state.step + 1), step = so_far.at(-1);
  const goal = range(n).reduce((a, b) => (distance(b) < distance(a) ? b : a));
  for (let level = top; level >= 0; level--) drawLevel(level, so_far, step, goal);
  const compared = new Set(so_far.flatMap((one) => one.fresh));
  scrub.assign(state.step);
  query.dataset.at = state.query;
  query.place(...project(state.query, 0), state.query.map((x) => x.toFixed(2)).join(", "));
  shown.show("compared", compared.size, `${compared.size} of ${n}`);
  shown.show("hops", so_far.filter((one) => one.node !== undefined).length,
    String(so_far.filter((one) => one.node !== undefined).length));
  shown.show("best", step.best[0], `node ${step.best[0]}`);
  const done = state.step === steps.length - 1, right = step.best[0] === goal;
  shown.show("found", right, right ? "yes" : done ? `no, it is node ${goal}` : "not yet");
  list.replaceChildren(element("strong", {}, `List (${step.best.length} of ` +
    `${step.level ? 1 : state.ef}): `), step.best.map((node) =>
    `${node}${step.expanded.includes(node) ? " ✓" : ""}`).join(", "));
  say.say(`Level ${step.level}. ${step.says}`);
}

piece.append(element("p", { class: "quiet" }, "Upper levels: a greedy walk. Bottom level: a list of the " +
  "ef best. Drag the query (the star), or focus it and press the arrow keys."),
element("div", { class: "split" }, element("div", {}, svg), element("div", {},
  element("div", { class: "controls" }, width, scrub, buttons), shown, list, legend, say)));
restart();
