// What the official clients of Socket.IO make of it when the game sends them away, in Node.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { CLIENTS, PATIENCE, TRANSPORTS } from "./conversation.mjs";
import { joinBot, startServer } from "./harness.mjs";

const require = createRequire(import.meta.url);
const next = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...all) => resolve(all)));

let server;
before(async () => (server = await startServer({ args: ["--room-players-max", "1"] })));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

// Finds no place, asks again once `makeRoom` was called, and comes in.
async function asksAgain(t, socket, makeRoom) {
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

    test(`who floods is sent away and stays away: ${over}`, PATIENCE, async (t) => {
      const socket = enter(`battle-${rooms++}`);
      t.after(() => socket.disconnect());
      await next(socket, "connect");
      const flood = setInterval(() => {
        for (let n = 0; n < 40; n++) socket.emit("ping");
      }, 10);
      t.after(() => clearInterval(flood));
      const [reason] = await next(socket, "disconnect");
      assert.equal(reason, "io server disconnect", "after which no client comes back by itself");
      assert.equal(socket.active ?? false, false);
    });

    test(`who finds the room full is told so, and may ask again: ${over}`, PATIENCE, async (t) => {
      const room = `battle-${rooms++}`;
      const first = enter(room);
      t.after(() => first.disconnect());
      await next(first, "connect");
      await asksAgain(t, enter(room), () => first.disconnect());
    });

    test(`who finds the server full is told so, and may ask again: ${over}`, PATIENCE, async (t) => {
      const small = await startServer({ args: ["--connections-max", "1"] });
      t.after(small.stop);
      const bot = await joinBot(small.ws);
      await asksAgain(t, io(small.base, { transports, forceNew: true }), bot.leave);
    });
  }
}
