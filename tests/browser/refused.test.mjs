// What the official clients of Socket.IO do when the game refuses or disconnects them, in Node.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { CLIENTS, TIMEOUT, TRANSPORTS } from "./clients.mjs";
import { joinBot, startServer } from "./harness.mjs";

const require = createRequire(import.meta.url);
const next = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...all) => resolve(all)));

let server;
before(async () => (server = await startServer({ args: ["--room-players-max", "1"] })));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

// Is refused, retries after `makeRoom`, and gets in.
async function retries(t, socket, makeRoom) {
  t.after(() => socket.disconnect());
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "full");
  assert.ok(error.data.retry_ms >= 500, `${error.data.retry_ms} ms`);
  await makeRoom();
  // The server may hear of it a moment later.
  const again = setInterval(() => socket.connected || socket.connect(), 100);
  t.after(() => clearInterval(again));
  await next(socket, "connect");
}

let rooms = 0;
for (const client of CLIENTS) {
  const { io } = require(client);
  const { version } = require(`${client}/package.json`);

  for (const transports of TRANSPORTS) {
    const over = `${version} over ${transports.join(" and then ")}`;
    const enter = (room) => io(server.base, { transports, auth: { room }, forceNew: true });

    test(`a client that floods is disconnected and stays away: ${over}`, TIMEOUT, async (t) => {
      const socket = enter(`battle-${rooms++}`);
      t.after(() => socket.disconnect());
      await next(socket, "connect");
      const flood = setInterval(() => {
        for (let n = 0; n < 40; n++) socket.emit("ping");
      }, 10);
      t.after(() => clearInterval(flood));
      const [reason] = await next(socket, "disconnect");
      assert.equal(reason, "io server disconnect", "the client does not reconnect by itself");
      assert.equal(socket.active ?? false, false);
    });

    test(`a full room is reported, and the client may retry: ${over}`, TIMEOUT, async (t) => {
      const room = `battle-${rooms++}`;
      const first = enter(room);
      t.after(() => first.disconnect());
      await next(first, "connect");
      await retries(t, enter(room), () => first.disconnect());
    });

    test(`a full server is reported, and the client may retry: ${over}`, TIMEOUT, async (t) => {
      const small = await startServer({ args: ["--connections-max", "1"] });
      t.after(small.stop);
      const bot = await joinBot(small.ws);
      await retries(t, io(small.base, { transports, forceNew: true }), bot.leave);
    });
  }
}
