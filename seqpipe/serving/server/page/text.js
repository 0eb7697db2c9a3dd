"use strict";
// Views of models that take a text: one that answers a label, one that translates, one that writes on.
const labelled = {
  field: () => textField("A text", "The plot makes little sense, yet I could not look away."),
  async ask(current) {
    const text = $("text").value, explains = "explain" in model.signatures, signature = explains ? "explain" : "serving_default";
    showCurl(signature, {text: [text]});
    const found = await predict(signature, {text: [text]});
    if (!current()) return;
    const parts = [make("p", {class: "first"}, make("b", {}, found.label[0]), ` ${found.probability[0].toFixed(3)}`),
      bars(model.labels, found.probabilities[0])];
    if (explains) {
      const pieces = found.pieces[0].map((piece, i) => [piece, found.weights[0][i]]).filter(([piece]) => piece);
      const most = Math.max(...pieces.map(([, weight]) => weight), 1e-9);
      const line = make("p", {class: "pieces", dir: "auto"});
      for (const [piece, weight] of pieces) line.append(make("span", {"--w": weight / most, title: weight.toFixed(4)}, piece));
      parts.push(make("h3", {}, "What it went by"), line);
      if (found.truncated[0]) parts.push(make("p", {class: "note"}, "The text is longer: the model read no further."));
      parts.push(make("details", {}, make("summary", {}, "Weights as a table"), scroll("Weights", table(["piece", "weight"], pieces))));
    }
    $("answer").replaceChildren(...parts);
  },
};

const translated = {
  verb: "Translate",
  field: () => textField("A sentence", "Two dogs are playing in the park."),
  options: () => "beam" in model.signatures ? [option("width", "beam width", 1, {min: 1, max: 32, step: 1})] : [],
  async ask(current) {
    const text = [$("text").value], width = Number($("width")?.value ?? 1);
    if (!(width >= 1 && width <= 32 && Number.isInteger(width))) throw new Error("beam width must be a whole number from 1 to 32.");
    if (width > 1) {
      const inputs = {text, beam_width: width, length_penalty: 1.0};
      showCurl("beam", inputs);
      const found = await predict("beam", inputs);
      if (current()) $("answer").replaceChildren(scroll("Answers", table(["answer", "score"], found.texts[0].map((each, i) => [each, found.scores[0][i]]))));
      return;
    }
    const signature = "explain" in model.signatures ? "explain" : "serving_default";
    showCurl(signature, {text});
    const found = await predict(signature, {text});
    if (!current()) return;
    const parts = [make("p", {class: "pieces", dir: "auto"}, Array.isArray(found) ? found[0] : found.text[0])];
    if (found.alignment) parts.push(make("h3", {}, "Where each piece looked"), ...aligned(found), heat(found));
    $("answer").replaceChildren(...parts);
  },
};
// Pieces with their places; one that is blank alone is shown by a mark, for a button and a heading need a name.
const indexed = (pieces) => pieces.map((piece, i) => [piece && !piece.trim() ? "␣" : piece, i]).filter(([piece]) => piece);
// Pieces of the translation; the one under the pointer, or with the focus, colours what it looked at.
function aligned(found) {
  const sources = indexed(found.source_pieces[0]).map(([piece, i]) => [make("span", {}, piece), i]);
  const targets = indexed(found.target_pieces[0]).map(([piece, i]) => {
    const button = make("button", {type: "button", class: "piece"}, piece);
    const look = (on) => () => {
      for (const [span, j] of sources) span.style.setProperty("--w", on ? found.alignment[0][i][j] : 0);
      button.classList.toggle("on", on);
    };
    for (const [event, on] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) button.addEventListener(event, look(on));
    const best = sources.reduce((a, b) => found.alignment[0][i][b[1]] > found.alignment[0][i][a[1]] ? b : a, sources[0]);
    if (best) button.setAttribute("aria-description", `looked most at ${best[0].textContent.trim()}`);
    return button;
  });
  return [make("p", {class: "pieces", dir: "auto"}, ...sources.map(([span]) => span)), make("p", {class: "pieces", dir: "auto"}, ...targets)];
}
function heat(found) {
  const columns = indexed(found.source_pieces[0]), rows = indexed(found.target_pieces[0]);
  return make("details", {}, make("summary", {}, "All of it as a table"), scroll("Alignment", make("table", {class: "heat"},
    make("thead", {}, make("tr", {}, make("td"), ...columns.map(([piece]) => make("th", {scope: "col"}, piece)))),
    make("tbody", {}, ...rows.map(([piece, i]) => make("tr", {}, make("th", {scope: "row"}, piece), ...columns.map(([, j]) => {
      const weight = found.alignment[0][i][j];
      return make("td", {"--w": weight, class: "number"}, weight < 0.005 ? "" : weight.toFixed(2));
    })))))));
}

// Written step by step by `start` and `sample`, which is what `write` answers at once.
const continued = {
  verb: "Write",
  field: () => textField("How the text begins", ""),
  options: () => [option("length", "characters", Math.min(300, model.info.length ?? 300), {min: 1, max: 5000, step: 1}),
    option("temperature", "temperature", Number((model.info.temperature ?? 0.8).toFixed(3)), {min: 0}),
    option("top_p", "top p", Number((model.info.top_p ?? 0.95).toFixed(3)), {min: 0, max: 1}),
    option("seed", "seed", 1, {step: 1})],
  async ask(current) {
    const text = [$("text").value], seed = [Number($("seed").value)], length = Number($("length").value);
    if (!(length >= 1 && length <= 5000)) throw new Error("characters must be 1 to 5000.");
    const how = {temperature: Number($("temperature").value), top_p: Number($("top_p").value), top_k: model.info.top_k ?? 0,
      min_p: model.info.min_p ?? 0, repetition_penalty: model.info.repetition_penalty ?? 1};
    showCurl("write", {text, length, seed, stop: [], ...how});
    const line = make("p", {class: "pieces", dir: "auto"}, make("b", {}, text[0]));
    $("answer").replaceChildren(line);
    if ("sample" in model.signatures && "start" in model.signatures) {
      let state = await predict("start", {text});
      for (let number = 0; number < length && current(); number++) {
        const {text: [part], ...next} = await predict("sample", {...state, number, seed, ...how});
        if (next.tokens[0] === 0) break; // the end; a part may be empty, as when a character is not whole yet
        if (current()) line.append(part);
        state = next;
      }
    } else line.append((await predict("write", {text, length, seed, stop: [], ...how})).text[0]);
    if (current()) $("seed").value = seed[0] + 1; // asked once more it writes another
  },
};
