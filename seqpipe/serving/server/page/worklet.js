// Samples of a microphone, 40 ms at a time.
class Samples extends AudioWorkletProcessor {
  constructor() { super(); this.left = new Float32Array(640); this.count = 0; }
  process([input]) {
    for (const sample of input[0] ?? []) {
      this.left[this.count++] = sample;
      if (this.count === 640) { this.port.postMessage(this.left.slice().buffer); this.count = 0; }
    }
    return true;
  }
}
registerProcessor("samples", Samples);
