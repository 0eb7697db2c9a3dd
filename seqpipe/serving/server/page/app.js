"use strict";
// One view a kind of input and answer: text to label, text to text, sound to label, values to a forecast.
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};
let models = [], model = null, view = null, listening = null, asked = 0;

const takes = (name, signature = "serving_default") => (model.signatures[signature]?.inputs ?? []).includes(name);
const gives = (name, signature = "serving_default") => (model.signatures[signature]?.outputs ?? []).includes(name);

async function predict(signature, inputs) {
  const body = JSON.stringify({signature_name: signature, inputs});
  $("curl").textContent = `curl -d '${body.replaceAll("'", "'\\''")}' ${location.origin}/v1/models/${model.name}:predict`;
  const started = performance.now();
  const response = await fetch(`/v1/models/${encodeURIComponent(model.name)}:predict`, {method: "POST", body});
  const text = await response.text();
  let answer;
  try { answer = JSON.parse(text); } catch { throw new Error(`The server answered ${response.status}.`); }
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  $("took").textContent = `${(performance.now() - started).toFixed(0)} ms, version ${model.version}`;
  return answer.outputs;
}

const bars = (labels, shares) => {
  const box = make("div", {class: "bars"});
  const order = labels.map((_, i) => i).sort((a, b) => shares[b] - shares[a]).slice(0, 12);
  for (const i of order) {
    box.append(make("span", {}, labels[i]), make("i", {"--p": shares[i]}), make("span", {}, shares[i].toFixed(3)));
  }
  return box;
};
const textField = (label, value) => [make("label", {for: "text"}, label), Object.assign(make("textarea", {id: "text"}), {value})];
const option = (id, label, value, attributes = {}) =>
  make("label", {}, label, " ", make("input", {id, value, type: "number", step: "any", ...attributes}));
const table = (header, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...header.map((name) => make("th", {scope: "col"}, name)))),
  make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) =>
    make("td", typeof cell === "number" ? {class: "number"} : {}, typeof cell === "number" ? cell.toFixed(4) : cell))))));

const label = {
  field: () => textField("A text", "The plot makes little sense, yet I could not look away."),
  async ask() {
    const text = $("text").value;
    const explains = "explain" in model.signatures;
    const found = await predict(explains ? "explain" : "serving_default", {text: [text]});
    const parts = [make("p", {}, make("b", {}, found.label[0]), ` ${found.probability[0].toFixed(3)}`),
      bars(model.labels, found.probabilities[0])];
    if (explains) {
      const pieces = found.pieces[0].map((piece, i) => [piece, found.weights[0][i]]).filter(([piece]) => piece);
      const most = Math.max(...pieces.map(([, weight]) => weight), 1e-9);
      const line = make("p", {class: "pieces", dir: "auto"});
      for (const [piece, weight] of pieces) line.append(make("span", {"--w": weight / most, title: weight.toFixed(4)}, piece));
      if (found.truncated[0]) line.append(" … (the model read no further)");
      parts.push(line, make("details", {}, make("summary", {}, "Weights as a table"), table(["piece", "weight"], pieces)));
    }
    $("answer").replaceChildren(...parts);
  },
};

const translated = {
  field: () => textField("A sentence", "Two dogs are playing in the park."),
  options: () => "beam" in model.signatures ? [option("width", "beam width", 1, {min: 1, max: 32, step: 1})] : [],
  async ask() {
    const text = [$("text").value], width = Number($("width")?.value ?? 1);
    const parts = [];
    if (width > 1) {
      const found = await predict("beam", {text, beam_width: width, length_penalty: 1.0});
      parts.push(table(["answer", "score"], found.texts[0].map((each, i) => [each, found.scores[0][i]])));
    } else {
      const found = await predict("explain" in model.signatures ? "explain" : "serving_default", {text});
      parts.push(make("p", {class: "pieces", dir: "auto"}, found.text[0]));
      if (found.alignment) parts.push(make("h3", {}, "Where each piece looked"), heat(found));
    }
    $("answer").replaceChildren(...parts);
  },
};
const heat = (found) => {
  const source = found.source_pieces[0], target = found.target_pieces[0];
  const columns = source.map((piece, i) => [piece, i]).filter(([piece]) => piece);
  const rows = target.map((piece, i) => [piece, i]).filter(([piece]) => piece);
  return make("table", {class: "heat"},
    make("thead", {}, make("tr", {}, make("td"), ...columns.map(([piece]) => make("th", {scope: "col"}, piece)))),
    make("tbody", {}, ...rows.map(([piece, i]) => make("tr", {}, make("th", {scope: "row"}, piece), ...columns.map(([of, j]) => {
      const weight = found.alignment[0][i][j];
      return make("td", {"--w": weight, title: `${piece} looked at ${of}: ${weight.toFixed(2)}`});
    })))));
};

const written = {
  field: () => textField("How the text begins", ""),
  options: () => "write" in model.signatures ? [option("length", "characters", 300, {min: 1, step: 1}),
    option("temperature", "temperature", 0.8, {min: 0}), option("top_p", "top p", 0.95, {min: 0, max: 1}),
    option("seed", "seed", 1, {step: 1})] : [],
  async ask() {
    if (!("write" in model.signatures)) {
      const found = await predict("serving_default", {text: [$("text").value]});
      $("answer").replaceChildren(make("p", {class: "pieces"}, Array.isArray(found) ? found[0] : found.text[0]));
      return;
    }
    const inputs = {text: [$("text").value], length: Number($("length").value), temperature: Number($("temperature").value),
      top_k: 0, top_p: Number($("top_p").value), min_p: 0, repetition_penalty: 1, stop: [], seed: [Number($("seed").value)]};
    const found = await predict("write", Object.fromEntries(
      Object.entries(inputs).filter(([name]) => takes(name, "write"))));
    $("answer").replaceChildren(make("p", {class: "pieces"}, found.text[0]));
  },
};

const heard = {
  field: () => [make("label", {for: "file"}, "A recording (WAV)"), make("input", {id: "file", type: "file", accept: ".wav,audio/wav"})],
  async ask() {
    const file = $("file").files[0];
    if (!file) throw new Error("Choose a recording first.");
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    const found = await predict("wav", {wav: [{b64: btoa(text)}]});
    if (found.error?.[0]) throw new Error(found.error[0]);
    $("curl").textContent = `# in wav: the file in base64\n${$("curl").textContent.slice(0, 200)}…`;
    $("answer").replaceChildren(make("p", {}, make("b", {}, found.label[0]), ` ${found.probability[0].toFixed(3)}`),
      bars(model.labels, found.probabilities[0]));
  },
};

const forecast = {
  field: () => textField("Past values, separated by commas or lines; empty for a missing one", ""),
  async ask() {
    const cells = $("text").value.trim().split(/[\n,;\t]/);
    const values = cells.map((cell) => cell.trim() === "" ? NaN : Number(cell));
    const bad = cells.findIndex((cell, i) => cell.trim() !== "" && Number.isNaN(values[i]));
    if (bad >= 0) throw new Error(`Value ${bad + 1}, "${cells[bad]}", is not a number.`);
    const inputs = {values: [values]};
    if (takes("time")) inputs.time = [0];
    if (takes("series")) inputs.series = [""];
    for (const name of ["known", "past", "static"]) {
      if (takes(name)) throw new Error(`This model wants ${name} too: ask it by curl or a client.`);
    }
    const body = JSON.stringify(inputs, (_, value) => Number.isNaN(value) ? "NaN" : value).replaceAll('"NaN"', "NaN");
    const found = await predictRaw(body);
    $("answer").replaceChildren(fan(values, found.median[0], found.quantiles[0]), table(["step", "median"],
      found.median[0].map((value, i) => [String(i + 1), value])));
  },
};
async function predictRaw(inputs) {
  const response = await fetch(`/v1/models/${encodeURIComponent(model.name)}:predict`, {method: "POST", body: `{"inputs": ${inputs}}`});
  const answer = JSON.parse((await response.text()).replace(/\bNaN\b/g, "null"));
  if (!response.ok) throw new Error(answer.error);
  $("curl").textContent = `curl -d '{"inputs": ${inputs}}' ${location.origin}/v1/models/${model.name}:predict`;
  return answer.outputs;
}
const fan = (past, median, quantiles) => {
  const shown = past.slice(-3 * median.length), all = [...shown, ...quantiles.flat()].filter(Number.isFinite);
  const low = Math.min(...all), high = Math.max(...all), count = shown.length + median.length;
  const x = (i) => 10 + 580 * i / Math.max(1, count - 1), y = (v) => 190 - 180 * (v - low) / Math.max(1e-9, high - low);
  const line = (values, start) => values.map((v, i) => `${x(start + i)},${y(v)}`).filter((p) => !p.includes("NaN")).join(" ");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 600 200");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Past values, the median of the forecast and its widest interval");
  const add = (tag, kind, points) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    element.setAttribute("class", kind);
    element.setAttribute("points", points);
    svg.append(element);
  };
  const first = quantiles.map((q) => q[0]), last = quantiles.map((q) => q[q.length - 1]);
  add("polygon", "fan", `${line(first, shown.length)} ${line(last, shown.length).split(" ").reverse().join(" ")}`);
  add("polyline", "past", line(shown, 0));
  add("polyline", "median", line(median, shown.length));
  return svg;
};

function viewOf() {
  if (takes("waveform")) return heard;
  if (takes("values")) return forecast;
  if (gives("label")) return label;
  return "beam" in model.signatures ? translated : written;
}

async function listen() {
  if (listening) { listening(); return; }
  const microphone = await navigator.mediaDevices.getUserMedia({audio: {channelCount: 1}});
  const context = new AudioContext({sampleRate: 16000});
  await context.audioWorklet.addModule("/page/worklet.js");
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/models/${encodeURIComponent(model.name)}:stream`);
  socket.binaryType = "arraybuffer";
  const words = make("ul", {"aria-label": "Words heard"}), now = make("div");
  $("answer").replaceChildren(now, make("h3", {}, "Heard"), words);
  const node = new AudioWorkletNode(context, "samples");
  node.port.onmessage = ({data}) => { if (socket.readyState === 1) socket.send(data); };
  socket.onmessage = ({data}) => {
    const step = JSON.parse(data);
    if (step.error) { $("error").textContent = step.error; return; }
    if (step.heard) words.append(make("li", {}, `${step.heard.start_s.toFixed(2)} s  ${step.heard.label}  ${step.heard.confidence.toFixed(3)}`));
    else now.replaceChildren(bars(Object.keys(step.probabilities), Object.values(step.probabilities)));
  };
  context.createMediaStreamSource(microphone).connect(node);
  $("microphone").textContent = "Stop listening";
  listening = () => {
    listening = null;
    socket.close();
    context.close();
    microphone.getTracks().forEach((track) => track.stop());
    $("microphone").textContent = "Listen to the microphone";
  };
}

function choose(name, focus) {
  if (listening) listening();
  model = models.find((each) => each.name === name) ?? models[0];
  view = viewOf();
  for (const button of $("models").children) button.setAttribute("aria-current", String(button.textContent === model.name));
  document.title = `${model.name} - seqpipe`;
  $("title").textContent = model.name;
  $("facts").textContent = [`version ${model.version}`, model.facts.figure].filter(Boolean).join("; ");
  $("field").replaceChildren(...view.field());
  $("options").replaceChildren(...(view.options?.() ?? []));
  $("microphone").hidden = !("stream" in model.signatures && takes("waveform"));
  for (const id of ["answer", "error", "took", "curl"]) $(id).replaceChildren();
  if (focus) $("title").focus();
}

$("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = ++asked;
  $("error").textContent = "";
  $("send").disabled = true;
  try { await view.ask(); } catch (error) { if (number === asked) $("error").textContent = error.message; }
  $("send").disabled = false;
});
$("microphone").addEventListener("click", () => listen().catch((error) => { $("error").textContent = error.message; }));
fetch("/models").then((response) => response.json()).then((found) => {
  models = found.models;
  for (const {name} of models) {
    const button = make("button", {type: "button"}, name);
    button.addEventListener("click", () => { location.hash = name; choose(name, true); });
    $("models").append(button);
  }
  choose(decodeURIComponent(location.hash.slice(1)), false);
}).catch((error) => { $("error").textContent = `The models cannot be listed: ${error.message}`; });
