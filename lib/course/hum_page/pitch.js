// From a sound to the melody that was hummed: autocorrelation, by hand. The same steps, with the
// same numbers, as lib/models/pitch (autocorrelation.py, track.py, hearing.py). RATE, 16,000 samples
// a second, is that of sound.js.

const HOP = 256, FRAME = HOP / RATE; // from one frame to the next: 16 ms
const WINDOW = 1024; // samples, 64 ms: more than two periods of the lowest pitch
const FIRST_LAG = Math.floor(RATE / 1000), LAST_LAG = Math.floor(RATE / 65); // 1000 to 65 Hz
const NEAR_BEST = 0.9; // of the best peak; the first peak as high as this is the period
const QUIET = 0.03; // of the loudest frame; what is softer has no voice
const VOICED = 0.5; // least confidence
const MEDIAN = 5; // frames of the median filter
const JUMP = 6; // semitones between two frames that begin another piece
const SLIP = 0.15; // seconds; a shorter piece an octave away is a slip of the tracker, not a note
const SHORTEST_VOICE = 0.05; // seconds
const CONTOUR_STEP = 0.1; // seconds of a step of the contour
const SILENT = -60; // decibels
const LEAST = 1.5; // seconds of voice

/** Hear the melody in mono samples at 16 kHz: steps {onset, seconds, pitch}, from the first voice. */
export function hearMelody(samples) {
  const track = trackPitch(scaled(samples));
  const pitches = mended(track);
  const voice = pitches.filter(Number.isFinite).length * FRAME;
  if (voice < LEAST) {
    throw new Error(`The sound must hold at least ${LEAST} s of a voice with a pitch, got ${voice.toFixed(1)} s. Hum longer, or nearer to the microphone.`);
  }
  return contourOf(pitches);
}

/** Remove the mean, and bring the peak to half of full scale. */
function scaled(samples) {
  const mean = samples.reduce((sum, x) => sum + x, 0) / samples.length;
  const peak = samples.reduce((most, x) => Math.max(most, Math.abs(x - mean)), 0);
  if (peak <= 10 ** (SILENT / 20)) throw new Error("Nothing was recorded: the sound is silent. Look at the microphone.");
  return samples.map((x) => ((x - mean) * 0.5) / peak);
}

/** Guess the pitch of each frame, as a MIDI number; NaN where there is no voice. */
function trackPitch(samples) {
  const n = Math.max(1, Math.floor(samples.length / HOP));
  const padded = new Float32Array(samples.length + WINDOW);
  padded.set(samples, WINDOW / 2);
  const frames = [];
  for (let i = 0; i < n; i++) frames.push(periodOf(padded.subarray(i * HOP, i * HOP + WINDOW)));
  const loudest = Math.max(...frames.map(({ power }) => power));
  return frames.map(({ period, height, power }) => {
    const confidence = power > QUIET ** 2 * loudest ? Math.min(1, Math.max(0, height)) ** 2 : 0;
    return confidence >= VOICED ? 69 + 12 * Math.log2(RATE / period / 440) : NaN;
  });
}

/** Compute how much a frame resembles itself k samples later, for k around the possible periods.

    n(k) = 2 sum_t x_t x_{t+k} / sum_t (x_t^2 + x_{t+k}^2)

n is 1 after each period of a sound that repeats itself. */
function autocorrelation(x) {
  const energy = new Float64Array(WINDOW + 1); // of all samples before each place
  for (let t = 0; t < WINDOW; t++) energy[t + 1] = energy[t] + x[t] * x[t];
  const n = new Float64Array(LAST_LAG + 2);
  for (let k = FIRST_LAG - 1; k <= LAST_LAG + 1; k++) {
    let products = 0;
    for (let t = 0; t < WINDOW - k; t++) products += x[t] * x[t + k];
    const squares = energy[WINDOW - k] + energy[WINDOW] - energy[k];
    n[k] = (2 * products) / Math.max(squares, 1e-12);
  }
  return { n, power: energy[WINDOW] / WINDOW };
}

/** The period of a frame: the first peak that is nearly as high as the highest.

Later peaks are multiples of the period, octaves too low. */
function periodOf(x) {
  const { n, power } = autocorrelation(x);
  const peaks = [];
  for (let k = FIRST_LAG; k <= LAST_LAG; k++) if (n[k] > n[k - 1] && n[k] >= n[k + 1]) peaks.push(k);
  const best = Math.max(0, ...peaks.map((k) => n[k]));
  const k = peaks.find((peak) => n[peak] >= NEAR_BEST * best) ?? FIRST_LAG;
  // A parabola through three points has its top between them.
  const bend = n[k - 1] - 2 * n[k] + n[k + 1];
  const shift = bend < 0 ? (n[k - 1] - n[k + 1]) / 2 / bend : 0;
  return { period: k + Math.min(0.5, Math.max(-0.5, shift)), height: n[k], power };
}

/** Remove clicks, slips of an octave, and single wrong frames. */
function mended(pitches) {
  const result = [...pitches];
  for (const [start, end] of voices(pitches)) {
    let voice = pitches.slice(start, end);
    if ((end - start) * FRAME < SHORTEST_VOICE) voice.fill(NaN);
    else voice = medians(octavesMended(voice));
    result.splice(start, end - start, ...voice);
  }
  return result;
}

/** First and last (exclusive) frame of each run of frames with a voice. */
function voices(pitches) {
  const runs = [];
  pitches.forEach((pitch, i) => {
    if (Number.isNaN(pitch)) return;
    if (i && !Number.isNaN(pitches[i - 1])) runs.at(-1)[1] = i + 1;
    else runs.push([i, i + 1]);
  });
  return runs;
}

/** Move short pieces that lie an octave from their neighbours. */
function octavesMended(given) {
  const voice = [...given];
  const cuts = voice.map((_, i) => i).filter((i) => i && Math.abs(given[i] - given[i - 1]) > JUMP);
  let start = 0;
  for (const end of [...cuts, voice.length]) {
    if ((end - start) * FRAME < SLIP) {
      const around = [];
      if (start) around.push(voice[start - 1] - voice[start]);
      if (end < voice.length) around.push(voice[end] - voice[end - 1]);
      const octaves = new Set(around.map((step) => Math.round(step / 12)));
      const near = around.every((step) => Math.abs(step - 12 * Math.round(step / 12)) < 1);
      if (octaves.size === 1 && near) {
        const moved = 12 * [...octaves][0];
        for (let i = start; i < end; i++) voice[i] += moved;
      }
    }
    start = end;
  }
  return voice;
}

/** The median of the five frames around each frame; the first and last frame stand for what lies outside. */
function medians(voice) {
  const at = (i) => voice[Math.min(voice.length - 1, Math.max(0, i))];
  return voice.map((_, i) => medianOf(Array.from({ length: MEDIAN }, (_, j) => at(i + j - (MEDIAN - 1) / 2))));
}

export function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** The median pitch of each 0.1 s with a voice. */
function contourOf(pitches) {
  const sung = pitches.map((_, i) => i).filter((i) => Number.isFinite(pitches[i]));
  const steps = new Map();
  for (const i of sung) {
    const step = Math.floor(((i - sung[0]) * FRAME) / CONTOUR_STEP + 1e-9);
    if (!steps.has(step)) steps.set(step, []);
    steps.get(step).push(pitches[i]);
  }
  return [...steps].map(([step, values]) => ({ onset: step * CONTOUR_STEP, seconds: CONTOUR_STEP, pitch: medianOf(values) }));
}
