"use strict";
// The view of models that compose texts of a form; the choice among forms, one of which is none where the model also writes on.
function forms() {
  if (!takes("acrostic", "compose")) return [];
  const {lines, line_lengths: lengths} = model.info, free = "write" in model.signatures;
  const select = make("select", {id: "form"}, ...lengths.map((length) => make("option", {value: length}, `${lines} lines of ${length}`)),
    ...(free ? [make("option", {value: ""}, "none: on from a beginning")] : []));
  select.value = lengths.at(-1);
  select.addEventListener("change", () => {
    const other = select.value ? composed : continued;
    if (other !== view) show(other);
  });
  return [make("label", {for: "form"}, "Form"), select];
}

const tick = (id, label, on) => make("label", {}, make("input", {id, type: "checkbox", ...(on ? {checked: ""} : {})}), ` ${label}`);
const composed = {
  verb: "Compose",
  field: () => [make("label", {for: "acrostic"}, `Acrostic: a character for each of the ${model.info.lines} lines, or nothing`),
    make("input", {id: "acrostic", dir: "auto", autocomplete: "off", spellcheck: "false"})],
  options() {
    const {rhyme_lines: rhyming, rhyme_groups: groups, temperature} = model.info;
    return [option("count", "how many", 1, {min: 1, max: 32, step: 1}),
      option("seed", "seed", 1, {step: 1}),
      option("temperature", "temperature", Number(temperature.toFixed(3)), {min: 0}),
      ...(groups.length ? [tick("rhyme", `lines ${new Intl.ListFormat("en").format(rhyming.map(String))} rhyme`, true)] : []),
      tick("no_repeats", "no character twice", false)];
  },
  async ask(current) {
    const count = Number($("count").value), seed = Number($("seed").value), acrostic = $("acrostic").value.trim();
    const length = Number($("form").value), seeds = Array.from({length: count}, (_, i) => seed + i);
    const inputs = {acrostic: Array(count).fill(acrostic), line_length: length, temperature: Number($("temperature").value),
      seed: seeds, rhyme: $("rhyme")?.checked ?? false, no_repeats: $("no_repeats").checked};
    showCurl("compose", inputs);
    const texts = await predict("compose", inputs);
    if (!current()) return;
    $("answer").replaceChildren(make("ol", {class: acrostic ? "texts acrostic" : "texts"}, ...texts.map((text, i) =>
      make("li", {}, ...inLines(text, length).map((line) => make("div", {dir: "auto"}, line)), make("small", {class: "note"}, `seed ${seeds[i]}`)))));
    $("seed").value = seed + count; // asked once more it composes others
  },
};

// Characters and the mark that closes them.
function inLines(text, length) {
  const all = Array.from(text), lines = [];
  for (let start = 0; start < all.length; start += length + 1) lines.push(all.slice(start, start + length + 1).join(""));
  return lines;
}
