// Find a tune by humming: one element with a microphone, what was heard, and the tunes found.
//
//   mountHum(element, api) shows it. All that it needs is in `api`:
//     describe()             {tunes, message}: how many are searched; message says why there is none
//     find(samples)          for mono samples at 16 kHz {heard: {seconds, notes}, remarks, searched,
//                            tunes: [{title, collection, key, off, seconds, start, end, places, moved,
//                            notes}]}; notes are [[onset, seconds, pitch]], see FoundTune
//     prepare()              called when somebody begins to hum; may be absent
//     worklet                address of recorder_worklet.js
//     about                  a sentence on where the sound goes
//
// The page of the service gives functions that fetch; the page without a server those that compute.
import { LONGEST, RATE, playNotes, readSound, record } from "./sound.js";

const PLACE = 0.2; // seconds of the hum from one of a tune's places to the next
const SOFT = -60, LOUD = -10; // decibels at the ends of the meter

/** Make an element: `make("p", {class: "x", onclick: f}, "text", child)`. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node[name] = value;
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

function drawn(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export async function mountHum(root, api) {
  let recording = null, playing = null, turn = 0;

  const button = make("button", { type: "button", class: "ps-go hum-button", onclick: () => (recording ? recording.stop() : listen()) }, "Hum");
  const fill = make("span", { class: "hum-fill" });
  const meter = make("div", { class: "hum-meter", role: "meter", "aria-label": "Level of the microphone, in decibels", "aria-valuemin": SOFT, "aria-valuemax": LOUD, "aria-valuenow": SOFT }, fill);
  const clock = make("span", { class: "hum-clock" });
  const live = make("div", { class: "hum-live", hidden: "" }, meter, clock);
  const file = make("input", { type: "file", accept: "audio/*,.wav", hidden: "", "aria-label": "Sound file", onchange: () => file.files[0] && load(file.files[0]) });
  const choose = make("button", { type: "button", onclick: () => file.click() }, "Choose a sound file");
  const status = make("p", { class: "hum-status", role: "status" });
  const wrong = make("p", { class: "hum-wrong", role: "alert", hidden: "" });
  const about = make("p", { class: "hum-about" });
  const heard = make("section", { class: "hum-heard", "aria-label": "What was heard", hidden: "" });
  const found = make("ol", { class: "hum-found", "aria-label": "Tunes found" });
  const tools = make("div", { class: "hum-tools" }, button, choose, file);
  root.className = "ps hum";
  root.replaceChildren(make("h1", {}, "Hum a tune"), about, tools, live, status, wrong, heard, found);

  const { tunes, message } = await api.describe().catch((error) => ({ tunes: 0, message: error.message }));
  if (!tunes) {
    tools.hidden = true;
    about.textContent = message;
    return;
  }
  about.append(`Hum on “da” or “la” for 5 to ${LONGEST} seconds: from anywhere in a tune, in any key, at any tempo. ${tunes.toLocaleString("en")} folk tunes are searched. `, api.about ?? "");

  function fail(error) {
    status.textContent = "";
    wrong.textContent = error.message;
    wrong.hidden = false;
  }
  function clear() {
    wrong.hidden = heard.hidden = true;
    found.replaceChildren();
    playing?.stop();
  }

  async function listen() {
    clear();
    api.prepare?.();
    const mine = ++turn;
    button.disabled = choose.disabled = true;
    status.textContent = "Waiting for the microphone";
    try {
      recording = await record(api.worklet, showLevel);
      status.textContent = "Hum now";
      button.textContent = "Stop";
      button.disabled = live.hidden = false;
      showLevel(SOFT, 0);
      const samples = await recording.sound;
      rest();
      await search(samples, mine);
    } catch (error) {
      rest();
      fail(error);
    }
  }
  function rest() {
    recording = null;
    button.textContent = "Hum";
    button.disabled = choose.disabled = false;
    live.hidden = true;
  }
  function showLevel(decibels, seconds) {
    const level = Math.min(LOUD, Math.max(SOFT, decibels));
    fill.style.width = `${(100 * (level - SOFT)) / (LOUD - SOFT)}%`;
    meter.setAttribute("aria-valuenow", Math.round(level));
    clock.textContent = `${seconds.toFixed(0)} of ${LONGEST} s`;
  }

  async function load(chosen) {
    clear();
    const mine = ++turn;
    status.textContent = `Reading ${chosen.name}`;
    try {
      const { samples, seconds } = await readSound(chosen);
      file.value = ""; // the same file can be chosen again
      const cut = seconds > LONGEST + 0.5 ? [`The first ${LONGEST} of ${seconds.toFixed(0)} s are searched.`] : [];
      await search(samples, mine, cut);
    } catch (error) {
      fail(error);
    }
  }

  async function search(samples, mine, remarks = []) {
    if (samples.length < RATE) throw new Error("Less than a second was recorded. Hum longer.");
    status.textContent = "Searching";
    const answer = await api.find(samples, (text) => mine === turn && (status.textContent = text));
    if (mine !== turn) return;
    status.textContent = `The best ${answer.tunes.length} of ${answer.searched.toLocaleString("en")} tunes, the best first. “Off” is the mean distance of the pitch after the key and the tempo are fitted.`;
    showHeard(answer.heard, [...remarks, ...answer.remarks]);
    found.replaceChildren(...answer.tunes.map((tune) => item(tune, answer.heard)));
  }

  function showHeard({ seconds, notes }, remarks) {
    heard.replaceChildren(
      make("h2", {}, `Heard: ${seconds.toFixed(1)} s of melody`),
      picture([], notes, 0, seconds, `The pitch that was heard, over ${seconds.toFixed(1)} seconds`),
      make("div", { class: "hum-line" }, player("Play what was heard", notes)),
      ...remarks.map((text) => make("p", { class: "hum-remark" }, text)));
    heard.hidden = false;
  }

  function item(tune, hum) {
    const { start, end } = tune;
    const laid = (tune.places.length ? hum.notes : []).map(([onset, seconds, pitch]) => {
      const from = placeOf(onset, tune.places);
      return [from, placeOf(onset + seconds, tune.places) - from, pitch + tune.moved];
    });
    const margin = 0.15 * (end - start);
    const title = tune.title || "without a title";
    return make("li", {},
      make("h2", {}, title),
      make("p", {}, [tune.collection, tune.key && `key ${tune.key}`, `from ${start.toFixed(0)} to ${end.toFixed(0)} s of ${tune.seconds.toFixed(0)} s`, `off by ${tune.off.toFixed(2)} semitones`].filter(Boolean).join(" · ")),
      picture(tune.notes, laid, start - margin, end + margin, `Notes of ${title} and, over them, the hum, moved by ${tune.moved.toFixed(1)} semitones`),
      make("div", { class: "hum-line" }, player("Play this part", tune.notes, { from: start, to: end }), player("Play the tune", tune.notes)));
  }

  /** A button that plays notes, and stops them while they play. */
  function player(label, notes, part = {}) {
    const own = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const mine = playing?.own === own;
      playing?.stop();
      if (mine) return;
      const ended = () => {
        own.textContent = label;
        own.setAttribute("aria-pressed", "false");
        if (playing?.own === own) playing = null;
      };
      own.textContent = "Stop";
      own.setAttribute("aria-pressed", "true");
      playing = { own, stop: playNotes(notes, { ...part, ended }) };
    } }, label);
    return own;
  }
}

/** The time in a tune that matches a time in the hum, between two known places on a line. */
function placeOf(time, places) {
  const at = Math.min(time / PLACE, places.length), i = Math.min(Math.floor(at), places.length - 1);
  const next = places[i + 1] ?? places[i] + PLACE;
  return places[i] + (at - i) * (next - places[i]);
}

/** Draw the notes of a tune as bars, and the pitch of a hum as a line over them. */
function picture(notes, hum, from, to, label) {
  const width = 640, height = 120;
  const shown = notes.filter(([onset, seconds]) => onset + seconds > from && onset < to);
  const pitches = [...shown, ...hum].map(([, , pitch]) => pitch);
  const low = Math.min(...pitches) - 1.5, high = Math.max(...pitches) + 1.5;
  const x = (time) => (width * (time - from)) / (to - from);
  const y = (pitch) => (height * (high - pitch)) / (high - low);
  const thick = Math.max(4, Math.min(10, height / (high - low)));
  const bars = shown.map(([onset, seconds, pitch]) => drawn("rect", { class: "hum-note", x: x(onset), width: Math.max(2, x(onset + seconds) - x(onset) - 1.5), y: y(pitch) - thick / 2, height: thick, rx: 2 }));
  let path = "", end = -Infinity;
  for (const [onset, seconds, pitch] of hum) {
    path += `${onset - end > 0.05 ? "M" : "L"}${x(onset).toFixed(1)} ${y(pitch).toFixed(1)}H${x(onset + seconds).toFixed(1)}`;
    end = onset + seconds;
  }
  return drawn("svg", { class: "hum-picture", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" }, ...bars, drawn("path", { class: "hum-line-of-hum", d: path }));
}
