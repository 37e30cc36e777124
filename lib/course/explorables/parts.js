// The parts that all pieces share. This file stands before the file of a piece in one module.

const data = JSON.parse(document.getElementById("data").textContent);
const piece = document.getElementById("piece");
const SVG = new Set(["svg", "g", "circle", "rect", "line", "path", "polygon", "polyline", "text",
  "image", "defs", "marker", "clipPath", "title", "foreignObject"]);

/** Make an HTML or SVG element with attributes, listeners (onclick: ...) and children. */
function element(tag, attributes = {}, ...children) {
  const node = SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node[name] = value;
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

/** Set several attributes of an element. */
function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

/** Make a slider with its name and its value; `shown` turns the value into a text. */
function slider(name, label, { min, max, step, value, shown = String }, changed) {
  const output = element("span");
  const input = element("input", { type: "range", id: name, min, max, step, value });
  const tell = () => {
    output.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.oninput = () => { tell(); changed(Number(input.value)); };
  tell();
  const node = element("label", { for: name }, label, output, input);
  node.assign = (number) => { input.value = number; tell(); };
  return node;
}

/** Make radio buttons; `options` are pairs of value and label. */
function choice(name, label, options, value, changed) {
  const buttons = options.map(([option, text]) => element("label", {},
    element("input", { type: "radio", name, id: `${name}-${option}`, checked: option === value && "",
      onchange: () => changed(option) }), text));
  return element("fieldset", {}, element("legend", {}, label), ...buttons);
}

/** Make a list of named numbers; `list.show(name, value, text)` sets one. */
function numbers(names) {
  const outputs = {};
  const list = element("dl", { class: "numbers" });
  for (const [name, label] of Object.entries(names)) {
    outputs[name] = element("output", { "data-name": name });
    list.append(element("dt", {}, label), element("dd", {}, outputs[name]));
  }
  list.show = (name, value, text = value.toFixed(3)) => {
    outputs[name].textContent = text;
    outputs[name].dataset.value = value;
  };
  return list;
}

/** Make a point that is dragged with the pointer and moved with the arrow keys.

`move(x, y)` receives a place in the coordinates of `frame`, `nudge(right, up)` a direction. */
function handle(frame, label, mark, move, nudge) {
  const node = element("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": label },
    element("circle", { class: "halo", r: 19 }), mark);
  let held = false;
  node.onpointerdown = (event) => {
    held = true;
    node.setPointerCapture(event.pointerId);
    event.preventDefault();
    node.focus({ focusVisible: false });
  };
  node.onpointermove = (event) => {
    if (!held) return;
    const place = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(frame.getScreenCTM().inverse());
    move(place.x, place.y);
  };
  node.onpointerup = node.onpointercancel = () => { held = false; };
  node.onkeydown = (event) => {
    const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!(event.key in direction)) return;
    event.preventDefault();
    nudge(...direction[event.key]);
  };
  node.place = (x, y, text) => {
    node.setAttribute("transform", `translate(${x} ${y})`);
    set(node, { "aria-valuetext": text, "aria-valuenow": 0 });
  };
  return node;
}

/** Make the line that says what is shown; screen readers read it when it rests. */
function spoken() {
  const node = element("p", { "aria-live": "polite", id: "spoken" });
  let waiting;
  node.say = (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { node.textContent = text; }, 150);
  };
  return node;
}

/** Make the button that repeats `step` until it returns false; `restart` ends that. */
function player(label, milliseconds, step) {
  let timer;
  const stop = () => { clearInterval(timer); timer = undefined; button.textContent = label; };
  const button = element("button", { id: "play", onclick: () => {
    if (timer) return stop();
    button.textContent = "Stop";
    timer = setInterval(() => { if (step() === false) stop(); }, milliseconds);
  } }, label);
  button.stop = stop;
  return button;
}

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const sum = (values) => values.reduce((a, b) => a + b, 0);
const range = (n) => Array.from({ length: n }, (_, i) => i);
const COLOURS = ["blue", "orange", "green", "pink", "sky", "amber"].map((name) => `var(--${name})`);

// The frame takes the theme of the page around it, and is as high as what it holds.
try {
  const light = parent.document.body.dataset.jpThemeLight;
  if (light) document.documentElement.style.colorScheme = light === "true" ? "light" : "dark";
  const frame = frameElement; // null where the page stands alone
  if (frame) new ResizeObserver(() => {
    frame.style.height = `${document.body.scrollHeight + frame.offsetHeight - frame.clientHeight}px`;
  }).observe(document.body);
} catch {
  document.body.style.overflow = "auto"; // a page of another origin: the given height stays
}
