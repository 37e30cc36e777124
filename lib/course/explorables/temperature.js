// Forces of three losses on pairs of points of a circle.

const RADIUS = 165, ARC = 34; // of the circle; degrees of the longest arrow
const n = data.queries.length;
const state = { loss: data.loss, temperature: data.temperature, margin: data.margin,
  bias: data.bias, queries: [...data.queries], items: [...data.items] };
const radians = (degrees) => (degrees * Math.PI) / 180;
const at = (degrees, r = RADIUS) => [r * Math.cos(radians(degrees)), -r * Math.sin(radians(degrees))];

// ---- the losses: each gives its value and its gradient on the cosines

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const zeros = () => range(n).map(() => new Array(n).fill(0));

function infonce(cosines) {
  const gradient = zeros();
  let loss = 0;
  for (const turned of [false, true]) { // each query among the items, then each item among the queries
    for (const i of range(n)) {
      const logits = range(n).map((j) => (turned ? cosines[j][i] : cosines[i][j]) / state.temperature);
      const highest = Math.max(...logits);
      const total = sum(logits.map((s) => Math.exp(s - highest)));
      loss += (highest + Math.log(total) - logits[i]) / (2 * n);
      for (const j of range(n)) {
        const wrong = Math.exp(logits[j] - highest) / total - (i === j);
        gradient[turned ? j : i][turned ? i : j] += wrong / (2 * n * state.temperature);
      }
    }
  }
  return { loss, gradient };
}

function triplet(cosines) {
  const gradient = zeros();
  const count = 2 * n * (n - 1);
  let loss = 0;
  for (const i of range(n)) for (const j of range(n)) {
    if (i === j) continue;
    for (const own of [i, j]) { // query i is the anchor, then item j
      const hinge = state.margin + cosines[i][j] - cosines[own][own];
      if (hinge <= 0) continue;
      loss += hinge / count;
      gradient[i][j] += 1 / count;
      gradient[own][own] -= 1 / count;
    }
  }
  return { loss, gradient };
}

function sigmoid(cosines) {
  const gradient = zeros();
  let loss = 0;
  for (const i of range(n)) for (const j of range(n)) {
    const logit = cosines[i][j] / state.temperature + state.bias;
    loss += softplus(i === j ? -logit : logit) / n;
    gradient[i][j] = (1 / (1 + Math.exp(-logit)) - (i === j)) / (n * state.temperature);
  }
  return { loss, gradient };
}

/** The loss, its gradient on the cosines, and the forces on the angles: minus the gradient there. */
function computed() {
  const angle = (i, j) => radians(state.queries[i] - state.items[j]);
  const cosines = range(n).map((i) => range(n).map((j) => Math.cos(angle(i, j))));
  const { loss, gradient } = { infonce, triplet, sigmoid }[state.loss](cosines);
  const turn = (i, j) => gradient[i][j] * Math.sin(angle(i, j));
  return { loss, gradient, cosines,
    queries: range(n).map((i) => sum(range(n).map((j) => turn(i, j)))),
    items: range(n).map((j) => -sum(range(n).map((i) => turn(i, j)))) };
}

// ---- the picture

const svg = element("svg", { viewBox: "-235 -225 470 450", role: "group",
  "aria-label": "points of a circle with arrows for the forces" });
svg.append(element("circle", { r: RADIUS, fill: "none", stroke: "var(--line)", "stroke-width": 2 }));
const chords = range(n).map((i) => svg.appendChild(element("line", { stroke: COLOURS[i],
  "stroke-width": 2, "stroke-dasharray": "3 5" })));
const arrows = { queries: [], items: [] }, points = { queries: [], items: [] };
for (const kind of ["queries", "items"]) for (const i of range(n)) {
  const name = `${kind === "queries" ? "query" : "item"} ${i + 1}`;
  arrows[kind].push(svg.appendChild(element("path", { fill: COLOURS[i], class: "arrow" })));
  const paint = { fill: COLOURS[i], stroke: "var(--paper)", "stroke-width": 2 };
  const mark = element("g", {}, kind === "queries" ? element("circle", { r: 13, ...paint })
    : element("rect", { x: -12, y: -12, width: 24, height: 24, ...paint }),
  element("text", { "text-anchor": "middle", y: 5, style: "fill:#fff;font-weight:700" }, i + 1));
  const turn = (degrees) => { state[kind][i] = ((degrees % 360) + 360) % 360; draw(); };
  points[kind].push(handle(svg, name, mark,
    (x, y) => turn((Math.atan2(-y, x) * 180) / Math.PI),
    (right, up) => turn(state[kind][i] + 2 * (up - right))));
}
svg.append(...points.items, ...points.queries);

/** An arrow along the circle, from `degrees` on, outside it or inside. */
function arrowPath(degrees, length, radius) {
  const size = Math.min(7, Math.abs(length)), wide = 9 * size / 7, thin = wide / 3.6;
  const tip = degrees + length, neck = tip - size * Math.sign(length), sweep = length > 0 ? 0 : 1;
  const point = (a, r) => at(a, r).join(" ");
  return `M${point(degrees, radius - thin)} A${radius} ${radius} 0 0 ${sweep} ${point(neck, radius - thin)}` +
    `L${point(neck, radius - wide)} L${point(tip, radius)} L${point(neck, radius + wide)}` +
    `L${point(neck, radius + thin)} A${radius} ${radius} 0 0 ${1 - sweep} ${point(degrees, radius + thin)}Z`;
}

// ---- controls and numbers

const two = (x) => x.toPrecision(2);
const dials = {
  temperature: slider("temperature", "Temperature", { min: -2, max: 0.5, step: 0.01,
    value: Math.log10(data.temperature), shown: (x) => two(10 ** x) },
  (x) => { state.temperature = 10 ** x; draw(); }),
  margin: slider("margin", "Margin", { min: 0, max: 1, step: 0.05, value: data.margin,
    shown: (x) => x.toFixed(2) }, (x) => { state.margin = x; draw(); }),
  bias: slider("bias", "Bias", { min: -10, max: 5, step: 0.1, value: data.bias,
    shown: (x) => x.toFixed(1) }, (x) => { state.bias = x; draw(); }),
};
const USES = { infonce: ["temperature"], triplet: ["margin"], sigmoid: ["temperature", "bias"] };
const losses = choice("loss", "Loss", [["infonce", "InfoNCE"], ["triplet", "triplet"],
  ["sigmoid", "sigmoid"]], state.loss, (name) => { state.loss = name; draw(); });

/** Move all points by their forces; the longest arrow moves its point by 3 degrees. */
function step() {
  const now = computed();
  const longest = Math.max(...[...now.queries, ...now.items].map(Math.abs));
  if (longest < 1e-4) return false;
  for (const kind of ["queries", "items"]) {
    state[kind] = state[kind].map((a, i) => (a + (3 * now[kind][i]) / longest + 360) % 360);
  }
  draw();
}
const play = player("Follow the forces", 90, step);
const buttons = element("div", { class: "buttons" },
  element("button", { id: "step", onclick: step }, "One step"), play,
  element("button", { id: "reset", onclick: () => {
    play.stop();
    Object.assign(state, { queries: [...data.queries], items: [...data.items] });
    draw();
  } }, "Back to the start"));
const shown = numbers({ loss: "Loss", longest: "Longest arrow", aligned: "Mean cosine of the pairs" });
const table = element("table"), say = spoken();

function draw() {
  const now = computed();
  const longest = Math.max(...[...now.queries, ...now.items].map(Math.abs));
  for (const kind of ["queries", "items"]) for (const i of range(n)) {
    const degrees = state[kind][i], share = longest < 1e-6 ? 0 : now[kind][i] / longest;
    const radius = RADIUS + (kind === "queries" ? 28 : -28);
    points[kind][i].place(...at(degrees), `${Math.round(degrees)} degrees`);
    arrows[kind][i].setAttribute("d", Math.abs(share) < 0.03 ? ""
      : arrowPath(degrees, ARC * share, radius));
  }
  for (const i of range(n)) {
    const [a, b] = [at(state.queries[i]), at(state.items[i])];
    set(chords[i], { x1: a[0], y1: a[1], x2: b[0], y2: b[1] });
  }
  for (const [name, dial] of Object.entries(dials)) dial.hidden = !USES[state.loss].includes(name);
  shown.show("loss", now.loss);
  shown.show("longest", longest);
  shown.show("aligned", sum(range(n).map((i) => now.cosines[i][i])) / n);
  drawTable(now.gradient);
  const strongest = Math.max(...now.gradient.flat());
  const pushed = now.gradient.flat().filter((g) => g > strongest / 20).length;
  say.say(longest < 1e-4 ? `The loss is ${now.loss.toFixed(3)}; nothing is pulled or pushed.`
    : `The loss is ${now.loss.toFixed(3)}. Of ${n * (n - 1)} wrong pairs, ` +
    `${pushed} feel more than a twentieth of the strongest push.`);
}

function drawTable(gradient) {
  const largest = Math.max(1e-9, ...gradient.flat().map(Math.abs));
  const cell = (g) => element("td", { style: `background: color-mix(in srgb, var(--${g < 0 ? "blue"
    : "orange"}) ${Math.round((70 * Math.abs(g)) / largest)}%, transparent)` },
  Math.abs(g) < 0.005 ? "0" : (g < 0 ? "−" : "+") + Math.abs(g).toFixed(2));
  table.replaceChildren(
    element("caption", {}, "Gradient on each cosine: − pulls together, + pushes apart"),
    element("tr", {}, element("td"), ...range(n).map((j) => element("th", { scope: "col" },
      `item ${j + 1}`))),
    ...range(n).map((i) => element("tr", {}, element("th", { scope: "row" }, `query ${i + 1}`),
      ...gradient[i].map(cell))));
}

piece.append(element("p", { class: "quiet" }, "Circles are queries, squares are items; equal numbers " +
  "belong together. Drag a point, or focus it and press the arrow keys."),
element("div", { class: "split" }, element("div", {}, svg), element("div", {},
  element("div", { class: "controls" }, losses, ...Object.values(dials), buttons), shown, table, say)));
draw();
