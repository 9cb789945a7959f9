// Connection state recovery with the official clients in Node, over every transport.
import { test } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";
import { CLIENTS, TIMEOUT, TRANSPORTS } from "./clients.mjs";
import { startCuttingProxy } from "./cutting-proxy.mjs";
import { joinBot, metric, startServer, until } from "./harness.mjs";

const require = createRequire(import.meta.url);

const AUTH = { room: "arena", rules: "battle", name: "Ann" };

async function ownServer(t, args = ["--recovery"]) {
  const server = await startServer({ args });
  t.after(async () => assert.equal(await server.stop(), 0, "the server ends cleanly"));
  return server;
}

// A client, its events, and what it knows of the others. It reconnects when the test says so.
async function join(t, io, url, transports, auth = AUTH) {
  const socket = io(url, { transports, auth, forceNew: true, reconnection: false });
  t.after(() => socket.disconnect());
  const events = [];
  socket.onAny((name, ...all) => events.push([name, ...all]));
  const player = { socket, events, players: {}, transports };
  socket.on("connect", () => {
    if (!socket.recovered) player.players = {};
  });
  socket.on("new_player", ({ id, position }) => (player.players[id] = position));
  socket.on("player_moved", ({ id, position }) => {
    player.players[id] = { ...player.players[id], ...position };
  });
  socket.on("player_left", ({ id }) => delete player.players[id]);
  const placed = () => events.some(([name, { id }]) => name === "player_moved" && id === socket.id);
  await until(placed, "the first state");
  await upgraded(player);
  return player;
}

// A client whose WebSocket breaks during the upgrade does not notice before its next ping is late:
// it has stopped polling (engine.io-client 6.6.8).
async function upgraded({ socket, transports }) {
  const last = transports.at(-1);
  await until(() => socket.io.engine.transport.name === last, "the upgrade");
}

// The events that are sent again, after the one with an offset.
function facts({ events }, offset) {
  const all = events.filter((event) => typeof event.at(-1) === "string");
  return all.slice(all.findIndex((event) => event.at(-1) === offset) + 1);
}

// A client that polls has no connection between two polls, so once may not be enough.
async function noticed({ socket }, lose) {
  const isLost = () => {
    if (socket.connected) lose();
    return !socket.connected;
  };
  await until(isLost, "the client notices");
}

async function isLost(server, player, lose) {
  await noticed(player, lose);
  const absent = () => metric(server, "skirmish_players_absent");
  await until(async () => (await absent()) === 1, "the server notices");
}

async function comesBack(player) {
  const connected = once(player.socket, "connect");
  player.socket.connect();
  await connected;
  await upgraded(player);
}

// A player joins, and leaves.
async function visit(server, eve, name) {
  const visitor = await joinBot(`${server.ws}?room=arena&name=${name}`);
  const id = String(visitor.id);
  await visitor.leave();
  const has = (event) => facts(eve).some(([one, data]) => one === event && data.id === id);
  await until(() => has("new_player") && has("player_left"), `${name} came and left`);
}

const { io } = require("socket.io-client");

for (const transports of TRANSPORTS) {
  const over = `over ${transports.join(" and then ")}`;

  async function annAndEve(t) {
    const server = await ownServer(t);
    const proxy = await startCuttingProxy(server.port);
    t.after(proxy.close);
    const eve = await join(t, io, server.base, ["websocket"], { ...AUTH, name: "Eve" });
    const ann = await join(t, io, proxy.base, transports);
    return { server, proxy, ann, eve };
  }

  test(`a client recovers, with what it has missed: ${over}`, TIMEOUT, async (t) => {
    const { server, proxy, ann, eve } = await annAndEve(t);
    const { id } = ann.socket;
    assert.equal(ann.socket.recovered, false);
    const first = ann.events.findLast((event) => typeof event.at(-1) === "string").at(-1);
    const position = { ...ann.players[id] };
    // By the network, and as the documentation of the client suggests.
    for (const lose of [proxy.cut, () => ann.socket.io.engine.close(), proxy.cut]) {
      await isLost(server, ann, lose);
      const before = ann.events.length;
      await visit(server, eve, "Ben");
      await visit(server, eve, "Cid");
      await comesBack(ann);
      assert.equal(ann.socket.recovered, true);
      assert.equal(ann.socket.id, id);
      await visit(server, eve, "Dan");
      await until(() => facts(ann, first).at(-1)?.at(-1) === facts(eve).at(-1).at(-1), "the last");
      const since = ann.events.slice(before).map(([name]) => name);
      assert.ok(!since.includes("rules"), "it goes on");
    }
    // Each once and in order, as the one that was always there has them.
    const tickOf = (event) => Number(event.at(-1).split(".")[0]);
    const wanted = facts(eve).filter((event) => tickOf(event) >= tickOf([first]));
    assert.ok(wanted.length >= 18, "nine visits");
    assert.deepEqual(facts(ann, first), wanted);
    await until(() => ann.players[id].x === position.x, "its state");
    assert.deepEqual(Object.keys(ann.players).sort(), Object.keys(eve.players).sort());
    const left = eve.events.filter(([name, data]) => name === "player_left" && data.id === id);
    assert.deepEqual(left, [], "Eve never saw Ann leave");
    assert.equal(await metric(server, "skirmish_recoveries_total"), 3);
  });

  test(`without its private id, or its offset, it has not recovered: ${over}`, TIMEOUT,
    async (t) => {
      const { server, proxy, ann, eve } = await annAndEve(t);
      const { id } = ann.socket;
      await isLost(server, ann, proxy.cut);
      await visit(server, eve, "Ben");
      ann.socket._lastOffset = undefined;
      await comesBack(ann);
      assert.equal(ann.socket.recovered, false);
      assert.equal(ann.socket.id, id, "it has its player");
      await until(() => Object.keys(ann.players).length === 2, "all players again");

      await isLost(server, ann, proxy.cut);
      ann.socket._pid = "0".repeat(40);
      await comesBack(ann);
      assert.equal(ann.socket.recovered, false);
      assert.notEqual(ann.socket.id, id);
      await until(() => Object.keys(ann.players).length === 3, "all players, the lost one, too");
    });

  test(`a client that disconnects does not come back: ${over}`, TIMEOUT, async (t) => {
    const { server, ann } = await annAndEve(t);
    const { id } = ann.socket;
    ann.socket.disconnect();
    await until(async () => (await metric(server, "skirmish_players")) === 1, "its player leaves");
    await comesBack(ann);
    assert.equal(ann.socket.recovered, false);
    assert.notEqual(ann.socket.id, id);
  });
}

test("a client that reconnects by itself recovers", TIMEOUT, async (t) => {
  const server = await ownServer(t);
  const proxy = await startCuttingProxy(server.port);
  t.after(proxy.close);
  const ann = await join(t, io, proxy.base, ["polling", "websocket"]);
  const { socket } = ann;
  socket.io.reconnection(true);
  const { id } = socket;
  for (let time = 0; time < 3; time++) {
    const connected = once(socket, "connect");
    await noticed(ann, proxy.cut);
    await connected;
    await upgraded(ann);
    assert.deepEqual([socket.recovered, socket.id], [true, id]);
  }
});

test("without the flag nothing recovers", TIMEOUT, async (t) => {
  const server = await ownServer(t, []);
  const ann = await join(t, io, server.base, ["websocket"]);
  const { id } = ann.socket;
  ann.socket.io.engine.close();
  await until(async () => (await metric(server, "skirmish_players")) === 0, "its player leaves");
  await comesBack(ann);
  assert.equal(Boolean(ann.socket.recovered), false);
  assert.notEqual(ann.socket.id, id);
  assert.ok(ann.events.every((event) => event.length === 2), "no offsets");
});

for (const client of CLIENTS) {
  const { version } = require(`${client}/package.json`);
  test(`events have one more argument: ${version}`, TIMEOUT, async (t) => {
    const server = await ownServer(t);
    const eve = await join(t, require(client).io, server.base, ["websocket"]);
    await visit(server, eve, "Ben");
    for (const [name, data, ...more] of eve.events) {
      assert.equal(typeof data, "object");
      if (["new_player", "player_left"].includes(name)) assert.match(more.join(), /^\d+\.\d+$/);
      if (["rules", "room"].includes(name)) assert.ok(more.length <= 1);
    }
    assert.deepEqual(Object.keys(eve.players), [eve.socket.id]);
  });
}
