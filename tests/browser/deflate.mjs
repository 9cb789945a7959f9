// Chromium, Firefox and WebKitGTK in a room of 100 players, with compression (RFC 7692): what they
// receive is what a client without compression receives. It runs alone, as engines.mjs does.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import { gapsIn, lag, startCrowd } from "./crowd.mjs";
import { ENGINES } from "./every-engine.mjs";
import { repository, startServer, until } from "./harness.mjs";
import { startPausingProxy } from "./pausing-proxy.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const LAGGING = "lagging";
const LAGS_MAX = 10;
const AGREED = "permessage-deflate; client_no_context_takeover";

let server;
const browsers = [];
before(async () => {
  server = await startServer({ args: ["--socketio-client", CLIENT] });
  for (const [name, start] of ENGINES) {
    const browser = await start();
    // A proxy for each browser, through which also its pages come: they have the same origin.
    browsers.push({ name, browser, proxy: await startPausingProxy(server.port, LAGGING) });
  }
});
after(async () => {
  await Promise.all(browsers.map(async ({ browser, proxy }) => {
    await browser.close();
    proxy.close();
  }));
  assert.equal(await server.stop(), 0, "the server ends cleanly");
});

// These run in the page. Each connection has a name, and its messages are kept under it.
const DIALECTS = {
  json: {
    crowd: { count: 90, movesPerSecond: 20 },
    ratioMax: 0.1,
    open: ({ name, room }) => {
      const socket = new WebSocket(`ws://${location.host}/ws?room=${room}&name=${name}`);
      const messages = [];
      socket.addEventListener("message", ({ data }) => messages.push(data));
      const send = (type, fields) => socket.send(JSON.stringify({ type, ...fields }));
      (window.links ??= {})[name] = {
        messages,
        rate: (hz) => send("rate", { hz }),
        move: () => send("move", { direction: "UP" }),
        close: () => socket.close(),
      };
    },
    check: (crowd, messages, who) => crowd.checkTexts(messages, who),
    bytes: (message) => message.length,
  },
  socketio: {
    // The clients receive an event for each move.
    crowd: { count: 90, movesPerSecond: 3 },
    // Facts and the first update are not compressed.
    ratioMax: 0.6,
    open: ({ name, room }) => {
      const socket = window.io(location.origin, {
        transports: ["websocket"], forceNew: true, reconnection: false,
        query: { name }, auth: { room, name },
      });
      const messages = [];
      socket.onAny((event, data) => messages.push([event, data.id, data.position]));
      (window.links ??= {})[name] = {
        messages,
        rate: (hz) => socket.emit("rate", { hz }),
        move: () => socket.emit("move", { x: 50, y: 50 }),
        close: () => socket.disconnect(),
      };
    },
    check: (crowd, messages, who) => crowd.checkEvents(messages, who),
    bytes: (message) => JSON.stringify(message).length + '42{"id":"position":}'.length,
  },
};

// A page of a browser that has joined no room of the test, and its connections.
async function openPage({ name: engine, browser, proxy }, dialect, room, crowd) {
  const { open, check, bytes } = DIALECTS[dialect];
  const query = `room=elsewhere&dialect=${dialect}&name=${engine}`;
  const page = await browser.open(`http://127.0.0.1:${proxy.port}/battle.html?${query}`);
  if (dialect === "socketio") await page.waitForFunction(() => typeof window.io === "function");
  const received = {};
  const nameOf = (key) => `${engine}-${key}`;
  const links = {
    page,
    // Reads what connection `key` has received since, and returns the number of all its messages.
    async read(key) {
      const take = (name) => window.links[name].messages.splice(0);
      received[key].push(...await page.evaluate(take, nameOf(key)));
      return received[key].length;
    },
    async join(key) {
      received[key] = [];
      await page.evaluate(open, { name: nameOf(key), room });
      await until(() => links.read(key), `${nameOf(key)} to join`);
      const { offered, agreed } = links.connection(key);
      assert.match(offered, /^permessage-deflate/, engine);
      assert.equal(agreed, AGREED, engine);
    },
    call(key, what, arg = null) {
      const run = ({ name, what, arg }) => void window.links[name][what](arg);
      return page.evaluate(run, { name: nameOf(key), what, arg });
    },
    connection: (key) => proxy.find(`name=${nameOf(key)}`),
    // Compares all that `key` has received. Returns the ticks of the updates.
    async check(key) {
      await links.read(key);
      return check(crowd, received[key], `${nameOf(key)}, ${dialect}`);
    },
    // Bytes on the wire for each byte of the messages.
    ratio: (key) => links.connection(key).received /
      received[key].reduce((sum, message) => sum + bytes(message), 0),
  };
  return links;
}

// Makes a connection of each page lag until `states` updates were skipped.
async function lagAll(all, crowd, states) {
  const gaps = (links) => links.check(LAGGING).then(gapsIn);
  let rest = all;
  for (let lags = 0; rest.length > 0; lags++) {
    assert.ok(lags < LAGS_MAX, `no update was skipped for ${rest.length} browsers`);
    const before = await Promise.all(rest.map(gaps));
    await lag(server, rest.map((links) => links.connection(LAGGING)), states);
    await Promise.all(rest.map(async (links) => {
      const count = await links.read(LAGGING);
      await until(async () => await links.read(LAGGING) > count + 10, "a browser to recover");
    }));
    await crowd.passes(10);
    const after = await Promise.all(rest.map(gaps));
    rest = rest.filter((_, at) => after[at] === before[at]);
  }
}

for (const dialect of Object.keys(DIALECTS)) {
  test(`compressed updates are those of a client without compression, ${dialect}`, async (t) => {
    const room = `battle-${dialect}`;
    const crowd = await startCrowd(server, room, DIALECTS[dialect].crowd);
    t.after(crowd.close);
    const all = await Promise.all(browsers.map((one) => openPage(one, dialect, room, crowd)));
    const each = (run) => Promise.all(all.map(run));

    await each((links) => links.join("steady"));
    await each(async (links, at) => {
      await links.join("seldom");
      await links.call("seldom", "rate", [10, 5, 1][at]);
    });
    await crowd.passes(40);
    await each((links) => links.join("late"));
    await each((links) => links.join(LAGGING));
    await each((links) => links.join("returning"));
    // Compressed messages of the browsers.
    for (let moves = 0; moves < 10; moves++) {
      await each((links) => links.call("late", "move"));
    }
    // Some updates are skipped, and then more than an update may refer back over.
    for (const states of [3, 25]) await lagAll(all, crowd, states);
    await each(async (links) => {
      await links.check("returning");
      await links.call("returning", "close");
      await links.join("returning");
    });
    await crowd.passes(40);

    await each(async (links, at) => {
      const { name } = browsers[at];
      for (const [key, least] of
        [["steady", 80], ["late", 60], [LAGGING, 30], ["returning", 20], ["seldom", 4]]) {
        await until(async () => (await links.check(key)).length >= least,
          `${name} ${key}: ${least} updates`);
      }
      const ratio = links.ratio("steady");
      assert.ok(ratio < DIALECTS[dialect].ratioMax, `${name}: ${ratio} of the bytes`);
      await links.page.close();
    });
  });
}
