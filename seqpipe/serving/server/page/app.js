"use strict";
// Models, one of them chosen, and its view, which is chosen by what the model takes and gives.
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

const takes = (name, signature = "serving_default") => name in (model.signatures[signature]?.inputs ?? {});
const gives = (name, signature = "serving_default") => (model.signatures[signature]?.outputs ?? []).includes(name);

// JSON with NaN, which TensorFlow Serving takes and gives as a bare word.
const written = (value) => JSON.stringify(value, (_, each) => Number.isNaN(each) ? "\u0000" : each).replaceAll('"\\u0000"', "NaN");
function read(text) {
  try { return JSON.parse(text); } catch {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|NaN|-?Infinity/g, (found) => found[0] === '"' ? found : "null"));
  }
}
function showCurl(signature, inputs, note = "") {
  const body = written({signature_name: signature, inputs}).replaceAll("'", "'\\''");
  $("curl").textContent = `${note}curl -d '${body}' ${location.origin}/v1/models/${encodeURIComponent(model.name)}:predict`;
}
async function predict(signature, inputs) {
  const response = await fetch(`/v1/models/${encodeURIComponent(model.name)}:predict`,
    {method: "POST", body: written({signature_name: signature, inputs})});
  const text = await response.text();
  let answer;
  try { answer = read(text); } catch { throw new Error(`The server answered ${response.status}.`); }
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  return answer.outputs;
}

const bars = (labels, shares, {sorted = true} = {}) => {
  const box = make("div", {class: "bars"}), order = labels.map((_, i) => i);
  if (sorted) order.sort((a, b) => shares[b] - shares[a]);
  for (const i of order.slice(0, 20)) {
    box.append(make("span", {}, labels[i]), make("i", {"--p": shares[i]}), make("span", {}, shares[i].toFixed(3)));
  }
  return box;
};
const textField = (label, value, attributes = {}) =>
  [make("label", {for: "text"}, label), Object.assign(make("textarea", {id: "text", ...attributes}), {value})];
const option = (id, label, value, attributes = {}) =>
  make("label", {}, label, " ", make("input", {id, value, type: "number", step: "any", ...attributes}));
const scroll = (label, content) => make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": label}, content);
const cell = (value) => typeof value === "number" ? make("td", {class: "number"}, Number.isInteger(value) ? String(value) : value.toFixed(4)) : make("td", {}, value ?? "");
const table = (header, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...header.map((name) => make("th", {scope: "col"}, name)))),
  make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));

function viewOf() {
  if (takes("waveform")) return heard;
  if (takes("values")) return forecast;
  if (gives("label")) return labelled;
  return "write" in model.signatures ? continued : translated;
}

function choose(name, focus) {
  if (listening) listening();
  asked++;
  model = models.find((each) => each.name === name) ?? models[0];
  view = viewOf();
  for (const button of $("models").children) button.setAttribute("aria-current", String(button.textContent === model.name));
  document.title = `${model.name} - seqpipe`;
  $("title").textContent = model.name;
  $("facts").textContent = [`version ${model.version}`, model.facts.figure].filter(Boolean).join("; ");
  $("field").replaceChildren(...view.field());
  $("options").replaceChildren(...(view.options?.() ?? []));
  $("send").textContent = view.verb ?? "Ask";
  $("send").disabled = false; // whatever another model was asked is forgotten
  $("microphone").hidden = !("stream" in model.signatures && takes("waveform"));
  fail(null);
  for (const id of ["answer", "took", "curl"]) $(id).replaceChildren();
  $("same").hidden = true;
  if (focus) $("title").focus();
}

// An error stands beside the input, which stays.
function fail(error) {
  $("error").textContent = error?.message ?? "";
  for (const input of $("field").querySelectorAll("textarea, input")) {
    if (error) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    input.setAttribute("aria-describedby", "error");
  }
}

// Answers what is asked last; what was asked before is forgotten.
async function ask(action) {
  const number = ++asked, started = performance.now(), current = () => number === asked;
  fail(null);
  $("send").disabled = true;
  try {
    await action(current);
    if (current()) {
      $("took").textContent = `${(performance.now() - started).toFixed(0)} ms, version ${model.version}`;
      $("same").hidden = !$("curl").textContent;
    }
  } catch (error) {
    if (current()) { $("answer").replaceChildren(); $("took").textContent = ""; $("same").hidden = true; fail(error); }
  } finally {
    if (current()) $("send").disabled = false;
  }
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(view.ask); });
$("microphone").addEventListener("click", () => listening ? listening() : ask(listen));
const over = (on) => (event) => {
  if (!view?.drop) return;
  event.preventDefault();
  $("field").classList.toggle("over", on);
};
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over(true));
document.addEventListener("dragleave", over(false));
document.addEventListener("drop", (event) => {
  over(false)(event);
  if (view?.drop && event.dataTransfer.files.length) view.drop(event.dataTransfer.files);
});
window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1)), false));
fetch("/models").then(async (response) => {
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  models = found.models;
  for (const {name} of models) {
    const button = make("button", {type: "button"}, name);
    button.addEventListener("click", () => { history.replaceState(null, "", `#${encodeURIComponent(name)}`); choose(name, true); });
    $("models").append(button);
  }
  choose(decodeURIComponent(location.hash.slice(1)), false);
}).catch((error) => { $("title").textContent = "No models"; $("error").textContent = `The models cannot be listed: ${error.message}`; });
