// The official clients of Socket.IO in Node, over every transport, against `--echo`.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import {
  exchange, assertExchange, FLAGS, AUTH, CLIENTS, TIMEOUT, TRANSPORTS,
} from "./clients.mjs";
import { metric, startServer, until } from "./harness.mjs";

const require = createRequire(import.meta.url);

let server;
before(async () => (server = await startServer({ args: FLAGS })));
after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));

// Whose clients do not wait long for a ping.
const SHORT_TIMEOUT = ["--echo", "--ping-interval-ms", "300", "--ping-timeout-ms", "1500"];

const sessions = (of) => metric(of, "skirmish_engine_sessions");

for (const client of CLIENTS) {
  const { io } = require(client);
  const { version } = require(`${client}/package.json`);

  for (const transports of TRANSPORTS) {
    const over = `${version} over ${transports.join(" and then ")}`;
    const next = (emitter, event) =>
      new Promise((resolve) => emitter.once(event, (...all) => resolve(all)));

    // A client that is there, over the last of its transports, and ends with its test.
    async function connect(t, url, options = {}) {
      const socket = io(url, { transports, auth: AUTH, forceNew: true, ...options });
      t.after(() => socket.disconnect());
      const upgraded = transports.length > 1 ? next(socket.io.engine, "upgrade") : null;
      await next(socket, "connect");
      await upgraded;
      return socket;
    }

    // A server that a test may end as it likes.
    async function ownServer(t, options = {}) {
      const own = await startServer({ args: FLAGS, ...options });
      t.after(() => {
        own.signal("SIGCONT");
        return own.stop();
      });
      return own;
    }

    test(`every feature: ${over}`, TIMEOUT, async () => {
      const received = await exchange(io, { url: server.base, transports, auth: AUTH });
      assertExchange(received, transports);
    });

    test(`polls that are answered with nothing: ${over}`, TIMEOUT, async (t) => {
      const args = ["--poll-hold-ms", "100", "--poll-absence-ms", "2000"];
      const own = await ownServer(t, { args });
      const socket = await connect(t, own.base, { reconnection: false });
      let noops = 0;
      socket.io.engine.on("packet", ({ type }) => (noops += type === "noop"));
      if (transports.includes("websocket")) {
        // A WebSocket gets none, also after an upgrade.
        await new Promise((resolve) => socket.emit("ping", resolve));
        return assert.equal(noops, 0);
      }
      await until(() => noops >= 25, "25 empty polls");
      assert.equal(socket.connected, true);
      assert.equal(await sessions(own), 1);
    });

    test(`many messages keep their order: ${over}`, TIMEOUT, async (t) => {
      const socket = io(server.base, { transports, forceNew: true, reconnection: false });
      t.after(() => socket.disconnect());
      const count = 300;
      const received = [];
      const all = new Promise((resolve) => socket.on("message-back", (number, bytes) => {
        assert.equal(bytes === undefined, number % 3 !== 0);
        if (bytes !== undefined) assert.deepEqual(Array.from(bytes), [number % 256]);
        if (received.push(number) === count) resolve();
      }));
      await next(socket, "connect");
      // Some before the upgrade, some during it.
      for (let number = 0; number < count; number++) {
        const binary = number % 3 === 0 ? [Buffer.from([number % 256])] : [];
        socket.emit("message", number, ...binary);
        if (number % 30 === 0) await new Promise(setImmediate);
      }
      await all;
      assert.deepEqual(received, Array.from({ length: count }, (_, number) => number));
    });

    test(`a disconnect leaves nothing behind: ${over}`, TIMEOUT, async (t) => {
      const own = await ownServer(t);
      const socket = await connect(t, own.base);
      assert.equal(await sessions(own), 1);
      const gone = next(socket, "disconnect");
      socket.disconnect();
      assert.deepEqual((await gone)[0], "io client disconnect");
      await until(async () => (await sessions(own)) === 0, "the session ends");
      const again = next(socket, "auth");
      socket.connect();
      assert.deepEqual((await again)[0], AUTH);
    });

    test(`the client comes back to a server that was restarted: ${over}`, TIMEOUT, async (t) => {
      const first = await startServer({ args: FLAGS });
      t.after(first.stop);
      const socket = await connect(t, first.base, {
        reconnectionDelay: 20, reconnectionDelayMax: 100,
      });
      const lost = next(socket, "disconnect");
      assert.equal(await first.stop(), 0);
      assert.match((await lost)[0], /^transport (close|error)$/);
      const back = next(socket, "auth");
      await ownServer(t, { port: first.port });
      assert.deepEqual((await back)[0], AUTH);
      const answer = next(socket, "message-back");
      socket.emit("message", "again");
      assert.deepEqual(await answer, ["again"]);
    });

    test(`the client notices a server that is stopped: ${over}`, TIMEOUT, async (t) => {
      const own = await ownServer(t, { args: SHORT_TIMEOUT });
      const socket = await connect(t, own.base, { reconnection: false });
      const lost = next(socket, "disconnect");
      own.signal("SIGSTOP");
      assert.equal((await lost)[0], "ping timeout");
      own.signal("SIGCONT");
      await until(async () => (await sessions(own)) === 0, "the server notices, too");
    });

    test(`the client notices a server that was killed: ${over}`, TIMEOUT, async (t) => {
      const own = await ownServer(t);
      const socket = await connect(t, own.base, { reconnection: false });
      const lost = next(socket, "disconnect");
      own.signal("SIGKILL");
      assert.match((await lost)[0], /^transport (close|error)$/);
    });
  }
}

test("a client of an older protocol gets an error", TIMEOUT, async () => {
  const answer = await fetch(`${server.base}socket.io/?EIO=3&transport=polling`);
  assert.equal(answer.status, 400);
  assert.equal((await answer.json()).code, 5);
});
