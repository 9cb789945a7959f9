// What the official clients of Socket.IO make of it when the game sends them away, in Node.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { CLIENTS, PATIENCE, TRANSPORTS } from "./conversation.mjs";
import { startServer } from "./harness.mjs";

const require = createRequire(import.meta.url);
const next = (emitter, event) =>
  new Promise((resolve) => emitter.once(event, (...all) => resolve(all)));

let server;
before(async () => (server = await startServer({ args: ["--room-players-max", "1"] })));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

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
      const second = enter(room);
      t.after(() => second.disconnect());
      const [error] = await next(second, "connect_error");
      assert.equal(error.message, "full");
      assert.ok(error.data.retry_ms >= 500, `${error.data.retry_ms} ms`);
      const left = next(first, "disconnect");
      first.disconnect();
      assert.deepEqual((await left)[0], "io client disconnect");
      // The server may hear of it a moment later.
      const again = setInterval(() => second.connected || second.connect(), 100);
      t.after(() => clearInterval(again));
      await next(second, "connect");
    });
  }
}
