// Samples of a microphone, a piece at a time.
class Samples extends AudioWorkletProcessor {
  constructor({processorOptions: {size}}) { super(); this.size = size; this.left = new Float32Array(size); this.count = 0; }
  process([input]) {
    for (const sample of input[0] ?? []) {
      this.left[this.count++] = sample;
      if (this.count === this.size) { this.port.postMessage(this.left.slice().buffer); this.count = 0; }
    }
    return true;
  }
}
registerProcessor("samples", Samples);
