"use strict";
// The view of models that hear: a recording, or the microphone where the model streams.
const heard = {
  verb: "Hear it",
  field: () => [make("label", {for: "file"}, `A recording${"stream" in model.signatures ? "" : " (WAV)"}: choose a file, or drop one here`),
    make("input", {id: "file", type: "file", accept: "audio/*,.wav"})],
  drop(files) { $("file").files = files; ask(heard.ask); },
  async ask(current) {
    const file = $("file").files[0];
    if (!file) throw new Error("Choose a recording first.");
    listening?.();
    $("answer").replaceChildren(); // a recording may take seconds to decode
    if ("stream" in model.signatures) { await streamed(file, current); return; }
    const bytes = new Uint8Array(await file.arrayBuffer());
    if (!current()) return;
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    showCurl("wav", {wav: [{b64: `${btoa(text).slice(0, 60)}...`}]}, "# in b64: the whole file\n");
    const found = await predict("wav", {wav: [{b64: btoa(text)}]});
    if (found.error?.[0]) throw new Error(`${file.name}: ${found.error[0]}`);
    if (!current()) return;
    $("answer").replaceChildren(make("p", {class: "first"}, make("b", {}, found.label[0]), ` ${found.probability[0].toFixed(3)}`),
      bars(model.labels, found.probabilities[0]));
  },
};

const GOING_AWAY = 1001; // the server stops, and has said what it heard

// A socket on `:stream`, and what it says, shown. A browser lets a socket name a token among its subprotocols alone.
function opened() {
  const named = btoa(utf8(token)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/models/${encodeURIComponent(model.name)}:stream`,
    token ? ["seqpipe", `seqpipe.token.${named}`] : []);
  const rows = make("tbody"), none = make("p", {}, "Nothing yet."), now = make("div", {"aria-hidden": "true"});
  const words = make("table", {class: "words", hidden: ""}, make("thead", {}, make("tr", {},
    ...["from, s", "to, s", "word", "probability"].map((name) => make("th", {scope: "col"}, name)))), rows);
  $("answer").replaceChildren(make("div", {class: "both"}, now,
    make("div", {}, make("h3", {}, "Heard"), none, make("div", {role: "log", "aria-label": "Words heard"}, words))));
  $("answer").setAttribute("aria-busy", "false"); // words are told as they are heard
  const state = {socket, seconds: 0};
  state.closed = new Promise((resolve, reject) => {
    state.open = new Promise((ready) => { socket.onopen = ready; socket.addEventListener("close", ready); });
    socket.onclose = ({code}) => {
      state.code = code;
      if (code === 1013) reject(new Error("The server hears as many microphones as it may. Try again later."));
      else if ([1000, GOING_AWAY, 1005].includes(code)) resolve();
      else reject(new Error("The connection was lost."));
    };
    socket.onmessage = ({data}) => {
      const step = JSON.parse(data);
      if (step.error) { reject(new Error(step.error)); reach("/models"); } // which asks for a token, where that is what is missing
      else if (step.heard) {
        const {start_s, end_s, label, confidence} = step.heard;
        rows.append(make("tr", {}, ...[start_s.toFixed(2), end_s.toFixed(2), label, confidence.toFixed(3)].map((text) => make("td", {}, text))));
        words.hidden = false;
        none.hidden = true;
      } else if (step.probabilities) {
        state.seconds = step.seconds;
        now.replaceChildren(bars(Object.keys(step.probabilities), Object.values(step.probabilities), {sorted: false}));
      }
      state.moved?.();
    };
  });
  state.closed.catch(() => {});
  return state;
}

const AHEAD_S = 2; // that are sent and not yet answered
async function streamed(file, current) {
  const samples = await samplesOf(file);
  if (!current()) return;
  const stream = opened();
  await begun(stream);
  for (let start = 0; start < samples.length && current() && stream.socket.readyState === 1; start += RATE_HZ) {
    stream.socket.send(samples.subarray(start, start + RATE_HZ));
    while (start / RATE_HZ - stream.seconds > AHEAD_S && current() && stream.socket.readyState === 1) {
      await Promise.race([new Promise((resolve) => { stream.moved = resolve; }), stream.closed]);
    }
  }
  if (!current()) { stream.socket.close(); return; }
  if (stream.socket.readyState === 1) stream.socket.send('{"end": true}');
  await stream.closed;
  if (stream.code === GOING_AWAY) throw new Error("The server stopped before it had heard the whole recording.");
}

// A stream is heard by the version that serves when it opens.
async function begun(stream) {
  await stream.open;
  if (stream.socket.readyState === 1) await renewed();
}

async function listen() {
  const stream = opened();
  let close = () => {}, stopped = false;
  const stop = () => {
    if (stopped) return;
    stopped = true;
    listening = null;
    close();
    if (stream.socket.readyState === 1) stream.socket.send('{"end": true}'); else stream.socket.close();
    $("microphone").textContent = "Listen to the microphone";
  };
  $("microphone").textContent = "Stop listening";
  listening = stop;
  try {
    await begun(stream);
    if (stopped) return;
    if (stream.socket.readyState === 1) close = await openMicrophone("/page/worklet.js", (samples) => { if (stream.socket.readyState === 1) stream.socket.send(samples); });
    if (stopped) close(); // while the browser asked for the microphone
    await stream.closed;
  } finally { stop(); }
}
