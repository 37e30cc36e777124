// Search tunes by a contour in two stages: vectors of windows, then DTW on the best. The same steps,
// with the same numbers, as lib/search/melody (contour_vectors.py, dtw.py) for a hum of any tempo.

const WINDOW_STEP = 0.1; // seconds of a frame of the first stage
const HEAD = 6; // seconds of the hum that the first stage compares
const POINTS = 64, COEFFICIENTS = 12; // of a window; a vector has twice as many numbers
const SCALES = Array.from({ length: 7 }, (_, i) => 0.6 * (1.67 / 0.6) ** (i / 6)); // of the tempo
const UNIT = 127; // length of a vector of whole numbers
const DEPTH = 400; // tunes that DTW orders
const DTW_STEP = 0.2; // seconds of its frames
const SHIFTS = Array.from({ length: 15 }, (_, i) => i - 7); // semitones
const MOST = 3; // semitones; a wrong frame counts no more
const PAUSE = 40; // milliseconds of work, after which the page may draw

/** Read the tunes: each entry of the data is a pitch and its length in hundredths of a second.

Pitch 0 is a rest, and -1 continues the note before. The tempo is that at which a tune is hummed. */
export function readTunes({ pitches, lengths, tunes, books }) {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const pitch = new Int8Array(bytes(pitches).buffer), length = bytes(lengths);
  let at = 0;
  return tunes.map(([title, source, key, n]) => {
    const notes = []; // [onset, seconds, pitch]
    let time = 0;
    for (const end = at + n; at < end; at++) {
      const seconds = length[at] / 100;
      if (pitch[at] > 0) notes.push([time, seconds, pitch[at]]);
      else if (pitch[at] < 0) notes.at(-1)[1] += seconds;
      time += seconds;
    }
    return { title, source, key, collection: books[source.split("/")[0]], notes, seconds: time };
  });
}

/** The pitch of the last note that has begun at each time. */
function pitchesAt(notes, times) {
  let i = 0;
  return times.map((time) => {
    while (i + 1 < notes.length && notes[i + 1][0] <= time + 1e-9) i++;
    return notes[i][2];
  });
}

/** The pitch in the middle of each frame. */
function contour(notes, step) {
  const [onset, seconds] = notes.at(-1);
  const n = Math.max(1, Math.round((onset + seconds) / step));
  return pitchesAt(notes, Array.from({ length: n }, (_, i) => (i + 0.5) * step));
}

/** The part of a hum that begins within some seconds. */
function firstSeconds(notes, seconds) {
  return notes.filter(([onset]) => onset < seconds).map(([onset, length, pitch]) => [onset, Math.min(length, seconds - onset), pitch]);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// ---- the first stage

const HALF = POINTS / 2;
const COS = new Float64Array(COEFFICIENTS * HALF), SIN = new Float64Array(COEFFICIENTS * HALF);
for (let f = 1, at = 0; f <= COEFFICIENTS; f++) {
  for (let k = 0; k < HALF; k++, at++) {
    COS[at] = Math.cos((2 * Math.PI * f * k) / POINTS);
    SIN[at] = Math.sin((2 * Math.PI * f * k) / POINTS);
  }
}
// Room for one window: made once, as millions of windows are computed.
const sums = new Float64Array(HALF), differences = new Float64Array(HALF), own = new Float64Array(2 * COEFFICIENTS);

/** Write the first Fourier coefficients of 64 points as a vector of whole numbers, length 127.

    X_f = sum over k of x_k exp(-2 pi i f k / 64),  f = 1 ... 12

Points k and 64 - k have the same cosine and opposite sines, so their sums and differences are
enough. */
function writeVector(x, vectors, start) {
  for (let k = 1; k < HALF; k++) {
    sums[k] = x[k] + x[POINTS - k];
    differences[k] = x[k] - x[POINTS - k];
  }
  let squares = 0;
  for (let f = 1, row = 0; f <= COEFFICIENTS; f++, row += HALF) {
    let real = x[0] + (f % 2 ? -x[HALF] : x[HALF]), imaginary = 0;
    for (let k = 1; k < HALF; k++) {
      real += sums[k] * COS[row + k];
      imaginary -= differences[k] * SIN[row + k];
    }
    own[f - 1] = real;
    own[COEFFICIENTS + f - 1] = imaginary;
    squares += real * real + imaginary * imaginary;
  }
  const norm = Math.sqrt(squares);
  if (norm < 1e-4 * POINTS) return; // one pitch: zeros
  for (let i = 0; i < own.length; i++) vectors[start + i] = Math.round((UNIT * own[i]) / norm);
}

/** Make the vectors of all windows: one for each note of each tune and each of seven tempos. */
async function windowsOf(tunes, seconds, tell) {
  const count = tunes.reduce((n, { notes }) => n + notes.length, 0) * SCALES.length;
  const vectors = new Int8Array(count * 2 * COEFFICIENTS), owners = new Int16Array(count);
  const points = new Float64Array(POINTS);
  let window = 0, rested = performance.now();
  for (const [number, { notes }] of tunes.entries()) {
    const frames = Int8Array.from(contour(notes, WINDOW_STEP)), last = frames.length - 1;
    for (const [onset] of notes) {
      for (const scale of SCALES) {
        const spacing = (seconds * scale) / POINTS / WINDOW_STEP, first = onset / WINDOW_STEP + spacing / 2;
        for (let k = 0; k < POINTS; k++) points[k] = frames[Math.min(last, Math.floor(first + k * spacing))];
        writeVector(points, vectors, window * 2 * COEFFICIENTS);
        owners[window++] = number;
      }
    }
    if (performance.now() - rested > PAUSE) {
      tell(`Preparing the tunes, once: ${Math.floor((100 * number) / tunes.length)}%`);
      await new Promise((go) => setTimeout(go));
      rested = performance.now();
    }
  }
  return { vectors, owners };
}

/** The best cosine of a hum with the windows of each tune. */
function windowScores({ vectors, owners }, n, head) {
  const [onset, seconds] = head.at(-1), length = onset + seconds;
  const points = pitchesAt(head, Array.from({ length: POINTS }, (_, k) => ((k + 0.5) / POINTS) * length));
  const query = new Int8Array(2 * COEFFICIENTS), scores = new Float64Array(n).fill(-Infinity);
  writeVector(points, query, 0);
  for (let window = 0, at = 0; window < owners.length; window++) {
    let product = 0;
    for (let i = 0; i < query.length; i++) product += query[i] * vectors[at++];
    if (product > scores[owners[window]]) scores[owners[window]] = product;
  }
  return scores;
}

// ---- the second stage

/** What brings pitches to whole semitones, and near 0: f + round(mean(p) - f),
with f = angle of the sum of exp(2 pi i p) / 2 pi. A person sings between the semitones. */
function tuning(pitches) {
  let real = 0, imaginary = 0;
  for (const pitch of pitches) {
    real += Math.cos(2 * Math.PI * pitch);
    imaginary += Math.sin(2 * Math.PI * pitch);
  }
  const f = Math.atan2(imaginary, real) / (2 * Math.PI);
  return f + Math.round(mean(pitches) - f);
}

/** Warp a hum onto the best part of a tune, in the best of 15 keys.

    c(i, j) = min(|q_i - t_j|, 3)
    D[0, j] = c(0, j)
    D[i, j] = min(D[i-1, j-1],  D[i-1, j-2],  D[i-2, j-1] + c(i-1, j)) + c(i, j)
    cost = min over j of D[m-1, j] / m

Gives {cost, places}: seconds in the tune for each frame of the hum, where `places` are wanted. */
function warped(query, text, wanted) {
  const key = tuning(text) - tuning(query), m = query.length, n = text.length;
  const kept = wanted ? m : 3; // rows; the way back needs all of them
  const table = Array.from({ length: kept }, () => new Float64Array(n)), costs = table.map(() => new Float64Array(n));
  let best = { cost: Infinity };
  for (const shift of SHIFTS) {
    for (let i = 0; i < m; i++) {
      const row = table[i % kept], above = table[(i + kept - 1) % kept], higher = table[(i + kept - 2) % kept];
      const own = costs[i % kept], costAbove = costs[(i + kept - 1) % kept];
      const pitch = query[i] + key + shift;
      for (let j = 0; j < n; j++) {
        own[j] = Math.min(Math.abs(pitch - text[j]), MOST);
        let least = i ? Infinity : 0;
        if (i > 0 && j > 0) least = above[j - 1];
        if (i > 0 && j > 1) least = Math.min(least, above[j - 2]);
        if (i > 1 && j > 0) least = Math.min(least, higher[j - 1] + costAbove[j]);
        row[j] = least + own[j];
      }
    }
    const last = table[(m - 1) % kept], end = last.indexOf(last.reduce((least, value) => Math.min(least, value), Infinity));
    if (end < 0 || last[end] / m >= best.cost) continue;
    best = { cost: last[end] / m };
    if (wanted) best.frames = walkBack(table, costs, end);
  }
  return best;
}

/** Follow the best path from its end to its beginning: the frame of the tune of each frame of the hum. */
function walkBack(table, costs, end) {
  const frames = new Array(table.length), at = (i, j) => (i < 0 || j < 0 ? Infinity : table[i][j]);
  for (let i = table.length - 1, j = end; i >= 0; ) {
    frames[i] = j;
    const ways = [at(i - 1, j - 1), at(i - 1, j - 2), i > 1 ? at(i - 2, j - 1) + costs[i - 1][j] : Infinity];
    const way = ways.indexOf(Math.min(...ways));
    if (i && way === 2) frames[i - 1] = j;
    i -= way === 2 ? 2 : 1;
    j -= way === 1 ? 2 : 1;
  }
  return frames;
}

// ---- both

/** Make the search over tunes: `await find(contour, k, tell)` gives the best, as the service does.

`prepare()` makes the windows for hums of six seconds and more, while the person hums. */
export function tuneSearch(tunes) {
  let windows = {}, tellNow = () => {};
  function prepare(seconds = HEAD) {
    if (windows.seconds !== seconds) windows = { seconds, made: windowsOf(tunes, seconds, (text) => tellNow(text)) };
    return windows.made;
  }
  async function find(steps, k, tell = () => {}) {
    const hum = steps.map(({ onset, seconds, pitch }) => [onset, seconds, pitch]);
    const seconds = Math.min(HEAD, hum.at(-1)[0] + hum.at(-1)[1]);
    tellNow = tell;
    const vectors = await prepare(seconds);
    tellNow = () => {};
    tell("Comparing with all tunes");
    const scores = windowScores(vectors, tunes.length, firstSeconds(hum, seconds));
    const order = (values) => (a, b) => values(b) - values(a) || a - b;
    const candidates = [...tunes.keys()].sort(order((i) => scores[i])).slice(0, DEPTH);
    const query = contour(hum, DTW_STEP), costs = new Map();
    let rested = performance.now();
    for (const i of candidates) {
      costs.set(i, Math.min(MOST, warped(query, contour(tunes[i].notes, DTW_STEP), false).cost));
      if (performance.now() - rested > PAUSE) {
        tell(`Comparing the best with DTW: ${Math.floor((100 * costs.size) / candidates.length)}%`);
        await new Promise((go) => setTimeout(go));
        rested = performance.now();
      }
    }
    const best = candidates.sort(order((i) => -costs.get(i))).slice(0, k);
    return best.map((i) => ({ ...tunes[i], off: costs.get(i), ...partOf(query, tunes[i]) }));
  }
  return { find, prepare };
}

/** The part of a tune that a hum matches, and the semitones that bring the hum into its key. */
function partOf(query, { notes, seconds }) {
  const text = contour(notes, DTW_STEP), { frames } = warped(query, text, true);
  if (!frames) return { places: [], moved: 0, start: 0, end: seconds }; // it is too short
  const places = frames.map((frame) => frame * DTW_STEP);
  const moved = medianOf(frames.map((frame, i) => text[frame] - query[i]));
  return { places, moved, start: places[0], end: places.at(-1) + DTW_STEP };
}
