// A worker with a module of its own. It may share memory with its page, and run no foreign code.
import { answer } from "./part.mjs";

onmessage = async ({ data: { memory, foreign } }) => {
  if (memory) Atomics.store(new Int32Array(memory.buffer), 0, answer);
  const isForeign = foreign &&
    await import(`${foreign}foreign.js`).then(() => "foreign code ran", () => "no foreign code");
  postMessage(`${answer}, ${isForeign}`);
};
