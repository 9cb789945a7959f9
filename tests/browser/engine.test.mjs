// The official client of Engine.IO, over every transport, against `--echo`.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { Socket } from "engine.io-client";
import { FLAGS } from "./clients.mjs";
import { startServer } from "./harness.mjs";

let server;
before(async () => (server = await startServer({ args: FLAGS })));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

const open = (address, ...transports) => new Socket(address, { path: "/engine.io/", transports });

// The next message: text, or the bytes of a binary message.
async function next(socket) {
  const [data] = await once(socket, "message");
  return typeof data === "string" ? data : Array.from(new Uint8Array(data));
}

async function echoes(socket, message) {
  const answer = next(socket);
  socket.send(typeof message === "string" ? message : new Uint8Array(message));
  assert.deepEqual(await answer, message);
}

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(`messages are echoed over ${transports.join(" and then ")}`, async () => {
    const socket = open(server.base, ...transports);
    const upgraded = transports.length > 1 ? once(socket, "upgrade") : null;
    await once(socket, "open");
    await echoes(socket, "hello");
    await echoes(socket, [0, 1, 2, 255]);
    await upgraded;
    await echoes(socket, "κόσμε \u{1f600}");
    assert.equal(socket.transport.name, transports.at(-1));
    // The server closes a client that misses one of three heartbeats.
    for (let n = 0; n < 3; n++) await once(socket, "heartbeat");
    await echoes(socket, "still here");
    const closed = once(socket, "close");
    socket.close();
    await closed;
  });

  test(`many messages keep their order over ${transports.join(" and then ")}`, async () => {
    const socket = open(server.base, ...transports);
    await once(socket, "open");
    const sent = Array.from({ length: 300 }, (_, number) => `message ${number}`);
    const received = [];
    const all = new Promise((resolve) => socket.on("message", (data) => {
      received.push(data);
      if (received.length === sent.length) resolve();
    }));
    for (const message of sent) socket.send(message);
    await all;
    assert.deepEqual(received, sent);
    socket.close();
  });

  test(`the client notices the end of the server: ${transports.join(" and then ")}`, async (t) => {
    const own = await startServer({ args: FLAGS });
    t.after(own.stop);
    const socket = open(own.base, ...transports);
    const upgraded = transports.length > 1 ? once(socket, "upgrade") : null;
    await once(socket, "open");
    await upgraded;
    const closed = once(socket, "close");
    assert.equal(await own.stop(), 0);
    await closed;
  });
}
