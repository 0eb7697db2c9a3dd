"use strict";
// A microphone as pieces of samples and a recording as one channel, 16,000 a second, whatever the rate of the sound card or the file.
const RATE_HZ = 16000, PIECE = 640;

// Band-limited interpolation (a sinc under a Hann window) that carries on from piece to piece.
class Resampler {
  constructor(fromHz) {
    this.step = fromHz / RATE_HZ;
    this.cut = Math.min(1, RATE_HZ / fromHz);
    this.half = Math.ceil(16 / this.cut);
    this.left = new Float32Array(this.half);
    this.at = this.half;
  }
  next(samples) {
    const all = new Float32Array(this.left.length + samples.length), out = [];
    all.set(this.left);
    all.set(samples, this.left.length);
    for (; this.at + this.half < all.length; this.at += this.step) {
      const middle = Math.floor(this.at);
      let sum = 0;
      for (let i = middle - this.half + 1; i <= middle + this.half; i++) {
        const x = this.at - i, t = Math.PI * x * this.cut;
        sum += all[i] * (t === 0 ? 1 : Math.sin(t) / t) * (0.5 + 0.5 * Math.cos(Math.PI * x / (this.half + 1)));
      }
      out.push(sum * this.cut);
    }
    const keep = Math.floor(this.at) - this.half;
    this.left = all.slice(keep);
    this.at -= keep;
    return Float32Array.from(out);
  }
}

// Opens the microphone and calls hear(samples) for each piece; what is returned closes it.
async function openMicrophone(worklet, hear, size = PIECE) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("This browser gives a page no microphone here. Over a network it wants https.");
  const audio = {channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  let media;
  try { media = await navigator.mediaDevices.getUserMedia({audio}); } catch (error) {
    throw new Error(error.name === "NotFoundError" ? "There is no microphone." : `The microphone cannot be heard: ${error.message}`);
  }
  let context = new AudioContext({sampleRate: RATE_HZ}), source;
  try { source = context.createMediaStreamSource(media); } catch { // a browser that does not resample a microphone
    context.close();
    context = new AudioContext();
    source = context.createMediaStreamSource(media);
  }
  const close = () => { context.close(); media.getTracks().forEach((track) => track.stop()); };
  try { await context.audioWorklet.addModule(worklet); } catch (error) { close(); throw error; }
  const resampler = context.sampleRate === RATE_HZ ? null : new Resampler(context.sampleRate);
  const node = new AudioWorkletNode(context, "samples", {numberOfOutputs: 0, processorOptions: {size}});
  let left = new Float32Array(0);
  node.port.onmessage = ({data}) => {
    const samples = new Float32Array(data);
    if (!resampler) { hear(samples); return; }
    const more = resampler.next(samples), all = new Float32Array(left.length + more.length);
    all.set(left);
    all.set(more, left.length);
    let start = 0;
    for (; start + size <= all.length; start += size) hear(all.slice(start, start + size));
    left = all.slice(start);
  };
  source.connect(node);
  return close;
}

async function samplesOf(file) {
  let sound;
  try { sound = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer()); } catch {
    throw new Error(`${file.name} is no recording that this browser can read.`);
  }
  const samples = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((sample, i) => { samples[i] += sample / sound.numberOfChannels; });
  }
  return samples;
}
