"use strict";
// The view of models that forecast: rows as a table has them, pasted or dropped.
const width = (name) => takes(name) ? model.signatures.serving_default.inputs[name].at(-1) : 0;
const counted = (count, text) => count ? [`${count === 1 ? "a column" : `${count} columns`} ${text}`] : [];

const forecast = {
  verb: "Forecast",
  field() {
    const columns = ["a value", ...counted(width("known"), "known ahead"), ...counted(width("past"), "known of the past")];
    const more = width("known") ? `; ${model.info.horizon} rows more, without a value, for what is known ahead` : "";
    const about = `A row a step: ${takes("time") ? "its time if you have it, " : ""}${columns.join(", ")}${more}. Nothing for what is missing. Paste rows, or drop a CSV.`;
    return [...textField(about, example(), {spellcheck: "false"})];
  },
  options() {
    const fields = [];
    if (takes("series")) {
      const list = make("datalist", {id: "series-names"}, ...(model.info.series ?? []).filter(Boolean).map((value) => make("option", {value})));
      fields.push(make("label", {}, "series ", make("input", {id: "series", list: "series-names", value: model.info.series?.[0] ?? ""})), list);
    }
    for (let i = 0; i < width("static"); i++) fields.push(make("label", {}, `fact ${i + 1} of the series `, make("input", {id: `static${i}`})));
    return fields;
  },
  drop(files) {
    ask(async (current) => {
      const text = await files[0].text();
      if (!current()) return;
      $("text").value = text;
      await forecast.ask(current);
    });
  },
  async ask(current) {
    const inputs = series($("text").value);
    showCurl("serving_default", inputs);
    const found = await predict("serving_default", inputs);
    if (!current()) return;
    const levels = model.info.levels ?? [], short = (value) => Number.isFinite(value) ? Number(value.toPrecision(5)).toString() : "";
    const others = found.quantiles[0][0].map((_, i) => i).filter((i) => Math.abs((levels[i] ?? 0) - 0.5) > 1e-6);
    const header = ["step", ...others.map((i) => i in levels ? `${+(100 * levels[i]).toFixed(1)} %` : `quantile ${i + 1}`)];
    const at = timed($("text").value) ? found.time[0].map((seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ")) : [];
    header.splice(1, 0, ...(at.length ? ["time"] : []), "median");
    $("answer").replaceChildren(fan(inputs.values[0], found.median[0], found.quantiles[0]), scroll("Forecast", table(header,
      found.median[0].map((value, i) => [String(i + 1), ...(at.length ? [at[i]] : []), short(value), ...others.map((j) => short(found.quantiles[0][i][j]))]))));
  },
};

const SEASON = 24;
function example() {
  const rows = [], ahead = width("known") ? model.info.horizon : 0, extra = width("known") + width("past");
  for (let i = 0; i < 3 * SEASON + ahead; i++) {
    const value = i < 3 * SEASON ? (50 + 0.1 * i + 20 * Math.sin(2 * Math.PI * i / SEASON)).toFixed(1) : "";
    rows.push([value, ...Array(extra).fill(i < 3 * SEASON || width("known") ? "0" : "")].join(","));
  }
  return rows.join("\n");
}

const isTime = (cell) => /^\d{4}-\d\d(-\d\d)?/.test(cell);
const timed = (text) => takes("time") && isTime(text.trim().split("\n").at(-1));

// What the signature takes, of rows of a table.
function series(text) {
  const rows = text.trim().split(/\r?\n/).map((line) => line.split(/[,;\t]/).map((each) => each.trim()));
  if (rows.length === 1 && width("known") + width("past") === 0) rows.splice(0, 1, ...rows[0].map((each) => [each])); // all in one line
  const known = width("known"), past = width("past"), withTime = timed(text);
  const numeric = (cell) => cell === "" || Number.isFinite(Number(cell));
  if (!rows[0].some((cell) => cell !== "" && (numeric(cell) || isTime(cell)))) rows.shift(); // names of columns
  if (!rows.length) throw new Error("There is no row.");
  const wanted = withTime + 1 + known + past;
  rows.forEach((row, number) => {
    if (row.length !== wanted) throw new Error(`Row ${number + 1} has ${row.length} cells; ${wanted} are wanted.`);
    const bad = row.slice(+withTime).find((cell) => !numeric(cell));
    if (bad !== undefined) throw new Error(`Row ${number + 1}: "${bad}" is not a number.`);
  });
  const number = (cell) => cell === "" || cell === undefined ? NaN : Number(cell), at = +withTime;
  const end = rows.length - (known ? model.info.horizon : 0);
  if (end < 1) throw new Error(`There are ${rows.length} rows; ${model.info.horizon} of them are to come, so more are wanted.`);
  const before = rows.slice(0, end), inputs = {values: [before.map((row) => number(row[at]))]};
  if (takes("time")) inputs.time = [withTime ? Date.parse(`${before.at(-1)[0].replace(" ", "T").replace(/(T\d\d:\d\d.*)?$/, (clock) => clock || "T00:00")}Z`) / 1000 : end - 1];
  if (Number.isNaN(inputs.time?.[0])) throw new Error(`Row ${end}: "${before.at(-1)[0]}" is not a time such as 2026-05-01 or 2026-05-01 13:00.`);
  if (takes("series")) inputs.series = [$("series").value];
  if (known) inputs.known = [rows.map((row) => row.slice(at + 1, at + 1 + known).map(number))];
  if (past) inputs.past = [before.map((row) => row.slice(at + 1 + known).map(number))];
  if (takes("static")) inputs.static = [Array.from({length: width("static")}, (_, i) => $(`static${i}`).value)];
  return inputs;
}

const fan = (past, median, quantiles) => {
  const shown = past.slice(-4 * median.length), all = [...shown, ...quantiles.flat()].filter(Number.isFinite);
  const low = Math.min(...all), high = Math.max(...all), count = shown.length + median.length;
  const x = (i) => 44 + 546 * i / Math.max(1, count - 1), y = (v) => 190 - 180 * (v - low) / Math.max(1e-9, high - low);
  const line = (values, start) => values.map((v, i) => [x(start + i), v]).filter(([, v]) => Number.isFinite(v)).map(([at, v]) => `${at.toFixed(1)},${y(v).toFixed(1)}`).join(" ");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 600 200");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Past values, the median of the forecast and its intervals; the numbers are in the table below");
  const add = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    svg.append(element);
  };
  for (let i = 0; i < quantiles[0].length / 2 - 0.5; i++) {
    const lower = line(quantiles.map((q) => q[i]), shown.length), upper = line(quantiles.map((q) => q.at(-1 - i)), shown.length);
    add("polygon", {class: "fan", points: `${lower} ${upper.split(" ").reverse().join(" ")}`});
  }
  add("polyline", {class: "past", points: line(shown, 0)});
  add("polyline", {class: "median", points: line(median, shown.length)});
  for (const value of [low, (low + high) / 2, high]) add("text", {x: 38, y: y(value) + 4, class: "axis"}, Number(value.toPrecision(3)).toString());
  return svg;
};
