// What the tests of Socket.IO in Node and in Chromium share: the clients, and what they say.
import assert from "node:assert/strict";

// Who waits in vain waits for something that the other side should have sent.
export const PATIENCE = { timeout: 60_000 };
// Pings are soon, and the patience is longer than a busy machine takes.
export const FLAGS = ["--echo", "--ping-interval-ms", "300", "--ping-timeout-ms", "5000"];
// The official one, of today and of years ago.
export const CLIENTS = ["socket.io-client", "socket.io-client-4.0", "socket.io-client-3.0"];
export const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];
export const AUTH = { token: "123", deep: [{ name: "κόσμε \u{1f600}" }] };

// All that a client can say to the application, and what it hears. It runs in Node and in pages,
// so it knows nothing but its arguments.
export async function conversation(io, { url, transports, auth }) {
  const plain = (value) => {
    if (value instanceof ArrayBuffer) return { bytes: Array.from(new Uint8Array(value)) };
    if (ArrayBuffer.isView(value)) return { bytes: Array.from(value) };
    if (Array.isArray(value)) return value.map(plain);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
  };
  const next = (emitter, event) =>
    new Promise((resolve) => emitter.once(event, (...all) => resolve(plain(all))));
  const bytes = (...all) => new Uint8Array(all);
  const heard = {};

  const socket = io(url, { transports, auth, forceNew: true, reconnection: false });
  const engine = socket.io.engine;
  const upgraded = transports.length > 1 &&
    new Promise((resolve) => engine.once("upgrade", resolve));
  let beats = 0;
  const beaten = new Promise((resolve) => engine.on("packet", ({ type }) => {
    if (type === "ping" && ++beats === 3) resolve();
  }));
  const greeting = next(socket, "auth");
  await next(socket, "connect");
  heard.id = socket.id;
  heard.auth = await greeting;

  // Before the upgrade is over, and after it.
  const says = async (...all) => {
    const answer = next(socket, "message-back");
    socket.emit("message", ...all);
    return answer;
  };
  const asks = (...all) => new Promise((resolve) =>
    socket.emit("message-with-ack", ...all, (...answer) => resolve(plain(answer))));
  heard.early = await Promise.all([says("early"), asks("early", bytes(1))]);
  await upgraded;
  heard.transport = engine.transport.name;
  heard.nothing = await says();
  heard.text = await says(1, "2", { 3: [true, null] }, -0.5, "");
  heard.unicode = await says("κόσμε \u{1f600}\u2028\u001e\"\\\n\0", { "\u{1f600}": "é" });
  heard.binary = await says(bytes(0, 1, 2, 255), bytes());
  heard.nested = await says({ b: [{ c: bytes(3, 30) }], a: bytes(4).buffer }, "x", [bytes(5)]);
  heard.ack = await asks(1, "2", { 3: [false] });
  heard.emptyAck = await asks();
  heard.binaryAck = await asks({ deep: [bytes(6, 7)] }, bytes(8));

  const custom = socket.io.socket("/custom", { auth: { room: "custom" } });
  heard.custom = await next(custom, "auth");
  heard.customId = custom.id;

  const unknown = socket.io.socket("/unknown");
  heard.refusal = await new Promise((resolve) =>
    unknown.once("connect_error", ({ message }) => resolve(message)));

  const left = next(custom, "disconnect");
  custom.disconnect();
  heard.left = (await left)[0];
  // The reference takes a goodbye and a new CONNECT in one payload for a second CONNECT.
  await says("goodbye was heard");
  const again = next(custom, "auth");
  custom.connect();
  await again;
  heard.customIdAgain = custom.id;

  await beaten;
  heard.alive = await says("still here");
  const gone = next(socket, "disconnect");
  custom.disconnect();
  unknown.disconnect();
  socket.disconnect();
  heard.gone = (await gone)[0];
  return heard;
}

export function assertConversation(heard, transports) {
  const { id, customId, customIdAgain, ...rest } = heard;
  for (const one of [id, customId, customIdAgain]) assert.match(one, /^[^\s"]+$/);
  assert.notEqual(customId, customIdAgain, "whoever comes again is somebody else");
  const bytes = (...all) => ({ bytes: all });
  assert.deepEqual(rest, {
    auth: [AUTH],
    early: [["early"], ["early", bytes(1)]],
    transport: transports.at(-1),
    nothing: [],
    text: [1, "2", { 3: [true, null] }, -0.5, ""],
    unicode: ["κόσμε \u{1f600}\u2028\u001e\"\\\n\0", { "\u{1f600}": "é" }],
    binary: [bytes(0, 1, 2, 255), bytes()],
    nested: [{ b: [{ c: bytes(3, 30) }], a: bytes(4) }, "x", [bytes(5)]],
    ack: [1, "2", { 3: [false] }],
    emptyAck: [],
    binaryAck: [{ deep: [bytes(6, 7)] }, bytes(8)],
    custom: [{ room: "custom" }],
    refusal: "Invalid namespace",
    left: "io client disconnect",
    alive: ["still here"],
    gone: "io client disconnect",
  });
}
