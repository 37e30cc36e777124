// The search as a widget in a notebook: `mount` with functions that ask the kernel by messages.
//
// A question is {number, ask, ...}; its answer {number, answer} or {number, error: {message,
// status}}, a thumbnail in its buffer. The traits `strokes` and `picture` follow the page.
import { mount } from "./picture_search.js";

const PATIENCE = 120_000; // milliseconds; a first query loads the model

/** Make the function that asks the kernel, and one that ends it. */
function asker(model) {
  const view = Math.random().toString(36).slice(2); // several views share one model
  const waiting = new Map();
  let asked = 0;
  function receive(message, buffers) {
    const { resolve, reject, timer } = waiting.get(message.number) ?? {};
    if (!resolve) return;
    waiting.delete(message.number);
    clearTimeout(timer);
    if (message.error) reject(Object.assign(new Error(message.error.message), { status: message.error.status }));
    else resolve(message.answer ?? new Blob([buffers[0]], { type: "image/jpeg" }));
  }
  function ask(question, signal) {
    const number = `${view}-${++asked}`;
    return new Promise((resolve, reject) => {
      const giveUp = (error) => (clearTimeout(timer), waiting.delete(number), reject(error));
      const late = new Error("The kernel does not answer. Does it run, or is it busy with another cell?");
      const timer = setTimeout(giveUp, PATIENCE, late);
      waiting.set(number, { resolve, reject, timer });
      signal?.addEventListener("abort", () => giveUp(new DOMException("another search began", "AbortError")));
      model.send({ number, ...question });
    });
  }
  model.on("msg:custom", receive);
  return { ask, end: () => model.off("msg:custom", receive) };
}

function render({ model, el }) {
  const { ask, end } = asker(model), addresses = new Map();
  const api = {
    collections: () => ask({ ask: "collections" }),
    search: (query, signal) => ask({ ask: "search", query }, signal),
    suggest: (prefix) => ask({ ask: "suggest", prefix }),
    thumbnail: (collection, id) => {
      if (!addresses.has(id)) {
        const asked = ask({ ask: "thumbnail", id }).then((blob) => URL.createObjectURL(blob));
        addresses.set(id, asked);
        asked.catch(() => addresses.delete(id)); // the next one asks again
      }
      return addresses.get(id);
    },
    drawn: (strokes, picture) => {
      model.set("strokes", strokes);
      model.set("picture", picture);
      model.save_changes();
    },
  };
  el.classList.add("ps-notebook");
  el.dataset.lmSuppressShortcuts = "true"; // keys that are typed here are no commands of JupyterLab
  const { jpThemeLight } = document.body.dataset;
  if (jpThemeLight) el.style.setProperty("--ps-scheme", jpThemeLight === "true" ? "light" : "dark");
  mount(el, api);
  return () => {
    end();
    for (const address of addresses.values()) address.then(URL.revokeObjectURL).catch(() => {});
  };
}

export default { render };
