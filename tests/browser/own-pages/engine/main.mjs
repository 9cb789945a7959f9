// Everything that an exported game may use, and what it must not.
import { answer } from "./part.mjs";

const foreign = new URLSearchParams(location.search).get("foreign");

// The outcome of a promise, as text.
const outcome = (promise) => promise.then(String, (error) => `failed: ${error.name}`);

// The first message of a worker.
const message = (worker, sent = null) => new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message || "no worker"));
  worker.postMessage(sent);
});

async function wasm() {
  const { instance } = await WebAssembly.instantiateStreaming(fetch("game.wasm"));
  return instance.exports.triangle(100);
}

async function sound() {
  const bytes = await (await fetch("tone.wav")).arrayBuffer();
  const decoded = await new OfflineAudioContext(1, 8000, 8000).decodeAudioData(bytes);
  return decoded.duration;
}

// Seeks in the sound, as a player does.
async function audio() {
  const element = document.querySelector("audio");
  if (element.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) {
    await new Promise((resolve, reject) => {
      element.oncanplay = resolve;
      element.onerror = () => reject(element.error);
    });
  }
  await new Promise((resolve) => {
    element.onseeked = resolve;
    element.currentTime = element.duration - 1;
  });
  return element.duration;
}

// What the server answered to the requests of the audio element, and to one for the end of it.
async function ranges() {
  const { status, headers } = await fetch("tone.wav", { headers: { Range: "bytes=-2" } });
  const requests = performance.getEntriesByName(new URL("tone.wav", location).href);
  const media = requests.filter(({ initiatorType }) => initiatorType !== "fetch");
  return {
    status,
    range: headers.get("content-range"),
    media: [...new Set(media.map(({ responseStatus }) => responseStatus))],
  };
}

// Whether an image of this address has pixels.
async function image(src) {
  const element = new Image();
  element.src = src;
  await element.decode();
  return element.naturalWidth;
}

async function threads() {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const worker = new Worker("worker.mjs", { type: "module" });
  await message(worker, { memory });
  worker.terminate();
  return Atomics.load(new Int32Array(memory.buffer), 0);
}

function socket() {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/\?.*/, ""));
    socket.onmessage = ({ data }) => resolve(JSON.parse(data).type);
    socket.onerror = reject;
  });
}

// An inline script that is not in the file, as from the name of a player.
function injected(text) {
  const script = document.createElement("script");
  script.textContent = text;
  document.body.append(script);
  script.remove();
}

function foreignScript() {
  return new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = `${foreign}foreign.js`;
    script.onload = () => resolve("loaded");
    script.onerror = () => resolve("blocked");
    document.body.append(script);
  });
}

const blob = (text, type) => URL.createObjectURL(new Blob([text], { type }));
const png = await (await fetch("red.png")).blob();
injected("window.wasInjected = true");

window.result = {
  answer,
  wasm: await outcome(wasm()),
  sound: await outcome(sound()),
  audio: await outcome(audio()),
  ranges: await ranges(),
  worker: await outcome(message(new Worker("worker.mjs", { type: "module" }), { foreign })),
  blobWorker: await outcome(message(new Worker(blob("onmessage = () => postMessage(7)")))),
  blobModule: (await import(blob("export const seven = 7", "text/javascript"))).seven,
  blobFetch: await (await fetch(blob("text"))).text(),
  dataFetch: await (await fetch("data:text/plain,text")).text(),
  blobImage: await outcome(image(URL.createObjectURL(png))),
  dataImage: await outcome(image("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' " +
    "width='3' height='3'/>")),
  isolated: window.crossOriginIsolated,
  threads: await outcome(threads()),
  socket: await outcome(socket()),
  handled: window.handled,
  // These must fail.
  wasInjected: window.wasInjected === true,
  eval: await outcome((async () => (0, eval)("1"))()),
  foreignScript: await foreignScript(),
  foreignRan: window.foreignRan === true,
  foreignFetch: await outcome(fetch(`${foreign}healthz`)),
  dataModule: await outcome(import("data:text/javascript,export default 1")),
};
