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
let token = ""; // as long as the page is open, and never in an address

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
  const body = written({signature_name: signature, inputs}).replaceAll("'", "'\\''"), who = token && '-H "Authorization: Bearer $TOKEN" ';
  $("curl").textContent = `${note}curl ${who}-d '${body}' ${location.origin}/v1/models/${encodeURIComponent(model.name)}:predict`;
}
const utf8 = (text) => String.fromCharCode(...new TextEncoder().encode(text)); // for headers and base64, which know bytes alone
async function reach(path, options = {}) {
  const response = await fetch(path, {...options, headers: token ? {Authorization: `Bearer ${utf8(token)}`} : {}});
  if (response.status === 401) {
    $("who").hidden = false;
    $("refused").textContent = token && "The server does not take this token.";
    if (token) $("token").setAttribute("aria-invalid", "true");
    $("token").focus();
  }
  return response;
}
// Of the version whose labels are shown; where another took its place, that one is asked next.
async function predict(signature, inputs) {
  const response = await reach(`/v1/models/${encodeURIComponent(model.name)}/versions/${model.version}:predict`,
    {method: "POST", body: written({signature_name: signature, inputs})});
  if (response.status === 404 && await renewed()) throw new Error(`Version ${model.version} is served now. Ask again.`);
  const text = await response.text();
  let answer;
  try { answer = read(text); } catch { throw new Error(`The server answered ${response.status}.`); }
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}.`);
  return answer.outputs;
}

async function renewed() {
  const {models: found} = await (await reach("/models")).json(), now = found?.find(({name}) => name === model.name);
  if (!now || now.version === model.version) return false;
  Object.assign(model, now);
  showFacts();
  return true;
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
  [make("label", {for: "text"}, label), Object.assign(make("textarea", {id: "text", dir: "auto", ...attributes}), {value})];
const option = (id, label, value, attributes = {}) =>
  make("label", {}, label, " ", make("input", {id, value, type: "number", step: "any", required: "", ...attributes}));
const scroll = (label, content) => make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": label}, content);
const cell = (value) => typeof value === "number" ? make("td", {class: "number"}, Number.isInteger(value) ? String(value) : value.toFixed(4)) : make("td", {}, value ?? "");
const table = (header, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...header.map((name) => make("th", {scope: "col"}, name)))),
  make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));

function viewOf() {
  if (takes("waveform")) return heard;
  if (takes("values")) return forecast;
  if (gives("label")) return labelled;
  if (takes("acrostic", "compose")) return composed;
  return "write" in model.signatures ? continued : translated;
}

function showFacts() {
  $("facts").textContent = [`version ${model.version}`, model.facts.figure].filter(Boolean).join("; ");
}

function choose(name, focus) {
  model = models.find((each) => each.name === name) ?? models[0];
  for (const button of $("models").children) button.setAttribute("aria-current", String(button.textContent === model.name));
  document.title = `${model.name} - seqpipe`;
  $("title").textContent = model.name;
  showFacts();
  $("kind").replaceChildren(...forms());
  show(viewOf());
  if (focus) $("title").focus();
}

// What is asked there is of another model or of another view, and forgotten.
function show(other) {
  if (listening) listening();
  asked++;
  view = other;
  $("field").replaceChildren(...view.field());
  $("options").replaceChildren(...(view.options?.() ?? []));
  $("send").textContent = view.verb ?? "Ask";
  $("send").disabled = false;
  $("microphone").hidden = !("stream" in model.signatures && takes("waveform"));
  fail(null);
  $("answer").setAttribute("aria-busy", "false");
  for (const id of ["answer", "took", "curl"]) $(id).replaceChildren();
  $("same").hidden = true;
}

// An error stands beside the input, which stays. It is about the input that it begins with, else about what was asked.
function fail(error) {
  $("error").textContent = error?.message ?? "";
  const inputs = [...$("ask").querySelectorAll("textarea, input")], named = inputs.filter(({id}) => error?.message.startsWith(`${id} `));
  for (const input of inputs) {
    const wrong = error && (named.length ? named.includes(input) : $("field").contains(input));
    if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    input.setAttribute("aria-describedby", "error");
  }
}

// Answers what is asked last; what was asked before is forgotten.
async function ask(action) {
  const number = ++asked, started = performance.now(), current = () => number === asked;
  fail(null);
  $("send").disabled = true;
  $("took").textContent = ""; // of the answer before
  $("answer").setAttribute("aria-busy", "true");
  try {
    await action(current);
    if (current()) {
      $("took").textContent = `${(performance.now() - started).toFixed(0)} ms, version ${model.version}`;
      $("same").hidden = !$("curl").textContent;
    }
  } catch (error) {
    if (current()) { $("answer").replaceChildren(); $("same").hidden = true; fail(error); }
  } finally {
    if (current()) {
      $("send").disabled = false;
      $("answer").setAttribute("aria-busy", "false");
    }
  }
}

$("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(view.ask); });
$("microphone").addEventListener("click", () => listening ? listening() : ask(listen));
const over = (on) => (event) => {
  if (!view?.drop || !event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  $("field").classList.toggle("over", on);
};
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over(true));
document.addEventListener("dragleave", over(false));
document.addEventListener("drop", (event) => {
  over(false)(event);
  if (view?.drop && event.dataTransfer.files.length) view.drop(event.dataTransfer.files);
});
function named() { // by the address
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
}
window.addEventListener("hashchange", () => { if (models.length) choose(named(), false); });

async function list() {
  const response = await reach("/models"), found = await response.json();
  if (!response.ok) throw new Error(found.error);
  $("who").hidden = true;
  fail(null);
  if (models.length) return; // another token: what was typed stays
  models = found.models;
  for (const {name} of models) {
    const button = make("button", {type: "button"}, name);
    button.addEventListener("click", () => { history.replaceState(null, "", `#${encodeURIComponent(name)}`); choose(name, true); });
    $("models").append(button);
  }
  choose(named(), token !== "");
}
function start() {
  list().catch((error) => {
    if (!models.length) $("title").textContent = $("who").hidden ? "No models" : "No models without the token";
    if ($("who").hidden) $("error").textContent = `The models cannot be listed: ${error.message}`;
  });
}
$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value;
  $("token").removeAttribute("aria-invalid");
  $("refused").textContent = "";
  start();
});
document.addEventListener("DOMContentLoaded", start); // when the views are there
