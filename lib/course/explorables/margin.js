// One triplet of unit vectors, seen from above: the half of the sphere that faces the reader.

const RADIUS = 200, PIXELS = 400;
const state = { margin: data.margin, anchor: [...data.anchor], positive: [...data.positive],
  negative: [...data.negative] };
const ROLES = { anchor: "black", positive: "blue", negative: "orange" };
const dot = (a, b) => sum(a.map((x, i) => x * b[i]));

/** The point of the sphere over (x, y) of the disc; outside the disc, the nearest one. */
function onSphere(x, y) {
  const length = Math.hypot(x, y), scale = length > 0.985 ? 0.985 / length : 1;
  return [x * scale, y * scale, Math.sqrt(1 - Math.min(1, (length * scale) ** 2))];
}

/** The class of a negative, from its cosine with the anchor and that of the positive. */
function kind(positive, negative) {
  if (negative >= positive) return "hard";
  return negative > positive - state.margin ? "semi-hard" : "easy";
}

function computed() {
  const positive = dot(state.anchor, state.positive), negative = dot(state.anchor, state.negative);
  return { positive, negative, loss: Math.max(0, state.margin + negative - positive),
    kind: kind(positive, negative) };
}

// ---- the picture: a canvas for the zones, over it the points

const svg = element("svg", { viewBox: "-225 -215 450 430", role: "group",
  "aria-label": "a sphere with an anchor, a positive and a negative" });
const zones = svg.appendChild(element("image", { x: -RADIUS, y: -RADIUS, width: 2 * RADIUS,
  height: 2 * RADIUS }));
svg.append(element("circle", { r: RADIUS, fill: "none", stroke: "var(--quiet)", "stroke-width": 2 }));
const canvas = element("canvas", { width: PIXELS, height: PIXELS });
const paint = canvas.getContext("2d");
const TINTS = { hard: [213, 94, 0], "semi-hard": [230, 159, 0], easy: [86, 180, 233] };

/** Colour each pixel of the disc by the class that a negative would have there. */
function drawZones(positive) {
  const pixels = paint.createImageData(PIXELS, PIXELS);
  for (let row = 0; row < PIXELS; row++) for (let column = 0; column < PIXELS; column++) {
    const x = (2 * column + 1) / PIXELS - 1, y = 1 - (2 * row + 1) / PIXELS;
    const r = x * x + y * y;
    if (r > 1) continue;
    const z = Math.sqrt(1 - r);
    const cosine = x * state.anchor[0] + y * state.anchor[1] + z * state.anchor[2];
    const edge = Math.min(Math.abs(cosine - positive), Math.abs(cosine - positive + state.margin));
    const place = 4 * (row * PIXELS + column);
    pixels.data.set(TINTS[kind(positive, cosine)], place);
    pixels.data[place + 3] = edge < 0.006 ? 230 : 95 + 45 * (1 - z); // darker towards the rim
  }
  paint.putImageData(pixels, 0, 0);
  zones.setAttribute("href", canvas.toDataURL());
}

const arrows = {};
for (const role of ["positive", "negative"]) {
  arrows[role] = svg.appendChild(element("path", { stroke: `var(--${ROLES[role]})`,
    "stroke-width": 5, fill: "none", "stroke-linecap": "round", "stroke-linejoin": "round" }));
}
const points = {};
for (const role of Object.keys(ROLES)) {
  const fill = role === "anchor" ? "var(--ink)" : `var(--${ROLES[role]})`;
  const look = { fill, stroke: "var(--paper)", "stroke-width": 2 };
  const shape = role === "anchor" ? element("circle", { r: 12, ...look })
    : role === "positive" ? element("rect", { x: -11, y: -11, width: 22, height: 22, ...look })
      : element("polygon", { points: "0,-14 13,10 -13,10", ...look });
  const name = element("text", { "text-anchor": "middle", y: -20, style: "font-weight:700;" +
    "paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round" }, role);
  const move = (x, y) => { state[role] = onSphere(x, y); draw(); };
  points[role] = svg.appendChild(handle(svg, role, element("g", {}, shape, name),
    (x, y) => move(x / RADIUS, -y / RADIUS),
    (right, up) => move(state[role][0] + 0.03 * right, state[role][1] + 0.03 * up)));
}

/** An arrow from a point along minus the gradient there, which lies in the sphere's tangent. */
function arrow(role, towards) {
  const [v, a] = [state[role], state.anchor], cosine = dot(v, a);
  const step = [0, 1].map((i) => 75 * towards * (a[i] - cosine * v[i]));
  if (Math.hypot(...step) < 4) return "";
  const [x, y] = [RADIUS * v[0], -RADIUS * v[1]], [tx, ty] = [x + step[0], y - step[1]];
  const turn = Math.atan2(-step[1], step[0]);
  const side = (angle) => `${tx - 12 * Math.cos(turn + angle)} ${ty - 12 * Math.sin(turn + angle)}`;
  return `M${x} ${y}L${tx} ${ty}M${side(0.5)}L${tx} ${ty}L${side(-0.5)}`;
}

// ---- the same on a line of cosines

const line = element("svg", { viewBox: "0 0 360 92", role: "img", "aria-label": "line of cosines" });
const along = (cosine) => 20 + 160 * (cosine + 1);

function drawLine(now) {
  const cut = clamp(now.positive - state.margin, -1, 1);
  const band = (from, to, tint) => element("rect", { x: along(from), y: 34, height: 16,
    width: Math.max(0, along(to) - along(from)), fill: `rgb(${TINTS[tint]})`, opacity: 0.55 });
  const tick = (cosine, text, y, fill) => element("g", {},
    element("line", { x1: along(cosine), x2: along(cosine), y1: 28, y2: 56, stroke: fill,
      "stroke-width": 4 }),
    element("text", { x: clamp(along(cosine), 36, 324), y, "text-anchor": "middle" }, text));
  line.replaceChildren(band(-1, cut, "easy"), band(cut, now.positive, "semi-hard"),
    band(now.positive, 1, "hard"),
    tick(now.positive, "positive", 20, "var(--blue)"),
    tick(now.negative, "negative", 74, "var(--orange)"),
    element("text", { x: 20, y: 90, class: "small quiet", "text-anchor": "middle" }, "−1"),
    element("text", { x: 180, y: 90, class: "small quiet", "text-anchor": "middle" }, "cosine 0"),
    element("text", { x: 340, y: 90, class: "small quiet", "text-anchor": "middle" }, "1"));
}

// ---- controls and numbers

const dial = slider("margin", "Margin", { min: 0, max: 1, step: 0.05, value: data.margin,
  shown: (x) => x.toFixed(2) }, (x) => { state.margin = x; draw(); });
const shown = numbers({ positive: "Cosine of anchor and positive",
  negative: "Cosine of anchor and negative", loss: "Loss", kind: "The negative is" });
const formula = element("p"), say = spoken();
const legend = element("p", {}, ...[["hard", "hard: nearer than the positive"],
  ["semi-hard", "semi-hard: inside the margin"], ["easy", "easy: no loss"]].flatMap(([name, text]) => [
  element("span", { class: "key", style: `background: rgba(${TINTS[name]}, 0.6)` }),
  ` ${text}`, element("br")]));

function draw() {
  const now = computed();
  drawZones(now.positive);
  drawLine(now);
  for (const role of Object.keys(ROLES)) {
    const [x, y] = state[role];
    points[role].place(RADIUS * x, -RADIUS * y, `${x.toFixed(2)} right, ${y.toFixed(2)} up`);
  }
  arrows.positive.setAttribute("d", now.loss > 0 ? arrow("positive", 1) : "");
  arrows.negative.setAttribute("d", now.loss > 0 ? arrow("negative", -1) : "");
  for (const name of ["positive", "negative", "loss"]) shown.show(name, now[name]);
  shown.show("kind", now.kind, now.kind);
  const term = (x) => (x < 0 ? `(−${(-x).toFixed(2)})` : x.toFixed(2));
  formula.replaceChildren("loss = [margin + negative − positive]₊", element("br"),
    `= [${term(state.margin)} + ${term(now.negative)} − ${term(now.positive)}]₊ = ${now.loss.toFixed(2)}`);
  say.say(now.loss > 0 ? `A ${now.kind} negative: the loss is ${now.loss.toFixed(2)}. The positive ` +
    "is pulled to the anchor, the negative is pushed away." :
    "An easy negative: the loss is 0, and nothing moves.");
}

piece.append(element("p", { class: "quiet" }, "Unit vectors are points of a sphere. Drag the anchor, " +
  "the positive and the negative, or focus one and press the arrow keys."),
element("div", { class: "split" }, element("div", {}, svg), element("div", {},
  element("div", { class: "controls" }, dial), shown, formula, line, legend, say)));
draw();
