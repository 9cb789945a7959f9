// Prediction in skirmish.v1 without a browser: with a model of the server and of the network, and
// with the steps that the Rust tests write (tests/it/v1/steps.rs).
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { loadParts, repository } from "./harness.mjs";
import { createRandom, createV1Server, createPipe } from "./v1-model.mjs";

const { createV1Walker, createV1Prediction, createRtts } = loadParts(
  "shared/rtts.js", "shared/v1-step.js", "shared/v1-predict.js");
const TERMS = { walls: [10, 10, 490, 490], step: 10, tick_ms: 50 };

test("a walk leads where it leads on the server", () => {
  const file = path.join(repository, "tests", "golden", "v1", "steps.txt");
  const walker = createV1Walker();
  let place = null;
  let count = 0;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const numbers = line.split(" ").map(Number).filter((number) => !Number.isNaN(number));
    if (line.startsWith("walls ")) {
      const [left, top, right, bottom, step, x, y] = numbers;
      walker.begin([left, top, right, bottom], step);
      place = { x, y };
    } else if (line.startsWith("course ")) {
      const [course, steps, x, y] = numbers;
      walker.walk(place.x, place.y, course, steps);
      assert.deepEqual([walker.x, walker.y], [x, y], line);
      for (let one = 0; one < steps; one++) {
        walker.walk(place.x, place.y, course, 1);
        place = { x: walker.x, y: walker.y };
      }
      assert.deepEqual(place, { x, y }, `${line}, one at a time`);
      count++;
    }
  }
  assert.ok(count > 200, `${count} walks`);
});

// Plays for some seconds, with keys that change at random. Returns what the player saw.
function play({ rttMs, jitterMs = 0, stall = () => 0, seconds = 60, seed = 1, frameMs = 16.7,
  keyMs = 700, clock = 1, phase = 13, isQuiet = false,
  isPageBusy = () => false, isServerBusy = () => false }) {
  const random = createRandom(seed);
  const server = createV1Server(TERMS, { x: 250, y: 250 });
  const up = createPipe({ delayMs: rttMs / 2, jitterMs, stall, random });
  const down = createPipe({ delayMs: rttMs / 2, jitterMs, stall, random });
  let now = 0;
  const prediction = createV1Prediction(TERMS, (keys) => up.send({ ...keys }, now));
  const seen = { errors: [], jump: 0, late: 0, inputs: 0, drawn: null, prediction, server,
    early: [] };
  const rtts = createRtts();
  let keyAt = 3000, held = 0, frameAt = 0, drawnAt = 0, tickAt = phase, last = null;
  // The server sends all ticks, or those on which a course has changed.
  let ticks = 0, sentTick = 0, course = 0;
  let pingAt = 500;
  for (now = 0; now < seconds * 1000; now++) {
    if (isServerBusy(now)) {
      // Late ticks are swallowed.
      while (now >= tickAt) tickAt += 50 * clock;
    }
    for (const message of isServerBusy(now) ? [] : up.due(now)) {
      if (message.pingedAt !== undefined) {
        down.send(message, now);
        continue;
      }
      seen.inputs++;
      if (now > 3000 && server.isLate(message.seq)) seen.late++;
      server.input(message);
      seen.early.push(server.head().lead);
    }
    if (now >= tickAt) {
      tickAt += 50 * clock;
      server.tick();
      ticks++;
      if (!isQuiet || server.course() !== course || ticks % 10 === 0) {
        course = server.course();
        down.send({ ...server.head(), age: ticks - sentTick }, now);
        sentTick = ticks;
      }
    }
    if (isPageBusy(now)) continue;
    if (now >= pingAt) {
      pingAt = now + 1000;
      up.send({ pingedAt: now }, now);
    }
    for (const message of down.due(now)) {
      if (message.pingedAt !== undefined) {
        rtts.add(now - message.pingedAt);
        continue;
      }
      prediction.setNetwork(rtts.least(), Math.min(120, jitterMs));
      prediction.confirm(message, now);
      if (now > 3000) {
        seen.errors.push(prediction.error());
        seen.ahead = Math.max(seen.ahead ?? 0, prediction.unconfirmed());
      }
    }
    // The last seconds are without keys.
    if (now >= keyAt) {
      const isOver = now > seconds * 1000 - 3000;
      held = isOver || held !== 0 && random() < 0.4 ? 0 : 1 + Math.floor(random() * 4);
      prediction.hold(held, now);
      keyAt = now + random() * keyMs;
    }
    // Timers are late by some milliseconds.
    if (now >= prediction.dueAt() + random() * 8) prediction.advance(now);
    if (now >= frameAt) {
      frameAt += frameMs;
      prediction.advance(now);
      const place = prediction.glide(now);
      if (place !== null && last !== null) {
        const way = Math.hypot(place.x - last.x, place.y - last.y);
        const paced = Math.max(1, (now - drawnAt) / 50) * TERMS.step;
        seen.jump = Math.max(seen.jump, way - paced);
      }
      drawnAt = now;
      last = place && { ...place };
    }
  }
  seen.drawn = last;
  return seen;
}

const most = (numbers) => Math.max(0, ...numbers);

function assertSettled({ drawn, server, prediction }) {
  const { x, y } = server.head();
  assert.deepEqual(drawn, { x, y }, "it is drawn where the server has it");
  assert.equal(prediction.isGliding(), false);
}

for (const rttMs of [0, 30, 100, 250, 600]) {
  test(`no prediction error on a clean network of ${rttMs} ms`, () => {
    for (const [seed, phase] of [[1, 0], [2, 17], [3, 33], [4, 49]]) {
      const seen = play({ rttMs, seed, phase });
      assert.equal(most(seen.errors), 0);
      assert.equal(seen.late, 0, "no INPUT is late");
      assert.ok(seen.errors.length > 1000 && seen.inputs > 120, `${seen.inputs} inputs`);
      assert.ok(seen.jump <= 2, `a frame jumps by ${seen.jump}`);
      assertSettled(seen);
    }
  });
}

test("no prediction error if the clocks differ by 1 %", () => {
  for (const clock of [0.99, 1.01]) {
    for (const isQuiet of [false, true]) {
      const seen = play({ rttMs: 100, clock, seconds: 200, isQuiet });
      assert.equal(most(seen.errors), 0);
      assertSettled(seen);
    }
  }
});

test("no prediction error if the server sends few ticks, and the steps do not run ahead", () => {
  for (const keyMs of [700, 5000]) {
    const seen = play({ rttMs: 100, isQuiet: true, keyMs, seconds: 200 });
    assert.equal(most(seen.errors), 0);
    // The round trip is 2 steps, the time in reserve less than 2, and a tick was sent 10 ago.
    assert.ok(seen.ahead <= 14, `${seen.ahead} steps ahead`);
    assertSettled(seen);
  }
});

test("the error is bounded and rare under jitter", () => {
  for (const seed of [1, 2, 3]) {
    const slight = play({ rttMs: 100, jitterMs: 40, seed });
    assert.equal(most(slight.errors), 0, "a step of time is kept in reserve");
    const strong = play({ rttMs: 100, jitterMs: 150, seconds: 120, seed });
    const wrong = strong.errors.filter((error) => error > 0).length / strong.errors.length;
    assert.ok(wrong < 0.03, `${wrong} of the ticks`);
    assert.ok(most(strong.errors) <= 4 * TERMS.step, `${most(strong.errors)} units`);
    for (const seen of [slight, strong]) {
      assert.ok(seen.jump <= 2, `a frame jumps by ${seen.jump}`);
      assertSettled(seen);
    }
  }
});

test("after stalls no frame jumps, and the place is right again", () => {
  for (const [stallMs, frameMs] of [[400, 16.7], [800, 16.7], [1500, 16.7], [800, 70]]) {
    const stall = (now) => (now % 6000 > 5000 ? Math.max(0, 5000 + stallMs - now % 6000) : 0);
    const seen = play({ rttMs: 100, stall, frameMs, seconds: 63 });
    assert.ok(most(seen.errors) <= (stallMs / 50 + 2) * 2 * TERMS.step, `${most(seen.errors)}`);
    assert.ok(seen.jump <= 2, `a frame jumps by ${seen.jump}`);
    assertSettled(seen);
  }
});

test("on a busy machine the steps do not run ahead", () => {
  for (const seed of [1, 2, 3]) {
    for (const isQuiet of [false, true]) {
      const random = createRandom(seed + 10);
      const busy = (everyMs, forMs) => {
        let from = 0, to = 0;
        return (now) => {
          if (now > to) [from, to] = [now + random() * everyMs, 0];
          if (to === 0) to = from + random() * forMs;
          return now >= from && now <= to && now < 55_000;
        };
      };
      const seen = play({ rttMs: 5, isQuiet, seed, keyMs: 1500,
        isPageBusy: busy(300, 500), isServerBusy: busy(600, 300) });
      const sorted = seen.early.slice().sort((one, other) => one - other);
      // The server misses a third of its ticks, up to 6 in a row, and the page half of its time.
      assert.ok(sorted[sorted.length >> 1] <= 10, `${sorted}`);
      assert.ok(sorted.at(-1) <= 21, `${sorted.at(-1)} steps early`);
      assertSettled(seen);
    }
  }
});

// A connection on which the server is one tick later than the client wants it.
function connect(place = { x: 100, y: 100 }) {
  const server = createV1Server(TERMS, place);
  const inputs = [];
  const prediction = createV1Prediction(TERMS, (keys) => {
    inputs.push({ ...keys });
    server.input(keys);
  });
  let now = 0;
  const run = (ms, isReceived = true) => {
    prediction.setNetwork(0, 0);
    for (const end = now + ms; now < end; now++) {
      if (now % 50 === 25) {
        server.tick();
        if (isReceived) prediction.confirm(server.head(), now);
      }
      prediction.advance(now);
    }
  };
  return { server, prediction, inputs, run, now: () => now };
}

test("INPUTs are sent when the keys change, and at least every 500 ms", () => {
  const { prediction, inputs, run, now } = connect();
  run(10_000);
  assert.ok(inputs.length >= 20 && inputs.length <= 25, `${inputs.length}`);
  const before = inputs.length;
  prediction.hold(4, now());
  assert.equal(inputs.length, before + 1, "at once");
  prediction.hold(4, now());
  assert.equal(inputs.length, before + 1);
  prediction.press(now());
  assert.deepEqual(inputs.slice(before).map(({ direction, presses }) => [direction, presses]),
    [[4, 0], [4, 1]]);
  assert.equal(inputs.at(-1).seq, inputs.at(-2).seq, "from the same step on");
  run(5000);
  for (let index = 1; index < inputs.length; index++) {
    assert.ok(inputs[index].seq - inputs[index - 1].seq <= 10);
  }
});

test("a short press makes one step", () => {
  const { server, prediction, run, now } = connect();
  run(1000);
  for (const presses of [1, 2, 3]) {
    prediction.hold(4, now());
    prediction.hold(0, now());
    run(400);
    assert.equal(server.head().x, 100 + 10 * presses);
  }
  assert.equal(prediction.error(), 0);
});

test("a dead player makes no steps, and one that respawns is drawn there at once", () => {
  const { server, prediction, run, now } = connect();
  run(1000);
  prediction.hold(4, now());
  run(500);
  server.die();
  run(300);
  const place = { ...prediction.glide(now()) };
  run(1000);
  assert.deepEqual({ ...prediction.glide(now()) }, place);
  prediction.hold(0, now());
  run(100);
  server.respawn({ x: 400, y: 300 });
  run(50);
  assert.deepEqual({ ...prediction.glide(now()) }, { x: 400, y: 300 });
  assert.equal(prediction.isGliding(), false);
});

test("the player stands when nothing is received for long", () => {
  const { prediction, run, now } = connect({ x: 20, y: 20 });
  run(1000);
  prediction.hold(4, now());
  run(300);
  run(10_000, false);
  assert.ok(prediction.unconfirmed() <= 21, `${prediction.unconfirmed()}`);
  // It would be at the wall after 46 steps.
  assert.ok(prediction.glide(now()).x < 400);
  run(2000);
  assert.ok(prediction.unconfirmed() < 5, "and is counted right afterwards");
});

test("a page that was suspended counts on", () => {
  for (const missed of [30, 2000, 40_000, 70_000]) {
    const { server, prediction, run, now } = connect();
    run(1000);
    let later = now() + missed * 50;
    for (let ticks = 0; ticks < missed; ticks++) server.tick();
    prediction.advance(later);
    for (let ticks = 0; ticks < 60; ticks++) {
      later += 50;
      server.tick();
      prediction.confirm(server.head(), later);
      prediction.advance(later);
      if (ticks === 20) prediction.hold(2, later);
      if (ticks > 25) assert.equal(prediction.error(), 0, `tick ${ticks} after ${missed}`);
    }
    assert.ok(Math.abs(prediction.unconfirmed()) < 5, `after ${missed}`);
    assert.ok(server.head().y > 300, "its INPUTs count");
  }
});
