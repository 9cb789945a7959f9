// A room full of players that move, a plain client that sees all of it, and the
// checks that other clients of the room have received the same.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";
import { metric, until } from "./harness.mjs";

const DIRECTIONS = ["UP", "DOWN", "LEFT", "RIGHT"];
const TICK_MS = 50;
const ATTACKS_ONE_IN = 20;

// The tick of a `state_update`, or null for another message.
export function tickOf(text) {
  if (!text.startsWith('{"type":"state_update"')) return null;
  return Number(/"tick":(\d+)[^[\]]*$/.exec(text)[1]);
}

// A WebSocket without compression.
async function open(url) {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, "open");
  assert.equal(socket.extensions, "");
  return socket;
}

// Players that make this number of moves a second, and attack now and then.
async function startPlayers(url, count, movesPerSecond) {
  const sockets = [];
  while (sockets.length < count) {
    sockets.push(...await Promise.all(Array.from({ length: 10 }, () => open(url))));
  }
  for (const socket of sockets) {
    // They do not look at what they receive.
    socket.send('{"type":"rate","hz":1}');
    socket.on("message", () => {});
  }
  const random = (count) => Math.floor(Math.random() * count);
  const timer = setInterval(() => {
    for (const socket of sockets) {
      if (Math.random() * 1000 >= movesPerSecond * TICK_MS) continue;
      const direction = DIRECTIONS[random(DIRECTIONS.length)];
      socket.send(`{"type":"move","direction":"${direction}"}`);
      if (random(ATTACKS_ONE_IN) === 0) socket.send('{"type":"attack"}');
    }
  }, TICK_MS);
  return {
    close() {
      clearInterval(timer);
      sockets.forEach((socket) => socket.terminate());
    },
  };
}

// A hash of the place of one player. That of a state is the exclusive or of those of its players.
function hashOf(id, { x, y }) {
  const text = `${id} ${x} ${y}`;
  let hash = hashes.get(text);
  if (hash === undefined) {
    hash = createHash("sha1").update(text).digest().readBigUInt64LE();
    hashes.set(text, hash);
  }
  return hash;
}
const hashes = new Map();

// Joins a room of `server` with `count` moving players and one observer.
export async function startCrowd(server, room, { count, movesPerSecond }) {
  const url = `${server.ws}?room=${room}`;
  const texts = new Map();
  const ticksByHash = new Map();
  const pongs = new Map();
  let pings = 0;
  let newest = 0;
  let missed = 0;
  const observer = await open(`${url}&name=Observer`);
  observer.on("message", (data) => {
    const text = String(data);
    const tick = tickOf(text);
    if (tick === null) {
      const { type, t, tick } = JSON.parse(text);
      if (type === "pong") pongs.set(t, tick);
      return;
    }
    if (newest > 0) missed += tick - newest - 1;
    texts.set(tick, text);
    newest = tick;
    let hash = 0n;
    for (const { id, ...place } of JSON.parse(text).players) hash ^= hashOf(id, place);
    ticksByHash.set(hash, tick);
  });
  const players = await startPlayers(url, count, movesPerSecond);
  await until(() => newest > 0, "the first state");

  // Waits until the observer has received what anyone has received before the call.
  async function catchUp() {
    const t = pings++;
    observer.send(JSON.stringify({ type: "ping", t }));
    await until(() => newest >= pongs.get(t), "the observer");
  }

  return {
    // The ticks that the observer has not received.
    missed: () => missed,
    passes: (ticks, from = newest) => until(() => newest >= from + ticks, `${ticks} ticks`),
    close() {
      players.close();
      observer.terminate();
    },

    // Checks the messages of a JSON client, oldest first. Returns the ticks that were compared.
    async checkTexts(messages, who) {
      const states = messages.map((text) => [tickOf(text), text]).filter(([tick]) => tick !== null);
      await catchUp();
      states.forEach(([tick], at) =>
        assert.ok(at === 0 || tick > states[at - 1][0], `${who}: ticks go back to ${tick}`));
      const known = states.filter(([tick]) => texts.has(tick));
      // `assert.equal` would compute a long difference.
      for (const [tick, text] of known) {
        assert.ok(text === texts.get(tick), `${who}, tick ${tick}:\n${text}\n${texts.get(tick)}`);
      }
      return known.map(([tick]) => tick);
    },

    // Checks the events of a Socket.IO client, `[name, id, position]`, oldest first. An update
    // names each player at most once, and the places after it are those of one tick. Returns the
    // ticks that were reached.
    async checkEvents(events, who) {
      await catchUp();
      const places = new Map();
      let moved = new Set();
      let hash = 0n;
      const unmatched = [];
      const ticks = [];
      for (const [name, id, position] of events) {
        const isMove = name === "player_moved";
        const isPlaced = isMove || name === "new_player";
        if (!isPlaced && name !== "player_left") continue;
        // Health may change alone.
        const old = places.get(id);
        if (isMove && old?.x === position.x && old?.y === position.y) continue;
        if (isMove && moved.has(id)) {
          unmatched.push(`after tick ${ticks.at(-1) ?? 0}`);
          moved = new Set();
        }
        if (isMove) moved.add(id);
        if (old !== undefined) hash ^= hashOf(id, old);
        if (isPlaced) {
          places.set(id, position);
          hash ^= hashOf(id, position);
        } else {
          places.delete(id);
        }
        const tick = ticksByHash.get(hash);
        if (tick !== undefined && tick > (ticks.at(-1) ?? 0)) {
          ticks.push(tick);
          moved = new Set();
        }
      }
      assert.ok(unmatched.length <= missed,
        `${who}: ${ticks.length} updates match, and these do not: ${unmatched.join("; ")}`);
      return ticks;
    },
  };
}

// The number of times that ticks were skipped.
export const gapsIn = (ticks) =>
  ticks.filter((tick, at) => at > 0 && tick > ticks[at - 1] + 1).length;

// Holds connections of proxies until the server has skipped `states` states for each of them, if it
// has skipped none for others.
export async function lag(server, connections, states) {
  const skipped = () => metric(server, "skirmish_snapshots_skipped_total");
  const before = await skipped();
  for (const connection of connections) connection.hold();
  const enough = before + states * connections.length;
  await until(async () => await skipped() >= enough, "skipped states");
  for (const connection of connections) connection.release();
}
