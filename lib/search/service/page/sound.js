// Sound in the browser: record the microphone, read a file, write WAV, play notes.

export const RATE = 16_000; // samples a second of what is searched
export const LONGEST = 15; // seconds of a recording

/** Record the microphone until `stop()` is called or 15 s are over.

`worklet` is the address of recorder_worklet.js, `heard(decibels, seconds)` is told the level.
Gives {stop, sound}; `sound` is a promise of mono samples at 16 kHz. */
export async function record(worklet, heard) {
  if (!navigator.mediaDevices || !globalThis.AudioWorkletNode) {
    throw new Error("Browsers give the microphone only to pages of this machine and of https. Choose a sound file instead.");
  }
  // These three make speech clear, and take a held tone for noise.
  const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    throw new Error(whyNoMicrophone(error));
  }
  const context = new AudioContext();
  const blocks = [];
  let seconds = 0, finish;
  const finished = new Promise((done) => (finish = done));
  try {
    await context.audioWorklet.addModule(worklet);
    await context.resume();
    const recorder = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    recorder.port.onmessage = ({ data: block }) => {
      if (seconds >= LONGEST) return;
      blocks.push(block);
      seconds += block.length / context.sampleRate;
      heard(decibelsOf(block), seconds);
      if (seconds >= LONGEST) finish();
    };
    for (const track of stream.getTracks()) track.onended = finish; // the microphone was taken out
    context.createMediaStreamSource(stream).connect(recorder);
  } catch (error) {
    close();
    throw error;
  }
  function close() {
    for (const track of stream.getTracks()) track.stop();
    context.close();
  }
  const sound = finished.then(() => {
    close();
    return atRate(joined(blocks), context.sampleRate);
  });
  return { stop: finish, sound };
}

function whyNoMicrophone(error) {
  const instead = "or choose a sound file instead.";
  if (error.name === "NotAllowedError") return `The browser may not use the microphone. Allow it for this page, ${instead}`;
  if (error.name === "NotFoundError") return `No microphone was found. Connect one, ${instead}`;
  return `The microphone cannot be used: ${error.message}. Try again, ${instead}`;
}

/** Return the power of a block in decibels of full scale. */
function decibelsOf(block) {
  let power = 0;
  for (const sample of block) power += sample * sample;
  return 10 * Math.log10(power / block.length + 1e-10);
}

function joined(blocks) {
  const samples = new Float32Array(blocks.reduce((n, block) => n + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    samples.set(block, at);
    at += block.length;
  }
  return samples;
}

/** Return samples at 16 kHz; the browser filters and resamples. */
async function atRate(samples, rate) {
  if (!samples.length || rate === RATE) return samples;
  const context = new OfflineAudioContext(1, Math.ceil((samples.length / rate) * RATE), RATE);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = context.createBufferSource();
  source.buffer = buffer;
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

const LARGEST = 50e6; // bytes of a file

/** Read a sound file of any kind that the browser knows: {samples, seconds}, mono at 16 kHz.

A longer file gives its first 15 s; `seconds` is its whole length. */
export async function readSound(file) {
  if (file.size > LARGEST) throw new Error(`${file.name} has ${(file.size / 1e6).toFixed(0)} MB, at most ${LARGEST / 1e6} MB are read. Choose a shorter sound.`);
  let buffer;
  try {
    // The rate of this context is the rate of what it decodes.
    buffer = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is no sound that this browser can read. Choose a WAV, MP3 or M4A file.`);
  }
  const n = Math.min(buffer.length, LONGEST * RATE), samples = new Float32Array(n);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const own = buffer.getChannelData(channel);
    for (let i = 0; i < n; i++) samples[i] += own[i] / buffer.numberOfChannels;
  }
  return { samples, seconds: buffer.duration };
}

/** Write mono samples as a WAV file of 16-bit PCM: a header of 44 bytes, then the samples. */
export function wavOf(samples, rate = RATE) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of the format
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes a second
  view.setUint16(32, 2, true); // bytes of a frame
  view.setUint16(34, 16, true); // bits of a sample
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.min(1, Math.max(-1, sample))), true));
  return view.buffer;
}

/** Play notes [[onset, seconds, pitch]] from a time on; gives a function that stops it.

Each note is a triangle wave with a soft beginning and end. `ended` is called once, at the end. */
export function playNotes(notes, { from = 0, to = Infinity, ended = () => {} } = {}) {
  const context = new AudioContext();
  const begin = context.currentTime + 0.05;
  let stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    context.close();
    ended();
  };
  const played = notes.filter(([onset, seconds]) => onset + seconds > from + 1e-3 && onset < to - 1e-3);
  let last = null;
  for (const [onset, seconds, pitch] of played) {
    const start = begin + Math.max(0, onset - from), end = begin + Math.min(onset + seconds, to) - from;
    const oscillator = new OscillatorNode(context, { type: "triangle", frequency: 440 * 2 ** ((pitch - 69) / 12) });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(0.3, start + Math.min(0.02, (end - start) / 3));
    gain.gain.setValueAtTime(0.3, Math.max(start, end - 0.03));
    gain.gain.linearRampToValueAtTime(0, end);
    oscillator.connect(gain).connect(context.destination);
    oscillator.start(start);
    oscillator.stop(end);
    last = oscillator;
  }
  if (last) last.onended = stop;
  else stop();
  return stop;
}
