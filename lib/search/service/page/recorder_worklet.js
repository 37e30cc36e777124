// Runs in the thread of the sound: sends what the microphone hears, in blocks of about 20 ms.
const BLOCK = 1024; // samples

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(BLOCK);
    this.filled = 0;
  }
  process([channels]) {
    for (const sample of channels[0] ?? []) {
      this.block[this.filled++] = sample;
      if (this.filled === BLOCK) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}
registerProcessor("recorder", Recorder);
