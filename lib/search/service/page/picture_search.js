// Search pictures by words, a drawing, a picture: one element with a query, results, and why.
//
//   mount(element, api) shows it. All that it needs is in `api`; each function may be async:
//     collections()                 [{name, pictures, columns: {name: kind}, examples: [{id, name}],
//                                     second_stages: [name]}]
//     search(query, signal)         the answer of POST /search; an error has a message and a status
//     suggest(prefix, collection)   words
//     thumbnail(collection, id)     address of a small picture
//     original(collection, id), originals(collection, ids)    addresses of files; may be absent
//     drawn(strokes, picture)       told when the drawing or the picture changes; may be absent
//     hear()                        opens the page that listens; without it there is no microphone
//
// A page gives functions that fetch, a widget in a notebook those that ask its kernel.

const PER_PAGE = 40;
const LARGEST_UPLOAD = 11 << 20; // bytes; base64 makes a third more
const SHRUNK = 1600; // longer side of a picture that was larger than that
const PEN = 10 / 512; // width of a stroke, as the service draws it
const ICONS = {
  search: "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 0 0 0-13M15.5 15.5L20 20",
  draw: "M4 20l1-4L16.5 4.5a2.1 2.1 0 0 1 3 3L8 19zM14.5 6.5l3 3",
  picture: "M4 5h16v14H4zM4 16l5-5l4 4l2.5-2.5L20 17M15.5 9.5h.01",
  microphone: "M12 4a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4M6 11.5a6 6 0 0 0 12 0M12 17.5V21",
  options: "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.5l4.5 4.5L19 7.5",
  undo: "M8 5L4 9l4 4M4 9h10a5.5 5.5 0 0 1 0 11h-3",
  eraser: "M9 19l-5-5L14 4l6 6l-9 9zM9 9l6 6M9 19h11",
  save: "M12 4v11M7.5 11l4.5 4.5l4.5-4.5M5 20h14",
  clear: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13",
};

/** Make an element: `h("p", {class: "x", onclick: f}, "text", child)`. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function iconButton(name, label, onclick, extra = {}) {
  return h("button", { type: "button", class: "ps-icon", "aria-label": label, title: label, onclick, ...extra }, icon(name));
}

const counted = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function save(name, kind, text) {
  const address = URL.createObjectURL(new Blob([text], { type: kind }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function asCsv(rows) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => {
    const text = value == null ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))]
    .map((cells) => cells.map(cell).join(",") + "\r\n").join("");
}

/** Read a file as base64; a large picture is made smaller first, where the browser can read it. */
async function readPicture(file) {
  let blob = file;
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (bitmap && Math.max(bitmap.width, bitmap.height) > SHRUNK) {
    const share = SHRUNK / Math.max(bitmap.width, bitmap.height);
    const canvas = h("canvas", { width: Math.max(1, Math.round(bitmap.width * share)), height: Math.max(1, Math.round(bitmap.height * share)) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  }
  if (blob.size > LARGEST_UPLOAD) {
    const most = `${(LARGEST_UPLOAD / 1e6).toFixed(0)} MB`;
    throw new Error(`${file.name} has ${(blob.size / 1e6).toFixed(0)} MB; at most ${most} can be sent. Choose a smaller picture.`);
  }
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Error(`${file.name} cannot be read. Choose another picture.`));
    reader.readAsDataURL(blob);
  });
}

const placesOf = (strokes) => strokes.map((stroke) => stroke.map(([x, y]) => [x, y])); // without times

/** Write a drawing as one line of QuickDraw's raw JSON: 512 units wide, milliseconds. */
function asQuickDraw(strokes, word) {
  const side = (v) => Math.round(v * 5120) / 10;
  const drawing = strokes.map((stroke) => [stroke.map(([x]) => side(x)), stroke.map(([, y]) => side(y)), stroke.map(([, , t]) => t)]);
  return JSON.stringify({ word, key_id: String(Date.now()), drawing }) + "\n";
}

/** A square page to draw on. `changed(strokes)` is called after each stroke, points [x, y, milliseconds]; `word()` names what is saved. */
function drawingBoard(changed, word) {
  const canvas = h("canvas", { class: "ps-canvas", width: 512, height: 512, role: "img", "aria-label": "Page to draw on, with a mouse, a pen or a finger. With a keyboard, choose a picture instead." });
  const context = canvas.getContext("2d");
  let strokes = [], earlier = [], erasing = false, current = null, before = null, began = 0;

  function paint() {
    context.clearRect(0, 0, 512, 512);
    Object.assign(context, { lineWidth: PEN * 512, lineCap: "round", lineJoin: "round", strokeStyle: "#000" });
    for (const stroke of strokes) {
      context.beginPath();
      stroke.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](x * 512, y * 512));
      if (stroke.length === 1) context.lineTo(stroke[0][0] * 512 + 0.01, stroke[0][1] * 512);
      context.stroke();
    }
    undo.disabled = !earlier.length;
    clear.disabled = saver.disabled = !strokes.length;
  }
  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    const inside = (v) => Math.min(1, Math.max(0, Math.round(v * 1e4) / 1e4));
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height), Math.round(event.timeStamp - began)];
  }
  function replace(fresh) {
    strokes = fresh;
    paint();
    changed(strokes);
  }
  function erase([x, y]) {
    strokes = strokes.filter((stroke) => !stroke.some(([a, b]) => Math.hypot(a - x, b - y) < 0.035));
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    before = [...strokes];
    if (!strokes.length) began = event.timeStamp;
    const place = placeOf(event);
    current = [place];
    if (erasing) erase(place);
    else strokes = [...strokes, current];
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!current) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) {
      const place = placeOf(move), last = current[current.length - 1];
      if (Math.hypot(place[0] - last[0], place[1] - last[1]) < 0.004) continue;
      if (erasing) erase(place), (current = [place]);
      else current.push(place);
    }
    paint();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, () => {
      if (!current) return;
      current = null;
      if (!erasing || strokes.length < before.length) earlier.push(before);
      replace(strokes);
    });
  }
  const pen = iconButton("draw", "Pen", () => choose(false), { "aria-pressed": "true" });
  const eraser = iconButton("eraser", "Eraser", () => choose(true), { "aria-pressed": "false" });
  const undo = iconButton("undo", "Undo", () => replace(earlier.pop()), { disabled: true });
  const clear = iconButton("clear", "Clear", () => (earlier.push(strokes), replace([])), { disabled: true });
  const saver = iconButton("save", "Save drawing", () => save("drawing.ndjson", "application/x-ndjson", asQuickDraw(strokes, word())), { disabled: true });
  function choose(eraserChosen) {
    erasing = eraserChosen;
    pen.setAttribute("aria-pressed", !erasing);
    eraser.setAttribute("aria-pressed", erasing);
    canvas.classList.toggle("ps-erasing", erasing);
  }
  const tools = h("div", { class: "ps-tools", role: "group", "aria-label": "Drawing tools" }, pen, eraser, undo, clear, saver);
  return { element: h("div", { class: "ps-board" }, canvas, tools), canvas, empty: () => ((strokes = []), (earlier = []), paint()) };
}

/** Show the search in an element. */
export function mount(root, api) {
  const prefix = `ps${Math.random().toString(36).slice(2)}`; // of ids: a notebook can show several
  const query = { text: "", picture: null, strokes: [], like: [], without: [], where: "", fold: true, weight: 0.5, rerank: "" };
  const selected = new Map(); // id -> hit
  let collections = [], collection = null, answer = null, hits = [], turn = 0, busy = null, drawing = null;

  // ---- what is on the page

  const input = h("input", {
    class: "ps-text", id: `${prefix}-text`, type: "text", maxlength: 4000, autocomplete: "off", enterkeyhint: "search",
    placeholder: "Describe a picture", "aria-label": "Describe a picture", role: "combobox", "aria-autocomplete": "list",
    "aria-expanded": "false", "aria-controls": `${prefix}-words`, oninput: suggest, onkeydown: typed,
    onblur: () => setTimeout(hideWords, 150),
  });
  const words = h("ul", { class: "ps-words", id: `${prefix}-words`, role: "listbox", "aria-label": "Suggested words", hidden: true });
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Picture file", onchange: () => take(file.files[0]) });
  const board = drawingBoard((strokes) => {
    query.strokes = strokes;
    if (strokes.length) query.picture = null;
    clearTimeout(drawing);
    drawing = setTimeout(run, 250);
    showParts();
  }, () => input.value.trim());
  const boardSection = h("section", { class: "ps-sheet", id: `${prefix}-draw`, "aria-label": "Drawing", hidden: true }, board.element);
  const openBoard = iconButton("draw", "Draw", () => toggle(openBoard, boardSection), { "aria-expanded": "false", "aria-controls": `${prefix}-draw` });
  const where = h("input", { id: `${prefix}-where`, type: "text", spellcheck: "false", autocomplete: "off", maxlength: 2000, onkeydown: (event) => event.key === "Enter" && (event.preventDefault(), setWhere()), onchange: setWhere, "aria-describedby": `${prefix}-columns` });
  const columns = h("p", { class: "ps-hint", id: `${prefix}-columns` });
  const without = h("input", { id: `${prefix}-without`, type: "text", placeholder: "a word or a sentence", autocomplete: "off", maxlength: 4000, onkeydown: (event) => event.key === "Enter" && (event.preventDefault(), addWithout()) });
  const fold = h("input", { id: `${prefix}-fold`, type: "checkbox", checked: true, onchange: () => ((query.fold = fold.checked), run()) });
  const order = h("select", { id: `${prefix}-order`, onchange: () => ((query.rerank = order.value), run()) });
  const orderLine = h("div", { hidden: true }, h("label", { for: order.id }, "Order"), h("div", { class: "ps-line" }, order),
    h("p", { class: "ps-hint" }, "A second stage reads the best 100 pictures again, for words alone."));
  const optionSection = h("section", { class: "ps-sheet ps-options", id: `${prefix}-options`, "aria-label": "Options", hidden: true },
    h("div", {}, h("label", { for: without.id }, "Without"), h("div", { class: "ps-line" }, without, h("button", { type: "button", onclick: addWithout }, "Add")),
      h("p", { class: "ps-hint" }, "Pictures that resemble these words move down.")),
    h("div", {}, h("label", { for: where.id }, "Condition"), h("div", { class: "ps-line" }, where, h("button", { type: "button", onclick: setWhere }, "Apply")), columns),
    orderLine,
    h("label", { class: "ps-tick", for: fold.id }, fold, "Show near-identical pictures once"));
  const openOptions = iconButton("options", "Options", () => toggle(openOptions, optionSection), { "aria-expanded": "false", "aria-controls": `${prefix}-options` });
  const parts = h("div", { class: "ps-parts", role: "group", "aria-label": "Parts of the query", hidden: true });
  const form = h("form", { class: "ps-form", role: "search", onsubmit: (event) => { event.preventDefault(); submit(); } },
    h("div", { class: "ps-box" }, icon("search"), input,
      openBoard, iconButton("picture", "Choose a picture", () => file.click()), file,
      iconButton("microphone", "Hum a tune", () => api.hear(), { hidden: !api.hear, disabled: !api.hear }),
      openOptions, h("button", { class: "ps-go", type: "submit", "aria-label": "Search" }, icon("search"), h("span", {}, "Search"))),
    words, boardSection, optionSection, parts); // below: nothing moves while one draws
  const chooser = h("select", { class: "ps-chooser", "aria-label": "Collection", hidden: true, onchange: () => { choose(chooser.value); run(); } });
  const told = h("p", { class: "ps-told", role: "status" });
  const doubts = h("ul", { class: "ps-doubts", "aria-label": "Doubts", hidden: true });
  const wrong = h("div", { class: "ps-wrong", role: "alert", hidden: true });
  const nSelected = h("span", { class: "ps-count" });
  const bar = h("div", { class: "ps-bar", role: "group", "aria-label": "Selected pictures", hidden: true }, nSelected,
    h("button", { type: "button", onclick: () => save("pictures.json", "application/json", JSON.stringify(listed(), null, 1)) }, "List as JSON"),
    h("button", { type: "button", onclick: () => save("pictures.csv", "text/csv", asCsv(listed())) }, "List as CSV"),
    api.originals && h("button", { type: "button", onclick: saveOriginals }, "Originals (ZIP)"),
    h("button", { type: "button", class: "ps-plain", onclick: () => { selected.clear(); showSelection(); } }, "Clear selection"));
  const start = h("div", { class: "ps-start" });
  const grid = h("ul", { class: "ps-grid", role: "listbox", "aria-multiselectable": "true", "aria-label": "Pictures found. Enter shows why, space selects.", hidden: true, onkeydown: walk, onclick: clicked });
  const more = h("button", { type: "button", class: "ps-more", hidden: true, onclick: nextPage }, "More pictures");
  const why = h("aside", { class: "ps-why", "aria-label": "Why this picture", hidden: true, onkeydown: (event) => event.key === "Escape" && closeWhy() });
  const veil = h("div", { class: "ps-veil", hidden: true }, "Drop a picture to search with it");
  const view = h("div", { class: "ps", ondragover: dragged, ondragleave: dragged, ondrop: dropped, onpaste: pasted },
    h("header", { class: "ps-head" }, form),
    h("div", { class: "ps-status" }, chooser, told), doubts, wrong, bar, start,
    h("div", { class: "ps-body" }, h("div", { class: "ps-found" }, grid, more), why), veil);
  root.replaceChildren(view);
  const wholePage = document.body.classList.contains("ps-page");
  if (wholePage) { // it takes pictures, not the element alone
    document.addEventListener("paste", (event) => view.contains(event.target) || pasted(event));
    for (const name of ["dragover", "dragleave"]) document.addEventListener(name, (event) => view.contains(event.target) || dragged(event));
    document.addEventListener("drop", (event) => view.contains(event.target) || dropped(event));
  }
  new IntersectionObserver(([entry]) => entry.isIntersecting && nextPage(), { rootMargin: "800px" }).observe(more);

  // ---- the query

  function toggle(button, section) {
    const open = section.hidden;
    for (const [other, its] of [[openBoard, boardSection], [openOptions, optionSection]]) {
      its.hidden = its !== section || !open;
      other.setAttribute("aria-expanded", !its.hidden);
    }
    if (open) section.querySelector("input, button").focus();
  }
  const hasPicture = () => Boolean(query.picture || query.strokes.length || query.like.length);
  const isEmpty = () => !query.text.trim() && !hasPicture();

  function body() {
    const sent = { collection: collection.name, text: query.text, fold: query.fold, where: query.where, image_weight: query.weight };
    if (query.picture) sent.image = query.picture.content;
    else if (query.strokes.length) sent.strokes = placesOf(query.strokes);
    if (query.like.length) sent.like = query.like.map((hit) => hit.id);
    if (query.without.length) sent.without = query.without;
    if (query.rerank && query.text.trim() && !hasPicture() && !query.without.length) sent.rerank = query.rerank;
    return sent;
  }
  function submit() {
    query.text = input.value;
    hideWords();
    run();
  }
  async function take(picture) {
    if (!picture) return;
    if (!picture.type.startsWith("image/")) return fail(new Error(`${picture.name} is not a picture. Drop a file such as JPEG, PNG or WebP.`));
    try {
      query.picture = { name: picture.name || "picture", content: await readPicture(picture) };
    } catch (error) {
      return fail(error);
    }
    file.value = "";
    query.strokes = [];
    query.like = [];
    board.empty();
    run();
  }
  function dragged(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    veil.hidden = event.type === "dragleave" && !event.relatedTarget;
    if (event.type === "dragleave" && (!event.relatedTarget || !document.body.contains(event.relatedTarget))) veil.hidden = true;
  }
  function dropped(event) {
    veil.hidden = true;
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  }
  function pasted(event) {
    const picture = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!picture) return;
    event.preventDefault();
    take(picture);
  }
  function moreLike(hit) {
    Object.assign(query, { text: "", picture: null, strokes: [], like: [hit], without: [] });
    input.value = "";
    board.empty();
    closeWhy();
    view.scrollIntoView({ block: "start" });
    run();
  }
  function addWithout() {
    const text = without.value.trim();
    if (!text || query.without.includes(text)) return;
    query.without = [...query.without, text];
    without.value = "";
    run();
  }
  function setWhere() {
    if (where.value.trim() === query.where) return;
    query.where = where.value.trim();
    run();
  }
  function chip(label, preview, remove) {
    return h("span", { class: "ps-chip" }, preview, h("span", {}, label),
      iconButton("close", `Remove ${label}`, () => { remove(); input.focus(); run(); }));
  }
  function showParts() {
    api.drawn?.(placesOf(query.strokes), query.picture?.content ?? "");
    const shown = [];
    if (query.picture) shown.push(chip(query.picture.name, h("img", { src: query.picture.content, alt: "", onerror: (event) => event.target.remove() }), () => (query.picture = null)));
    if (query.strokes.length) {
      const small = h("canvas", { width: 56, height: 56 });
      small.getContext("2d").drawImage(board.canvas, 0, 0, 56, 56);
      shown.push(chip("drawing", small, () => ((query.strokes = []), board.empty())));
    }
    for (const hit of query.like) shown.push(chip(`like ${hit.name}`, picture(hit.id), () => (query.like = query.like.filter((other) => other !== hit))));
    for (const text of query.without) shown.push(chip(`without ${text}`, null, () => (query.without = query.without.filter((other) => other !== text))));
    if (query.where) shown.push(chip(query.where, null, () => ((query.where = ""), (where.value = ""))));
    if (query.text.trim() && hasPicture()) {
      shown.push(h("label", { class: "ps-weight" }, "words", h("input", { type: "range", min: 0, max: 1, step: 0.05, value: query.weight, "aria-label": "Weight of the picture against the words", onchange: (event) => ((query.weight = Number(event.target.value)), run()) }), "picture"));
    }
    const focused = document.activeElement?.type === "range" && parts.contains(document.activeElement);
    parts.replaceChildren(...shown);
    parts.hidden = !shown.length;
    if (focused) parts.querySelector("input[type=range]")?.focus();
  }

  // ---- suggestions

  let asked = 0;
  async function suggest() {
    const mine = ++asked;
    const last = /(\S+)$/u.exec(input.value)?.[1] ?? "";
    if (last.length < 2) return hideWords();
    const found = await Promise.resolve(api.suggest(last.slice(0, 100), collection?.name)).catch(() => []);
    if (mine !== asked || document.activeElement !== input) return;
    const others = found.filter((word) => word !== last.toLowerCase());
    words.replaceChildren(...others.map((word, at) => h("li", { role: "option", id: `${prefix}-word-${at}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); pick(word); } }, h("b", {}, last), word.slice(last.length))));
    words.hidden = !others.length;
    input.setAttribute("aria-expanded", Boolean(others.length));
    input.removeAttribute("aria-activedescendant");
  }
  function hideWords() {
    asked++;
    words.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }
  function pick(word) {
    input.value = input.value.replace(/\S+$/u, word);
    submit();
    input.focus();
  }
  function typed(event) {
    const options = words.hidden ? [] : [...words.children];
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "Escape" && options.length) { event.preventDefault(); hideWords(); }
    if (event.key === "Enter" && !event.isComposing) { // JupyterLab keeps forms from being sent
      event.preventDefault();
      return at >= 0 ? pick(options[at].textContent) : submit();
    }
    if (!options.length || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    const next = (at + (event.key === "ArrowDown" ? 1 : at < 0 ? 0 : -1) + options.length) % options.length;
    options.forEach((option, n) => option.setAttribute("aria-selected", n === next));
    input.setAttribute("aria-activedescendant", options[next].id);
  }

  // ---- the search

  async function run() {
    clearTimeout(drawing);
    const mine = ++turn;
    busy?.abort();
    busy = new AbortController();
    showParts();
    closeWhy(false);
    wrong.hidden = doubts.hidden = more.hidden = true;
    answer = null;
    hits = [];
    if (!collection) return begin();
    if (isEmpty()) return showStart();
    start.hidden = true;
    grid.hidden = false;
    grid.setAttribute("aria-busy", "true");
    grid.replaceChildren(...Array.from({ length: 12 }, () => h("li", { class: "ps-tile ps-bone", role: "presentation" })));
    told.textContent = "Searching";
    try {
      const found = await api.search({ ...body(), k: PER_PAGE, offset: 0 }, busy.signal);
      if (mine !== turn) return;
      grid.replaceChildren(h("li", { class: "ps-rest", role: "presentation" }));
      receive(found);
      showDoubts(found.doubts);
      tell(found);
    } catch (error) {
      if (mine === turn) fail(error);
    } finally {
      if (mine === turn) grid.removeAttribute("aria-busy");
    }
  }
  let loading = false;
  async function nextPage() {
    if (loading || !answer?.more) return;
    loading = true;
    const whole = body(), { where, fold, rerank } = whole;
    const mine = turn, asks = { k: PER_PAGE, offset: hits.length };
    more.textContent = "Loading";
    try {
      const page = await api.search({ collection: collection.name, query: answer.query, where, fold, ...(rerank && { rerank }), ...asks }, busy.signal)
        .catch((error) => { if (error.status !== 400) throw error; return api.search({ ...whole, ...asks }, busy.signal); });
      if (mine === turn) receive(page);
    } catch (error) {
      if (mine === turn) { more.hidden = true; fail(error, () => { wrong.hidden = true; more.hidden = false; nextPage(); }); }
    } finally {
      loading = false;
      more.textContent = "More pictures";
    }
    if (mine === turn && answer?.more && more.getBoundingClientRect().top < innerHeight + 800 && wrong.hidden) nextPage();
  }
  function receive(page) {
    answer = page;
    hits.push(...page.hits);
    grid.lastElementChild.before(...page.hits.map(tile));
    if (page.offset === 0) grid.querySelector("[role=option]")?.setAttribute("tabindex", "0");
    grid.hidden = !hits.length;
    more.hidden = !page.more;
  }
  function tell(found) {
    if (!found.hits.length) {
      told.textContent = "No picture found.";
      start.hidden = false;
      start.replaceChildren(h("h2", {}, "No picture found"), h("p", {}, query.where ? "No picture meets the condition. Change it, or remove it." : "The collection holds no other picture. Index more, or ask for something else."));
      return;
    }
    const n = counted(found.hits.length, "picture");
    told.textContent = found.more
      ? `The best of ${counted(collection.pictures, "picture")} first. ${n} shown; more follow as you scroll.`
      : `${n} found, the best first.`;
    if (found.second_stage?.length) told.textContent += ` ${found.second_stage.join(" ")}`;
  }
  function showDoubts(sentences) {
    doubts.replaceChildren(...sentences.map((sentence) => h("li", {}, sentence)));
    doubts.hidden = !sentences.length;
  }
  function fail(error, again = run) {
    if (error.name === "AbortError") return;
    told.textContent = "";
    veil.hidden = true;
    if (!hits.length) { grid.replaceChildren(); grid.hidden = true; }
    wrong.replaceChildren(h("p", {}, error.message), h("button", { type: "button", onclick: again }, "Try again"));
    wrong.hidden = false;
  }

  // ---- results

  function picture(id) {
    const image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
    Promise.resolve(api.thumbnail(collection.name, id)).then((address) => (image.src = address)).catch(() => {});
    image.addEventListener("error", () => image.closest(".ps-tile")?.classList.add("ps-broken"));
    return image;
  }
  function tile(hit) {
    const { width, height } = hit.columns;
    const copies = hit.copies.length ? `, ${counted(hit.copies.length, "near-identical picture")}` : "";
    const element = h("li", {
      class: "ps-tile", role: "option", tabindex: "-1", "aria-selected": selected.has(hit.id), "aria-posinset": hit.rank, "aria-setsize": "-1",
      "data-id": hit.id, "aria-label": `${hit.rank}. ${hit.name}, score ${hit.score.toFixed(3)}${copies}`, title: hit.name,
    }, picture(hit.id), h("span", { class: "ps-check", "data-do": "select" }, icon("check")),
    hit.copies.length ? h("span", { class: "ps-copies", title: counted(hit.copies.length, "near-identical picture") }, `+${hit.copies.length}`) : null,
    h("span", { class: "ps-like", "data-do": "like" }, "More like this"),
    h("span", { class: "ps-name" }, hit.name));
    element.style.setProperty("--ratio", Math.min(1.9, Math.max(0.7, width && height ? width / height : 1)));
    return element;
  }
  const hitOf = (element) => hits.find((hit) => String(hit.id) === element?.dataset.id);
  const options = () => [...grid.querySelectorAll("[role=option]")];
  function focusTile(element) {
    grid.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    element.setAttribute("tabindex", "0");
    element.focus();
  }
  function clicked(event) {
    const element = event.target.closest("[role=option]");
    if (!element) return;
    focusTile(element);
    const wish = event.target.closest("[data-do]")?.dataset.do;
    if (wish === "select" || event.ctrlKey || event.metaKey) select(hitOf(element));
    else if (wish === "like") moreLike(hitOf(element));
    else showWhy(hitOf(element));
  }
  function walk(event) {
    const element = event.target.closest("[role=option]");
    if (!element || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = options(), at = all.indexOf(element);
    const box = element.getBoundingClientRect(), middle = box.left + box.width / 2;
    const nearest = (tiles) => tiles.map((other) => { const b = other.getBoundingClientRect(); return { other, top: b.top, off: Math.abs(b.left + b.width / 2 - middle) }; });
    let next = null;
    if (event.key === "ArrowRight") next = all[at + 1];
    else if (event.key === "ArrowLeft") next = all[at - 1];
    else if (event.key === "Home") next = all[0];
    else if (event.key === "End") next = all.at(-1);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const down = event.key === "ArrowDown";
      const beyond = nearest(all).filter(({ top }) => (down ? top > box.top + 4 : top < box.top - 4));
      const row = down ? Math.min(...beyond.map(({ top }) => top)) : Math.max(...beyond.map(({ top }) => top));
      next = beyond.filter(({ top }) => Math.abs(top - row) < 4).sort((a, b) => a.off - b.off)[0]?.other;
    } else if (event.key === "Enter") showWhy(hitOf(element));
    else if (event.key === " ") select(hitOf(element));
    else return;
    event.preventDefault();
    if (next) focusTile(next);
  }
  function select(hit) {
    if (!selected.delete(hit.id)) selected.set(hit.id, hit);
    showSelection();
  }
  function showSelection() {
    for (const element of options()) element.setAttribute("aria-selected", selected.has(Number(element.dataset.id)));
    bar.hidden = !selected.size;
    nSelected.textContent = `${counted(selected.size, "picture")} selected`;
    const button = why.querySelector("[data-select]");
    if (button) button.setAttribute("aria-pressed", selected.has(Number(button.dataset.select)));
  }
  const listed = () => [...selected.values()].map(({ rank, score, name, columns }) => {
    const ours = Object.entries({ rank, score, name }).map(([key, value]) => [key in columns ? `crossmodal_${key}` : key, value]);
    return { ...Object.fromEntries(ours), ...columns };
  });
  async function saveOriginals() {
    const address = await api.originals(collection.name, [...selected.keys()].slice(0, 200));
    h("a", { href: address, download: "" }).click();
    if (selected.size > 200) told.textContent = "The first 200 selected pictures are saved; at most 200 at a time.";
  }

  // ---- why

  async function showWhy(hit) {
    const mine = turn, { mean, deviation } = answer;
    const near = h("ul", { class: "ps-near", "aria-busy": "true" });
    const title = h("h2", { tabindex: "-1" }, hit.name);
    const ordinary = hit.standing < 2 ? " Many pictures of this collection score like that: it may not be what you meant." : "";
    const facts = Object.entries(hit.columns).filter(([name, value]) => !(name === "caption" && value === hit.name) && value !== null && value !== "");
    const shown = [
      iconButton("close", "Close", () => closeWhy(), { class: "ps-icon ps-shut" }),
      h("div", { class: "ps-large" }, picture(hit.id)), title,
      h("div", { class: "ps-line" },
        h("button", { type: "button", class: "ps-go", onclick: () => moreLike(hit) }, "More like this"),
        h("button", { type: "button", "data-select": hit.id, "aria-pressed": selected.has(hit.id), onclick: () => select(hit) }, "Select"),
        api.original && h("a", { class: "ps-button", href: api.original(collection.name, hit.id), download: "" }, "Original")),
      h("h3", {}, "Score"), scale(hit.score, mean, deviation),
      h("p", {}, `The cosine with your query is ${hit.score.toFixed(3)}. Pictures of this collection have ${mean.toFixed(3)} on average, with a standard deviation of ${deviation.toFixed(3)}: this one stands ${Math.abs(hit.standing).toFixed(1)} deviations ${hit.standing < 0 ? "below" : "above"} the mean.${ordinary}`),
      hit.second_score == null ? null : h("p", {}, `The second stage, which orders the best pictures, scores it ${hit.second_score.toFixed(3)}.`),
      hit.copies.length ? h("h3", {}, counted(hit.copies.length, "near-identical picture")) : null,
      hit.copies.length ? h("div", { class: "ps-twins" }, ...hit.copies.slice(0, 12).map(picture)) : null,
      h("h3", {}, "Nearest pictures"), near,
      h("h3", {}, "Facts"), h("dl", {}, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, typeof value === "number" ? value.toLocaleString("en", { useGrouping: name === "bytes" }) : String(value))]))];
    why.replaceChildren(...shown.filter(Boolean));
    why.hidden = false;
    view.classList.add("ps-explains");
    why.scrollTop = 0;
    title.focus();
    try {
      const found = await api.search({ collection: collection.name, like: [hit.id], k: 6 });
      if (mine !== turn) return;
      near.replaceChildren(...found.hits.map((other) => h("li", {}, picture(other.id), h("span", {}, other.name), h("span", { class: "ps-hint" }, other.score.toFixed(2)))));
    } catch (error) {
      near.replaceChildren(h("li", {}, error.message));
    }
    near.removeAttribute("aria-busy");
  }
  /** Draw a score on a line from 0 to 1, with the mean and the deviations around it. */
  function scale(score, mean, deviation) {
    const low = Math.min(0, mean - 3 * deviation), x = (value) => 4 + (292 * (Math.min(1, value) - low)) / (1 - low);
    const make = (tag, attributes, text) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      if (text) element.textContent = text;
      return element;
    };
    const svg = make("svg", { class: "ps-scale", viewBox: "0 0 300 46", role: "img", "aria-label": `Score ${score.toFixed(3)}; mean ${mean.toFixed(3)}, deviation ${deviation.toFixed(3)}` });
    const side = x(score) > 240 ? "end" : x(score) < 60 ? "start" : "middle";
    svg.append(
      make("rect", { class: "ps-wide", x: x(mean - 2 * deviation), width: x(mean + 2 * deviation) - x(mean - 2 * deviation), y: 20, height: 10, rx: 5 }),
      make("rect", { class: "ps-narrow", x: x(mean - deviation), width: x(mean + deviation) - x(mean - deviation), y: 20, height: 10, rx: 5 }),
      make("line", { x1: 4, x2: 296, y1: 25, y2: 25 }), make("circle", { cx: x(score), cy: 25, r: 6 }),
      make("text", { class: "ps-mark", x: x(score), y: 13, "text-anchor": side }, score.toFixed(3)), make("text", { x: x(mean), y: 43, "text-anchor": "middle" }, "mean"));
    return svg;
  }
  function closeWhy(refocus = true) {
    if (why.hidden) return;
    why.hidden = true;
    view.classList.remove("ps-explains");
    if (refocus) grid.querySelector("[tabindex='0']")?.focus();
  }

  // ---- the beginning

  async function showStart() {
    const mine = turn;
    told.textContent = "";
    grid.hidden = true;
    start.hidden = false;
    start.replaceChildren(h("h1", {}, `Search ${counted(collection.pictures, "picture")}`), h("p", {}, `Describe one, draw it, or drop a picture ${wholePage ? "anywhere on this page" : "here"}.`));
    const found = await Promise.resolve(api.suggest("", collection.name)).catch(() => []);
    if (mine !== turn) return;
    if (found.length) start.append(h("p", { class: "ps-try" }, h("span", {}, "Frequent words"), ...found.slice(0, 6).map((word) => h("button", { type: "button", onclick: () => { input.value = word; submit(); } }, word))));
    start.append(h("div", { class: "ps-wall" }, ...collection.examples.map((one) => h("button", { type: "button", class: "ps-example", title: one.name, "aria-label": `More like ${one.name}`, onclick: () => moreLike(one) }, picture(one.id)))));
  }
  function choose(name) {
    collection = collections.find((one) => one.name === name);
    query.like = [];
    selected.clear();
    showSelection();
    const stages = collection.second_stages ?? [];
    order.replaceChildren(...["", ...stages].map((one) => h("option", { value: one }, one || "cosine")));
    query.rerank = "";
    orderLine.hidden = !stages.length;
    const names = Object.keys(collection.columns);
    const number = names.findLast((one) => /int|double|float/.test(collection.columns[one]) && !["id", "bytes"].includes(one));
    where.placeholder = number ? `${number} > ${["width", "height"].includes(number) ? 500 : 0}` : 'contains(caption, "red")';
    columns.replaceChildren("Columns: ", ...names.flatMap((one) => [h("button", { type: "button", class: "ps-column", onclick: () => { where.setRangeText(one, where.selectionStart, where.selectionEnd, "end"); where.focus(); } }, one), " "]));
  }
  async function begin() {
    wrong.hidden = true;
    try {
      collections = await api.collections();
    } catch (error) {
      return fail(error, begin);
    }
    chooser.replaceChildren(...collections.map((one) => h("option", { value: one.name }, one.name)));
    chooser.hidden = collections.length < 2;
    choose(collections[0].name);
    run();
  }
  begin();
}
