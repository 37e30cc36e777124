// Late interaction: the best patch of each word, and the score as their sum.

const { words, images } = data;
const side = Math.round(Math.sqrt(images[0].similarities[0].length));
const SIZE = 240, CELL = SIZE / side;
const LETTERS = "ABCDEFGH";
const state = { word: words.indexOf(words.reduce((a, b) => (b.length > a.length ? b : a))) };
const best = (values) => values.indexOf(Math.max(...values)); // the first of equals

// ---- one picture an image, with a veil that is clear where the word matches

const figures = images.map((image, i) => {
  const veil = element("g"), score = element("output", { "data-name": `score-${LETTERS[i]}` });
  const frame = element("rect", { width: CELL, height: CELL, fill: "none", "stroke-width": 5,
    stroke: "var(--orange)" });
  const edge = element("rect", { width: CELL, height: CELL, fill: "none", "stroke-width": 9,
    stroke: "#fff" });
  const value = element("text", { "text-anchor": "middle", style: "font-weight:700;fill:#fff;" +
    "paint-order:stroke;stroke:#000;stroke-width:4px" });
  const svg = element("svg", { viewBox: `-4 -4 ${SIZE + 8} ${SIZE + 8}`, role: "img" },
    element("image", { href: image.picture, width: SIZE, height: SIZE,
      style: "image-rendering:pixelated" }), veil, edge, frame, value);
  const total = sum(image.similarities.map((row) => Math.max(...row)));
  score.textContent = total.toFixed(2);
  score.dataset.value = total;
  return { image, veil, frame, edge, value, svg, total,
    node: element("figure", {}, svg, element("figcaption", {}, element("strong", {}, LETTERS[i]), ` ${image.name}: `, score)) };
});

function drawFigure({ image, veil, frame, edge, value, svg }) {
  const row = image.similarities[state.word], winner = best(row);
  veil.replaceChildren(...row.map((similarity, patch) => element("rect", {
    x: CELL * (patch % side), y: CELL * Math.floor(patch / side), width: CELL, height: CELL,
    fill: "#10131a", opacity: 0.82 * clamp(1 - similarity, 0, 1), stroke: "#888", "stroke-width": 0.5 })));
  const [x, y] = [CELL * (winner % side), CELL * Math.floor(winner / side)];
  for (const node of [frame, edge]) set(node, { x, y });
  set(value, { x: x + CELL / 2, y: y + CELL / 2 + 6 });
  value.textContent = row[winner].toFixed(2);
  svg.setAttribute("aria-label", `${image.name}: “${words[state.word]}” matches best in row ` +
    `${Math.floor(winner / side) + 1}, column ${(winner % side) + 1}, with ${row[winner].toFixed(2)}`);
}

// ---- one row a word, one column an image, and the sum

const look = (word) => { state.word = word; draw(); };
const buttons = words.map((word, i) => element("button", { id: `word-${i}`, onclick: () => look(i),
  onpointerenter: () => look(i), onfocus: () => look(i) }, word));
const cells = words.map((_, i) => figures.map(({ image }) => {
  const value = Math.max(...image.similarities[i]);
  return element("td", { style: `--share:${clamp(100 * value, 0, 100)}%` }, value.toFixed(2));
}));
const winner = figures.reduce((a, b) => (b.total > a.total ? b : a));
const rows = words.map((_, i) => element("tr", {}, element("th", { scope: "row" }, buttons[i]),
  ...cells[i]));
const table = element("table", { class: "words" },
  element("caption", {}, "The best similarity of each word, and the sum"),
  element("tr", {}, element("td"), ...images.map((image, i) => element("th", { scope: "col", title: image.name }, LETTERS[i]))),
  ...rows,
  element("tr", { class: "sum" }, element("th", { scope: "row" }, "MaxSim"),
    ...figures.map((figure) => element("td", {}, figure.total.toFixed(2) + (figure === winner ? " ▲" : "")))));
const say = spoken();

function draw() {
  figures.forEach(drawFigure);
  rows.forEach((row, i) => row.classList.toggle("on", i === state.word));
  buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === state.word));
  say.say(`“${words[state.word]}”: ` + figures.map(({ image }, i) =>
    `${Math.max(...image.similarities[state.word]).toFixed(2)} in ${LETTERS[i]}`).join(", ") + ".");
}

document.head.append(element("style", {}, `
.pictures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.5rem 1rem; max-width: 40rem; }
figure { margin: 0; } figcaption { text-align: center; }
.words { width: 100%; } .words caption { white-space: normal; } .words th { text-align: left; } .words th[scope=col] { text-align: right; }
.words button { padding: 0 0.5rem; width: 100%; text-align: left; }
.words td { background: linear-gradient(to left, color-mix(in srgb, var(--blue) 30%, transparent) var(--share, 0),
  transparent var(--share, 0)); }
.words tr.on button { background: var(--orange); border-color: var(--orange); color: #fff; }
.words tr.on td { font-weight: 700; }
.words tr.sum > * { border-top: 2px solid var(--ink); font-weight: 700; background: none; }`));
piece.append(
  element("h2", {}, `“${data.text}”`),
  element("p", { class: "quiet" }, "Point at a word, or focus it. A patch is clear where it matches the " +
    "word; a frame marks the best patch, which alone counts."),
  element("div", { class: "split" }, element("div", { class: "pictures" }, ...figures.map((f) => f.node)),
    element("div", {}, table, say)));
draw();
