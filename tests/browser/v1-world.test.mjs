// Sessions of skirmish.v1 without a browser on a real server, on a map with many cells.
import { test } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";
import { loadParts, startServer, until } from "./harness.mjs";

const { createV1Session, createCellsSource, indexInCrowd, FACINGS } = loadParts(
  "shared/rtts.js", "shared/v1-messages.js", "shared/v1-step.js", "shared/v1-list.js",
  "shared/v1.js", "shared/v1-clock.js", "shared/v1-view.js", "shared/v1-predict.js",
  "shared/v1-roster.js", "shared/v1-session.js", "world/crowd.js", "world/cells.js");
const RESYNC = 0x11;

// A player in the room `world`.
async function join(server, name) {
  const socket = new WebSocket(`${server.ws}?name=${name}`, "skirmish.v1");
  socket.binaryType = "arraybuffer";
  const player = { resyncs: 0, ticks: 0, cells: new Set(), socket };
  const session = (player.session = createV1Session({
    send(message) {
      if (message[0] === RESYNC) player.resyncs++;
      if (socket.readyState === WebSocket.OPEN) socket.send(message.slice());
    },
    welcome() {},
    rtt() {},
    tick() {
      player.ticks++;
      for (const cell of session.replica.cells.keys()) player.cells.add(cell);
    },
  }));
  socket.on("message", (data) => session.receive(data, performance.now()));
  await once(socket, "open");
  player.timer = setInterval(() => session.run(performance.now()), 10);
  await until(() => player.ticks > 2, "ticks");
  return player;
}

// The own body in the lists of a session.
function own({ session }) {
  const { slot } = session.welcome();
  for (const list of session.replica.cells.values()) {
    const index = list.id.subarray(0, list.count).indexOf(slot);
    if (index >= 0) return { x: list.x[index], y: list.y[index] };
  }
  return null;
}

test("sessions walk through the cells of a world, and never lose the server's state", async (t) => {
  const server = await startServer({ args: ["--map", "2100x2100"] });
  const players = await Promise.all(["Ann", "Bob", "Cid"].map((name) => join(server, name)));
  t.after(async () => {
    for (const { socket, timer } of players) {
      clearInterval(timer);
      socket.terminate();
    }
    await server.stop();
  });
  const [first] = players;
  assert.equal(first.session.welcome().rules, "world");
  assert.ok(first.session.welcome().columns > 1);
  // To the upper left corner, and from there along the upper wall, each at its own time.
  for (const [direction, axis, goal] of [["LEFT", "x", 10], ["UP", "y", 10], ["RIGHT", "x", 800]]) {
    await Promise.all(players.map(async (player) => {
      const { session } = player;
      session.hold(direction, performance.now());
      await until(() => direction === "RIGHT" ? session.replica.head[axis] >= goal
        : session.replica.head[axis] === goal, `${direction} to ${goal}`);
      session.hold(null, performance.now());
    }));
  }
  // The lists agree with HEAD, and each player sees all others.
  await until(() => players.every((player) => {
    const place = own(player);
    const { x, y } = player.session.replica.head;
    return place !== null && place.x === x && place.y === y;
  }), "the own places");
  await until(() => players.every(({ session }) => {
    const { count, slot, generation } = session.view().sample(performance.now());
    return count === 3 && [0, 1, 2].every((at) => session.player(slot[at], generation[at]) !== null);
  }), "all players are drawn, with names");
  for (const { cells, resyncs } of players) {
    assert.ok(cells.size >= 6, `${cells.size} cells`);
    assert.equal(resyncs, 0);
  }
});

test("bodies look where their courses lead, and those of other dialects where they step", async (t) => {
  const server = await startServer({ args: ["--map", "1024x768"] });
  const [ann, bob] = await Promise.all(["Ann", "Bob"].map((name) => join(server, name)));
  const cid = new WebSocket(`${server.ws}?name=Cid&room=world`);
  t.after(async () => {
    for (const { socket, timer } of [ann, bob]) {
      clearInterval(timer);
      socket.terminate();
    }
    cid.terminate();
    await server.stop();
  });
  const step = (direction) => () => cid.send(JSON.stringify({ type: "move", direction }));
  await once(cid, "open");
  const source = createCellsSource(ann.session, () => {});
  const lookOf = (name) => {
    source.sample(performance.now());
    const player = source.players().find((one) => one.name === name);
    const index = player === undefined ? -1 : indexInCrowd(source.crowd, player.key);
    return index < 0 ? null : FACINGS[source.crowd.look[index]];
  };
  await until(() => lookOf("Ann") && lookOf("Bob") && lookOf("Cid"), "all three, with names");
  for (const direction of ["LEFT", "UP", "RIGHT", "DOWN"]) {
    bob.session.hold(direction, performance.now());
    const timer = setInterval(step(direction), 50);
    try {
      await until(() => lookOf("Bob") === direction && lookOf("Cid") === direction, direction);
    } finally {
      clearInterval(timer);
    }
    // One that stops looks on.
    bob.session.hold(null, performance.now());
    assert.equal(lookOf("Bob"), direction);
  }
});
