"use strict";
// The network step by step, the rule that makes words of its probabilities (seqpipe.serving.listening), and the page.
const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const wait = () => new Promise((resolve) => setTimeout(resolve));

// Base 85 (RFC 1924) of a gzip.
async function unpacked(id) {
  const order = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
  const value = new Uint32Array(128), text = $(id).textContent, groups = Math.ceil(text.length / 5);
  for (let i = 0; i < 85; i++) value[order.charCodeAt(i)] = i;
  const bytes = new DataView(new ArrayBuffer(groups * 4));
  for (let group = 0; group < groups; group++) {
    let number = 0;
    for (let i = group * 5; i < group * 5 + 5; i++) number = number * 85 + (i < text.length ? value[text.charCodeAt(i)] : 84);
    bytes.setUint32(group * 4, number);
  }
  $(id).remove();
  const packed = new Blob([new Uint8Array(bytes.buffer, 0, groups * 4 - (groups * 5 - text.length))]);
  return new Uint8Array(await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}
const script = (bytes) => `${URL.createObjectURL(new Blob([bytes], {type: "text/javascript"}))}#a.js`; // LiteRT.js looks at the ending

async function started() {
  const [litert, loader, wasmBinary, content] = await Promise.all(["litert", "loader", "wasm", "model"].map((name) => unpacked(`packed-${name}`)));
  await new Promise((resolve, reject) => {
    document.head.append(Object.assign(document.createElement("script"), {src: script(litert), onload: resolve, onerror: reject}));
  });
  self.Module = {wasmBinary, print: () => {}, printErr: () => {}};
  await LiteRT.loadLiteRt(script(loader));
  return LiteRT.loadAndCompile(content, {accelerator: "wasm"});
}

// What the network carries from piece to piece.
class Stream {
  constructor(model) {
    this.model = model;
    this.state = {};
    for (const {name, dtype, shape} of model.getInputDetails().filter(({name}) => name !== "waveform")) {
      const size = shape.reduce((a, b) => a * b, 1);
      this.state[name] = new LiteRT.Tensor(dtype === "int32" ? new Int32Array(size) : new Float32Array(size), shape);
    }
  }
  async hear(samples) {
    let probabilities;
    for (let start = 0; start < samples.length; start += stepSamples) probabilities = await this.step(samples.slice(start, start + stepSamples));
    return probabilities;
  }
  async step(samples) {
    const waveform = new LiteRT.Tensor(samples, [1, samples.length]);
    const answer = await this.model.run({waveform, ...this.state});
    const probabilities = answer.probabilities.toTypedArray().slice();
    for (const tensor of [waveform, answer.probabilities, ...Object.values(this.state)]) tensor.delete();
    for (const name of Object.keys(this.state)) this.state[name] = answer[name];
    return probabilities;
  }
  close() { for (const tensor of Object.values(this.state)) tensor.delete(); }
}

// From probabilities, one a piece, to words: smoothed, above the threshold until below half of it, never two at once.
class Hearing {
  constructor(threshold) {
    this.threshold = threshold;
    this.chosen = facts.labels.map((_, i) => i).filter((i) => !facts.no_words.includes(facts.labels[i]));
    this.keep = Math.max(1, Math.round(facts.smoothing_ms / pieceMs));
    this.recent = [];
    this.rising = this.chosen.map(() => 0);
    this.going = null;
    this.now = this.over = this.free = 0;
  }
  piece(probabilities) {
    const before = this.now, over = [];
    this.now += pieceMs / 1000;
    this.recent.push(this.chosen.map((i) => probabilities[i]));
    if (this.recent.length > this.keep) this.recent.shift();
    const smoothed = this.chosen.map((_, i) => this.recent.reduce((sum, each) => sum + each[i], 0) / this.keep);
    this.rising = this.rising.map((at, i) => smoothed[i] >= this.threshold / 2 ? at : this.now);
    if (this.going) {
      const going = this.going, now = smoothed[going.number];
      if (now >= this.threshold / 2) { going.confidence = Math.max(going.confidence, now); return over; }
      over.push(this.word(before));
      this.over = before;
      this.free = before + facts.refractory_ms / 1000;
    }
    const number = smoothed.indexOf(Math.max(...smoothed));
    if (smoothed[number] >= this.threshold && this.now >= this.free) {
      this.going = {number, start: Math.max(this.rising[number], this.over), confidence: smoothed[number]};
    }
    return over;
  }
  word(end) {
    const {number, start, confidence} = this.going;
    this.going = null;
    return {label: facts.labels[this.chosen[number]], start, end, confidence};
  }
  end() { return this.going ? [this.word(this.now)] : []; }
}

// What is shown.
const cells = facts.labels.map((label) => {
  const name = document.createElement("span"), bar = document.createElement("i"), share = document.createElement("span");
  name.textContent = label;
  $("bars").append(name, bar, share);
  return {bar, share};
});
const show = (probabilities) => cells.forEach(({bar, share}, i) => {
  bar.style.setProperty("--p", probabilities[i]);
  share.textContent = probabilities[i].toFixed(2);
});
function tell(words) {
  for (const {label, start, end, confidence} of words) {
    const row = $("heard").tBodies[0].insertRow();
    for (const text of [start.toFixed(2), end.toFixed(2), label, confidence.toFixed(3)]) row.insertCell().textContent = text;
  }
  $("heard").hidden = !$("heard").tBodies[0].rows.length;
  $("none").hidden = !$("heard").hidden;
}
const median = (values) => values.slice().sort((a, b) => a - b)[values.length >> 1] ?? 0;

let model = null, listener = null, stop = null, asked = 0, stepSamples = PIECE, piece = PIECE, pieceMs = facts.piece_ms;

// Hears pieces one after another, however they come.
class Listener {
  constructor(model, seconds = Infinity) {
    this.stream = new Stream(model);
    this.hearing = new Hearing(Number($("threshold").value));
    this.seconds = seconds; // no word lasts longer
    listener = this;
    this.took = [];
    this.pieces = 0;
    this.last = Promise.resolve();
    this.open = true;
    $("heard").tBodies[0].replaceChildren();
    $("last").textContent = "";
    this.tell([]);
  }
  tell(words) {
    const end = (at) => Math.min(at, this.seconds);
    tell(words.map((word) => ({...word, start: end(word.start), end: end(word.end)})));
  }
  hear(samples) { return this.last = this.last.then(() => this.open && this.step(samples)); }
  async step(samples) {
    const begun = performance.now();
    this.probabilities = await this.stream.hear(samples);
    this.took.push(performance.now() - begun);
    if (this.took.length > 500) this.took.shift();
    this.pieces++;
    this.tell(this.hearing.piece(this.probabilities));
    const {going} = this.hearing;
    if (going) $("last").textContent = facts.labels[this.hearing.chosen[going.number]];
    if (!this.drawn) this.drawn = requestAnimationFrame(() => { this.drawn = null; this.draw(); });
  }
  draw() {
    show(this.probabilities);
    $("status").textContent = `${(this.pieces * pieceMs / 1000).toFixed(1)} s heard; ${median(this.took).toFixed(1)} ms for each ${pieceMs} ms`;
  }
  async finish() {
    await this.last.catch(() => {}); // told where it was heard
    if (!this.open) return;
    this.open = false;
    this.stream.close();
    if (listener !== this) return; // the table shows what another one hears by now
    this.tell(this.hearing.end());
    if (this.probabilities) this.draw();
  }
}

function begin(end) {
  $("error").textContent = "";
  $("microphone").disabled = $("file").disabled = true;
  $("stop").hidden = false;
  stop = () => {
    stop = null;
    $("microphone").disabled = $("file").disabled = false;
    $("stop").hidden = true;
    return end();
  };
}

async function listen() {
  asked++;
  const hears = new Listener(model);
  let close = () => {};
  begin(() => { close(); return hears.finish(); });
  $("player").hidden = true;
  $("stop").focus();
  const heard = attempt((samples) => hearing(hears, () => hears.hear(samples)));
  await hearing(hears, async () => {
    close = await openMicrophone(`data:text/javascript,${encodeURIComponent($("worklet").textContent)}`, heard, piece);
    if (!hears.open || !stop) close();
  });
}

// What goes wrong ends the hearing.
async function hearing(hears, action) {
  try { return await action(); } catch (error) {
    if (stop && hears.open) await stop();
    throw error;
  }
}

async function read(file) {
  const mine = ++asked; // before anything is waited for: the last one asked for is read
  if (stop) await stop();
  $("error").textContent = "";
  const samples = await samplesOf(file).catch((error) => { if (mine === asked) throw error; });
  if (mine !== asked) return; // something else was asked for while it was decoded
  const all = new Float32Array(Math.ceil((samples.length + facts.quiet_s * RATE_HZ) / piece) * piece);
  all.set(samples);
  if ($("player").src) URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(file);
  $("player").hidden = false;
  const hears = new Listener(model, samples.length / RATE_HZ);
  begin(() => hears.finish());
  await hearing(hears, async () => {
    for (let start = 0; start < all.length && hears.open; start += piece) {
      await hears.hear(all.slice(start, start + piece));
      if (start / piece % 50 === 49) await wait();
    }
  });
  if (stop && hears.open) await stop();
}

const attempt = (action) => (...given) => action(...given).catch((error) => { $("error").textContent = error.message; });
const take = attempt(read);
$("microphone").addEventListener("click", attempt(listen));
$("stop").addEventListener("click", () => { const ended = stop?.(); $("microphone").focus(); return ended; });
$("file").addEventListener("click", () => { $("file").value = ""; }); // so that the same one can be heard again
$("file").addEventListener("change", () => { if ($("file").files[0]) take($("file").files[0]); });
const over = (on) => (event) => { event.preventDefault(); $("drop").classList.toggle("over", on); };
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over(true));
document.addEventListener("dragleave", over(false));
document.addEventListener("drop", (event) => {
  over(false)(event);
  if (model && event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
});
$("threshold").value = facts.threshold;
const shown = () => { $("shown").textContent = Number($("threshold").value).toFixed(2); };
$("threshold").addEventListener("input", () => { shown(); if (listener) listener.hearing.threshold = Number($("threshold").value); });
shown();
started().then((compiled) => {
  model = compiled;
  stepSamples = model.getInputDetails().find(({name}) => name === "waveform").shape[1];
  piece = PIECE % stepSamples ? stepSamples : PIECE; // as `seqpipe listen` takes them, where the network can
  pieceMs = 1000 * piece / RATE_HZ;
  $("microphone").disabled = $("file").disabled = false;
  $("status").textContent = `Ready after ${(performance.now() / 1000).toFixed(1)} s`;
}).catch((error) => {
  $("status").textContent = "";
  $("error").textContent = `The network cannot be started in this browser: ${error.message ?? error}`;
});
