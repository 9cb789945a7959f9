// What is drawn of the bodies in skirmish.v1, without a browser: over a model of the network.
import { test } from "node:test";
import assert from "node:assert/strict";
import v8 from "node:v8";
import vm from "node:vm";
import { loadParts } from "./harness.mjs";
import { createRandom, createPipe } from "./v1-model.mjs";

const { createV1View, createV1Clock, createV1Walker } = loadParts(
  "shared/v1-step.js", "shared/v1-list.js", "shared/v1-clock.js", "shared/v1-view.js");
const TERMS = {
  walls: [10, 10, 15990, 15990], step: 10, tick_ms: 50, cell: 512, columns: 32,
  fields: [{ name: "hp", width: "u8" }, { name: "gold", width: "u16", owner: true }],
};
const NONE = 0, DOWN = 2, RIGHT = 4, TELEPORTED = 32;

const cellOf = (x, y) => Math.floor(y / 512) * 32 + Math.floor(x / 512);

// What a client has after a tick: lists of bodies in some cells.
function replicaOf(tick, bodies, cells = new Set(bodies.map(({ x, y }) => cellOf(x, y)))) {
  const lists = new Map();
  for (const cell of cells) {
    const some = bodies.filter(({ x, y }) => cellOf(x, y) === cell)
      .sort((one, other) => one.slot - other.slot);
    lists.set(cell, {
      count: some.length, tick,
      id: Uint16Array.from(some, ({ slot }) => slot),
      generation: Uint8Array.from(some, ({ generation = 0 }) => generation),
      x: Uint16Array.from(some, ({ x }) => x), y: Uint16Array.from(some, ({ y }) => y),
      state: Uint8Array.from(some, ({ state = 0 }) => state),
      values: Int32Array.from(some, ({ hp = 100 }) => hp),
    });
  }
  return { head: { tick: tick >>> 0 }, cells: lists };
}

// The bodies that are drawn, by slot.
function read(view, now) {
  const { count, row, slot, generation, x, y, state } = view.sample(now);
  const seen = new Map();
  for (let at = 0; at < count; at++) {
    assert.ok(!seen.has(slot[at]), "no body is drawn twice");
    const hp = view.values[row[at] * view.fields];
    seen.set(slot[at], { generation: generation[at], x: x[at], y: y[at], state: state[at], hp });
  }
  return seen;
}

// Plays ticks of a world over a network. `world(tick)` is its bodies, or null if nothing is sent.
// `look` gets the drawn bodies of each frame, the time and the server's tick with its fraction.
function play({ ticks, world, look, jitterMs = 0, stall = () => 0, seed = 1, first = 2 ** 32 - 20,
  cells }) {
  const view = createV1View(TERMS);
  const pipe = createPipe({ delayMs: 50, jitterMs, stall, random: createRandom(seed) });
  let frameAt = 100;
  for (let now = 0; now < ticks * 50; now++) {
    if (now % 50 === 0) {
      const bodies = world(now / 50);
      if (bodies !== null) pipe.send(replicaOf(first + now / 50, bodies, cells), now);
    }
    for (const replica of pipe.due(now)) view.take(replica, now);
    if (now >= frameAt) {
      frameAt += 16.7;
      look(read(view, now), now, now / 50, view);
    }
  }
  return view;
}

const runner = (tick) => [{ slot: 7, x: 100 + 10 * tick, y: 200, state: RIGHT }];

test("on a regular network bodies are drawn one tick behind, at their pace", () => {
  let last = null;
  const view = play({
    ticks: 100, world: runner,
    look(seen, now) {
      if (now < 300) return;
      const { x } = seen.get(7);
      if (last !== null) {
        const pace = (x - last.x) / (now - last.now);
        assert.ok(pace > 0.17 && pace < 0.23, `${pace} units a ms`);
      }
      last = { x, now };
    },
  });
  assert.ok(view.clock.jitterMs() <= 1);
  assert.ok(view.clock.delayMs() > 50 && view.clock.delayMs() < 60, `${view.clock.delayMs()} ms`);
  assert.ok(view.clock.viewAge() > 0 && view.clock.viewAge() < 1.5);
});

test("the delay follows the jitter, and bodies keep their pace", () => {
  let from = 0, most = 0;
  let last = null;
  const delays = [];
  const pipeJitter = 120;
  play({
    ticks: 1200, world: runner, jitterMs: pipeJitter,
    look(seen, now, tick, view) {
      const { x } = seen.get(7);
      if (now > 5000) {
        if (last !== null) {
          const pace = (x - last.x) / (now - last.now);
          assert.ok(pace >= 0, "never back");
          if (pace > 0.25) from++;
          most = Math.max(most, pace);
        }
        delays.push(view.clock.delayMs());
      }
      last = { x, now };
    },
  });
  assert.ok(most < 0.85, `${most} units a ms`);
  assert.ok(from < 20, `${from} frames are much faster`);
  assert.ok(Math.min(...delays) > 100, `${Math.min(...delays)}`);
  assert.ok(Math.max(...delays) < 200, `${Math.max(...delays)}`);
});

test("the delay grows at once and falls slowly", () => {
  const clock = createV1Clock(50);
  let tick = 2 ** 32 - 5;
  const take = (count, late) => {
    for (let index = 0; index < count; index++, tick++) {
      clock.receive(tick >>> 0, tick * 50 + late(index));
    }
  };
  take(100, () => 0);
  assert.equal(clock.delayMs(), 54);
  take(20, (index) => (index % 2) * 100);
  assert.ok(clock.delayMs() > 120, `${clock.delayMs()}`);
  // The jitter is over, but the last seconds still have it.
  take(60, () => 0);
  assert.ok(clock.delayMs() > 120, `${clock.delayMs()}`);
  take(40, () => 0);
  const falling = clock.delayMs();
  assert.ok(falling > 80, `${falling}`);
  take(100, () => 0);
  assert.ok(clock.delayMs() < 80);
  take(1000, () => 0);
  assert.equal(clock.delayMs(), 54);
  // Ticks of a server that was restarted.
  const newest = clock.newest();
  clock.receive(3, 10_000_000);
  assert.ok(clock.newest() < newest);
  assert.ok(Math.abs(clock.sample(10_000_000) - clock.newest()) < 2);
});

test("a stall is caught up with, and old seconds are never played", () => {
  for (const stallMs of [200, 400, 1000, 5000]) {
    const until = 5000 + stallMs;
    const stall = (now) => (now >= 5000 && now < until ? until - now : 0);
    let last = 0;
    let stood = 0;
    play({
      ticks: 300, world: runner, stall,
      look(seen, now, tick) {
        const { x } = seen.get(7);
        const drawnTick = (x - 100) / 10;
        if (now > 1000) assert.ok(x >= last, "never back");
        if (x === last && now > 1000) stood++;
        last = x;
        if (now > 1000 && now < 5000) assert.ok(tick - drawnTick < 3.5, `${tick - drawnTick}`);
        // The network takes one tick, and the delay another.
        if (now > until + 250 + 50) {
          assert.ok(tick - drawnTick < 6, `${tick - drawnTick} ticks behind at ${now}`);
        }
        if (now > until + 3000) assert.ok(tick - drawnTick < 3.5, `${tick - drawnTick} later`);
      },
    });
    const stands = Math.max(0, stallMs - 500) / 16.7;
    assert.ok(Math.abs(stood - stands) < 12, `${stood} frames stand, expected ${stands}`);
  }
});

test("while nothing is sent, bodies walk on", () => {
  // It turns every second, and then something is sent; otherwise every 500 ms.
  const place = (tick) => {
    const lap = Math.floor(tick / 20);
    const [x, y] = [100 + 10 * 20 * Math.ceil(lap / 2), 200 + 10 * 20 * Math.floor(lap / 2)];
    const steps = 10 * (tick % 20);
    return lap % 2 === 0 ? [x + steps, y] : [x, y + steps];
  };
  const world = (tick) => {
    const [x, y] = place(tick);
    const [nextX] = place(tick + 1);
    const isNews = tick < 40 || tick % 20 === 1 || tick % 10 === 0;
    // The course of a tick is that of the step that led there.
    const [beforeX] = place(Math.max(0, tick - 1));
    const state = x !== beforeX || (tick === 0 && nextX !== x) ? RIGHT : DOWN;
    return isNews ? [{ slot: 7, x, y, state }] : null;
  };
  let furthest = 0;
  play({
    ticks: 400, world,
    look(seen, now) {
      if (now < 500) return;
      const { x, y } = seen.get(7);
      let nearest = Infinity;
      for (let tick = Math.max(0, now / 50 - 8); tick < now / 50; tick += 0.1) {
        const [ax, ay] = place(Math.floor(tick));
        const [bx, by] = place(Math.floor(tick) + 1);
        const part = tick % 1;
        nearest = Math.min(nearest,
          Math.hypot(ax + (bx - ax) * part - x, ay + (by - ay) * part - y));
      }
      furthest = Math.max(furthest, nearest);
    },
  });
  // A turn is known a moment later than the body is drawn there.
  assert.ok(furthest <= 25, `${furthest} units off the way`);
});

test("a body that is put somewhere is not drawn on the way", () => {
  const world = (tick) => [tick < 20 ? { slot: 7, x: 100, y: 100 }
    : { slot: 7, x: 400, y: 400, state: tick === 20 ? TELEPORTED : NONE }];
  const places = new Set();
  play({ ticks: 40, world, look: (seen) => places.add(`${seen.get(7).x},${seen.get(7).y}`) });
  assert.deepEqual([...places], ["100,100", "400,400"]);
});

test("a slot that is used again has another body", () => {
  const world = (tick) => {
    if (tick < 10) return [{ slot: 7, x: 100, y: 100, hp: 10 }];
    if (tick < 15) return [];
    return [{ slot: 7, generation: 1, x: 300, y: 100, hp: 20 }];
  };
  const seen = [];
  play({
    ticks: 40, world, cells: new Set([0]),
    look(bodies) {
      const { generation, x, hp } = bodies.get(7) ?? { generation: null };
      if (seen.at(-1)?.generation !== generation) seen.push({ generation, x, hp });
    },
  });
  assert.deepEqual(seen, [{ generation: 0, x: 100, hp: 10 },
    { generation: null, x: undefined, hp: undefined }, { generation: 1, x: 300, hp: 20 }]);
});

test("a body between two cells is drawn on its course, for 8 ticks at most", () => {
  // It leaves its list at tick 10, at x = 512; or in the middle of its cell, with the game.
  const ticksAfter = (cells, fromX) => {
    const view = createV1View(TERMS);
    let drawn = 0;
    for (let tick = 0; tick < 60; tick++) {
      const body = { slot: 7, x: fromX + 10 * tick, y: 100, state: RIGHT };
      view.take(replicaOf(tick, tick < 10 ? [body] : [], new Set(cells)), tick * 50);
      const seen = read(view, tick * 50).get(7);
      if (seen !== undefined && seen.x > fromX + 90) drawn++;
    }
    return drawn;
  };
  // It is drawn until the tick without it.
  assert.equal(ticksAfter([0], 100), 1);
  assert.equal(ticksAfter([0], 412), 1, "its new cell is not held");
  assert.equal(ticksAfter([0, 1], 412), 9);
});

test("rows are used again", () => {
  const view = createV1View(TERMS);
  for (let tick = 0; tick < 3000; tick++) {
    const body = { slot: tick % 1000, generation: tick & 255, x: 100, y: 100 };
    view.take(replicaOf(tick, [body], new Set([0])), tick * 50);
    assert.ok(view.sample(tick * 50).count <= 2);
  }
  assert.equal(view.values.length, 256, "256 rows are enough");
});

test("a page draws while anything moves, and no longer", () => {
  const world = (tick) => [{ slot: 7, x: 100 + 10 * Math.min(20, tick), y: 100,
    state: tick < 20 ? RIGHT : NONE },
  // A body that walks into the wall does not move.
  { slot: 8, x: 15990, y: 100, state: RIGHT }];
  const moving = [];
  play({ ticks: 60, world, look: (_, now, tick, view) => moving.push([tick, view.isMoving()]) });
  assert.ok(moving.every(([tick, isMoving]) => isMoving ? tick < 24 : tick > 20 || tick < 3.2));
});

test("10,000 bodies cost no memory for a frame", () => {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc");
  const view = createV1View(TERMS);
  const walker = createV1Walker();
  walker.begin(TERMS.walls, TERMS.step);
  const random = createRandom(1);
  let bodies = Array.from({ length: 10_000 }, (_, slot) => ({
    slot, x: 10 + Math.floor(random() * 15_000), y: 10 + Math.floor(random() * 15_000),
    state: 1 + Math.floor(random() * 4),
  }));
  const replicas = Array.from({ length: 12 }, (_, tick) => {
    bodies = bodies.map((body) => {
      walker.walk(body.x, body.y, body.state, 1);
      return { ...body, x: walker.x, y: walker.y };
    });
    return replicaOf(tick, bodies);
  });
  let now = 0;
  const run = (replica) => {
    view.take(replica, now);
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const end = now + 50; now < end; now += 6.25) {
      if (view.sample(now).count !== 10_000) assert.fail("a body is missing");
    }
    return (process.memoryUsage().heapUsed - before) / 8;
  };
  const used = replicas.map(run);
  // Code that is not compiled yet allocates. Afterwards a byte for each body would be 10,000.
  assert.ok(Math.min(...used) < 1000, `${used} bytes a frame`);
});
