// Shared by the tests of Socket.IO in Node and in Chromium: the clients, and an exchange that uses
// every feature of the protocol.
import assert from "node:assert/strict";

export const TIMEOUT = { timeout: 60_000 };
// Frequent pings, and a timeout that is long enough for a busy machine.
export const FLAGS = ["--echo", "--ping-interval-ms", "300", "--ping-timeout-ms", "5000"];
// The official client, current and old versions.
export const CLIENTS = ["socket.io-client", "socket.io-client-4.0", "socket.io-client-3.0"];
export const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];
export const AUTH = { token: "123", deep: [{ name: "κόσμε \u{1f600}" }] };

// Sends everything that a client can send to the application, and returns what it receives. It runs
// in Node and in pages, so it uses only its arguments.
export async function exchange(io, { url, transports, auth }) {
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
  const received = {};

  const socket = io(url, { transports, auth, forceNew: true, reconnection: false });
  const engine = socket.io.engine;
  const upgraded = transports.length > 1 &&
    new Promise((resolve) => engine.once("upgrade", resolve));
  let pings = 0;
  const pinged = new Promise((resolve) => engine.on("packet", ({ type }) => {
    if (type === "ping" && ++pings === 3) resolve();
  }));
  const greeting = next(socket, "auth");
  await next(socket, "connect");
  received.id = socket.id;
  received.auth = await greeting;

  // Before the upgrade is over, and after it.
  const says = async (...all) => {
    const answer = next(socket, "message-back");
    socket.emit("message", ...all);
    return answer;
  };
  const asks = (...all) => new Promise((resolve) =>
    socket.emit("message-with-ack", ...all, (...answer) => resolve(plain(answer))));
  received.early = await Promise.all([says("early"), asks("early", bytes(1))]);
  await upgraded;
  received.transport = engine.transport.name;
  received.nothing = await says();
  received.text = await says(1, "2", { 3: [true, null] }, -0.5, "");
  received.unicode = await says("κόσμε \u{1f600}\u2028\u001e\"\\\n\0", { "\u{1f600}": "é" });
  received.binary = await says(bytes(0, 1, 2, 255), bytes());
  received.nested = await says({ b: [{ c: bytes(3, 30) }], a: bytes(4).buffer }, "x", [bytes(5)]);
  received.ack = await asks(1, "2", { 3: [false] });
  received.emptyAck = await asks();
  received.binaryAck = await asks({ deep: [bytes(6, 7)] }, bytes(8));

  const custom = socket.io.socket("/custom", { auth: { room: "custom" } });
  received.custom = await next(custom, "auth");
  received.customId = custom.id;

  const unknown = socket.io.socket("/unknown");
  received.refusal = await new Promise((resolve) =>
    unknown.once("connect_error", ({ message }) => resolve(message)));

  const left = next(custom, "disconnect");
  custom.disconnect();
  received.left = (await left)[0];
  // The reference server treats a DISCONNECT and a new CONNECT in one payload as a second CONNECT.
  await says("after the disconnect");
  const again = next(custom, "auth");
  custom.connect();
  await again;
  received.customIdAgain = custom.id;

  await pinged;
  received.alive = await says("still here");
  const gone = next(socket, "disconnect");
  custom.disconnect();
  unknown.disconnect();
  socket.disconnect();
  received.gone = (await gone)[0];
  return received;
}

export function assertExchange(received, transports) {
  const { id, customId, customIdAgain, ...rest } = received;
  for (const one of [id, customId, customIdAgain]) assert.match(one, /^[^\s"]+$/);
  assert.notEqual(customId, customIdAgain, "a new connection has a new id");
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
