// Clients in Node that compress (RFC 7692) in a room of 100 players: what they receive is what a
// client without compression receives. They keep both cores busy, as engines.mjs does.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";
import WebSocket from "ws";
import { gapsIn, lag, startCrowd } from "./crowd.mjs";
import { startServer, until } from "./harness.mjs";
import { startPausingProxy } from "./pausing-proxy.mjs";

const CROWD = { count: 90, movesPerSecond: 20 };
const LAGGING = "lagging";
const PAUSE_TICKS = 30;
const AGREED = "permessage-deflate; client_no_context_takeover";

let server;
before(async () => (server = await startServer()));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

// A client of npm ws with its defaults. `pause` and `resume` stop and resume reading.
async function joinWs(port, room, name) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?room=${room}&name=${name}`);
  const messages = [];
  socket.on("message", (data) => messages.push(String(data)));
  const upgrade = once(socket, "upgrade");
  await once(socket, "open");
  const [{ socket: tcp, headers }] = await upgrade;
  assert.equal(headers["sec-websocket-extensions"], AGREED);
  const send = (message) => socket.send(JSON.stringify(message), { compress: true });
  return {
    messages,
    bytes: () => messages.reduce((sum, text) => sum + text.length, 0),
    received: () => tcp.bytesRead,
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    rate: (hz) => send({ type: "rate", hz }),
    move: () => send({ type: "move", direction: "UP" }),
    async close() {
      socket.close();
      const [code] = await once(socket, "close");
      return code;
    },
  };
}

// The official client of Socket.IO, which compresses only if asked to.
async function joinSocketIo(port, room, name) {
  const socket = io(`http://127.0.0.1:${port}`, {
    transports: ["websocket"], forceNew: true, reconnection: false,
    perMessageDeflate: { threshold: 0 }, auth: { room }, query: { name },
  });
  const messages = [];
  socket.onAny((event, data) => messages.push([event, data.id, data.position]));
  await once(socket, "connect");
  const { ws } = socket.io.engine.transport;
  assert.equal(ws.extensions, "permessage-deflate");
  return {
    messages,
    bytes: () => messages.length * '42{"id":"position":}'.length + JSON.stringify(messages).length,
    received: () => ws._socket.bytesRead,
    pause: () => ws.pause(),
    resume: () => ws.resume(),
    rate: (hz) => socket.emit("rate", { hz }),
    move: () => socket.emit("move", { x: 50, y: 50 }),
    async close() {
      const closed = once(socket, "disconnect");
      socket.disconnect();
      await closed;
    },
  };
}

for (const [name, join, checks] of [
  ["ws", joinWs, "checkTexts"], ["socket.io-client", joinSocketIo, "checkEvents"],
]) {
  test(`compressed updates are those of a client without compression, ${name}`, async (t) => {
    const room = `battle-${name}`.replaceAll(".", "-");
    const crowd = await startCrowd(server, room, CROWD);
    t.after(crowd.close);
    const proxy = await startPausingProxy(server.port, LAGGING);
    t.after(proxy.close);
    const clients = [];
    const enter = async (least, key = "steady") => {
      const client = await join(proxy.port, room, key);
      clients.push([client, least]);
      return client;
    };
    const check = (client) => crowd[checks](client.messages, name);

    const steady = await enter(100);
    for (const [hz, least] of [[10, 50], [5, 25], [1, 4]]) (await enter(least)).rate(hz);
    await crowd.passes(40);
    const pausing = await enter(30);
    const lagging = await enter(30, LAGGING);
    const returning = await enter(0);
    for (let moves = 0; moves < 20; moves++) {
      steady.move();
      await crowd.passes(1);
    }
    pausing.pause();
    await crowd.passes(PAUSE_TICKS);
    pausing.resume();
    // Some updates are skipped, and then more than an update may refer back over.
    for (const states of [3, 25]) {
      const before = gapsIn(await check(lagging));
      await until(async () => {
        const count = lagging.messages.length;
        await lag(server, [proxy.find(LAGGING)], states);
        await until(() => lagging.messages.length > count + 10, `${name} to recover`);
        await crowd.passes(10);
        return gapsIn(await check(lagging)) > before;
      }, "a skipped state");
    }
    await returning.close();
    await enter(30);
    await crowd.passes(40);
    for (const [client, least] of clients) {
      await until(async () => (await check(client)).length >= least, `${name}: ${least} updates`);
    }
    const ratio = steady.received() / steady.bytes();
    assert.ok(ratio < 0.5, `${name}: ${ratio} of the bytes`);
    for (const [client] of clients) if (client !== returning) await client.close();
  });
}
