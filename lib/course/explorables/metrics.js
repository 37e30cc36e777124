// A ranking that the reader rearranges and judges, and what the metrics make of it.

const GRADES = ["not relevant", "related", "same concept", "exact"];
const START = data.items.map((_, i) => i);
const state = { k: data.k, least: 1, order: [...START], grades: data.items.map((item) => item.grade) };

// ---- the metrics, each with its value and its arithmetic

const gain = (grade) => 2 ** grade - 1;
const dcg = (grades) => sum(grades.slice(0, state.k).map((g, i) => gain(g) / Math.log2(i + 2)));

function computed() {
  const grades = state.order.map((item) => state.grades[item]), k = state.k;
  const counts = (grade) => grade >= state.least;
  const ranks = range(grades.length).filter((i) => counts(grades[i])).map((i) => i + 1);
  const relevant = ranks.length + data.elsewhere.filter(counts).length;
  const hits = ranks.filter((rank) => rank <= k).length;
  const ideal = dcg([...grades, ...data.elsewhere].sort((a, b) => b - a));
  const first = ranks[0];
  return { relevant, values: {
    hit: [hits > 0 ? 1 : 0, hits ? `relevant items among the first ${k}: ${hits}` : `none among the first ${k}`],
    recall: [hits / relevant, `${hits} of ${relevant} relevant items`],
    precision: [hits / k, `${hits} of ${k} places`],
    rr: [first ? 1 / first : 0, first ? `1 / ${first}` : "no relevant item in the ranking"],
    ap: [sum(ranks.map((rank, i) => (i + 1) / rank)) / relevant,
      ranks.length ? `(${ranks.map((rank, i) => `${i + 1}/${rank}`).join(" + ")}) / ${relevant}` : "0"],
    ndcg: [dcg(grades) / ideal, `${dcg(grades).toFixed(2)} / ${ideal.toFixed(2)}, of all grades`],
  } };
}

// ---- the ranking: one button an item, in the order of the ranking

const list = element("ol", { class: "ranking" });
let held, moved;
const tiles = data.items.map((item, id) => {
  const rank = element("span", { class: "rank" }), grade = element("span", { class: "grade" });
  const tile = element("button", {},
    rank, ...(item.picture ? [element("img", { src: item.picture, alt: "", draggable: "false" })] : []),
    element("span", { class: "name" }, item.name), grade);
  tile.onclick = () => { if (!moved) judge(id, (state.grades[id] + 1) % 4); moved = false; };
  tile.onpointerdown = (event) => {
    [held, moved] = [id, false];
    tile.setPointerCapture(event.pointerId);
  };
  tile.onpointermove = (event) => {
    if (held !== id) return;
    const over = range(tiles.length).find((other) => {
      const box = tiles[other].getBoundingClientRect();
      return event.clientX > box.left && event.clientX < box.right && event.clientY > box.top &&
        event.clientY < box.bottom;
    });
    if (over === undefined || over === id) return;
    moved = true;
    place(id, state.order.indexOf(over));
  };
  tile.onpointerup = tile.onpointercancel = () => { held = undefined; };
  tile.onkeydown = (event) => {
    const at = state.order.indexOf(id);
    const act = { ArrowLeft: () => place(id, at - 1), ArrowRight: () => place(id, at + 1),
      ArrowUp: () => judge(id, Math.min(3, state.grades[id] + 1)),
      ArrowDown: () => judge(id, Math.max(0, state.grades[id] - 1)) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  tile.parts = { rank, grade };
  return tile;
});

/** Move an item to a place of the ranking. */
function place(id, to) {
  const order = state.order.filter((other) => other !== id);
  order.splice(clamp(to, 0, order.length), 0, id);
  rank(order, id);
}

function judge(id, grade) {
  state.grades[id] = grade;
  draw();
}

/** Take over an order. The tile `id` stays, the others move: it keeps the focus and the pointer. */
function rank(order, id = order[0]) {
  state.order = order;
  const at = order.indexOf(id), shown = order.map((other) => tiles[other]);
  tiles[id].before(...shown.slice(0, at));
  tiles[id].after(...shown.slice(at + 1));
  draw();
}

// ---- controls and numbers

const dial = slider("k", "Cut-off K", { min: 1, max: data.items.length, step: 1, value: data.k },
  (x) => { state.k = x; draw(); });
const least = choice("least", "Relevant from", [[1, "●○○"], [2, "●●○"], [3, "●●●"]], 1,
  (grade) => { state.least = grade; draw(); });
const byGrade = (sign) => [...state.order].sort((a, b) => sign * (state.grades[b] - state.grades[a]));
const buttons = element("div", { class: "buttons" },
  element("button", { id: "best", onclick: () => rank(byGrade(1)) }, "Best order"),
  element("button", { id: "worst", onclick: () => rank(byGrade(-1)) }, "Worst order"),
  element("button", { id: "reset", onclick: () => {
    state.grades = data.items.map((item) => item.grade);
    rank([...START]);
  } }, "Back to the start"));
const NAMES = { hit: "Hit rate@K", recall: "Recall@K", precision: "Precision@K",
  rr: "Reciprocal rank", ap: "Average precision", ndcg: "nDCG@K" };
const rows = {};
const table = element("table", { class: "metrics" });
for (const [name, label] of Object.entries(NAMES)) {
  const value = element("output", { "data-name": name }), bar = element("span", { class: "bar" });
  const terms = element("td", { class: "terms quiet" });
  rows[name] = { value, bar, terms };
  table.append(element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, value),
    element("td", { class: "track" }, bar), terms));
}
const say = spoken();
say.className = "heard"; // the table shows it already

function draw() {
  const { relevant, values } = computed();
  state.order.forEach((id, i) => {
    const grade = state.grades[id], tile = tiles[id];
    tile.className = `tile grade${grade}${i < state.k ? "" : " beyond"}`;
    tile.parts.rank.textContent = i + 1;
    tile.parts.grade.textContent = grade ? "●".repeat(grade) + "○".repeat(3 - grade) : "–";
    tile.setAttribute("aria-label", `rank ${i + 1}: ${data.items[id].name}, grade ${grade}, ` +
      `${GRADES[grade]}. Left and right move it, up and down grade it.`);
  });
  for (const [name, [value, terms]] of Object.entries(values)) {
    const known = relevant > 0;
    rows[name].value.textContent = known ? value.toFixed(3) : "undefined";
    rows[name].value.dataset.value = known ? value : "";
    rows[name].bar.style.width = known ? `${100 * value}%` : "0";
    rows[name].terms.textContent = known ? terms : "no item is relevant";
  }
  const told = Object.entries(values).map(([name, [value]]) =>
    `${NAMES[name].replace("@K", `@${state.k}`)} ${value.toFixed(2)}`);
  say.say(relevant ? `${told.join(", ")}.` : "No item is relevant: the metrics are undefined.");
}

document.head.append(element("style", {}, `
.ranking { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 0.4rem; padding: 0;
  margin: 0.3rem 0 0.8rem; list-style: none; }
@media (max-width: 760px) { .ranking { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
.tile { display: flex; flex-direction: column; align-items: center; padding: 0.2rem; gap: 0.1rem;
  border-width: 3px; touch-action: none; user-select: none; cursor: grab; min-width: 0; }
.tile img { width: 100%; max-width: 76px; background: #fff; border-radius: 4px; }
.tile .name { font-size: 0.8rem; line-height: 1.2; overflow-wrap: anywhere; min-height: 2.4em; }
.tile .rank { font-weight: 700; } .tile .grade { font-size: 0.85rem; }
.grade1 { border-color: var(--sky); } .grade2 { border-color: var(--blue); }
.grade3 { border-color: var(--green); } .beyond { opacity: 0.5; }
.metrics { width: 100%; } .metrics th, .terms { text-align: left; }
.metrics td:nth-child(2) { font-weight: 700; }
.track { width: 30%; } .track .bar { display: block; height: 0.8rem; background: var(--blue);
  border-radius: 3px; }
@media (max-width: 760px) { .track { display: none; } .terms { white-space: normal; }
  .tile .name { font-size: 0.68rem; } }`));
piece.append(
  element("h2", {}, `Query: “${data.query}”`),
  element("p", { class: "quiet" }, "Drag an item to another rank, and click it to change its grade. With " +
    "the keyboard: left and right move it, up and down grade it. ●●● exact, ●●○ same concept, ●○○ related." +
    (data.elsewhere.length ? ` Relevant items that are not among these ${data.items.length}: ` +
      `${data.elsewhere.length}.` : "")),
  list, element("div", { class: "split" }, table, element("div", {},
    element("div", { class: "controls" }, dial, least, buttons), say)));
list.append(...tiles);
draw();
