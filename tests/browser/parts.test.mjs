// The parts of the page that need no browser: addresses, waits, and where to draw.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import vm from "node:vm";
import { repository } from "./harness.mjs";

function load(...names) {
  const window = {};
  const context = vm.createContext({ window, URL });
  for (const name of names) {
    vm.runInContext(readFileSync(path.join(repository, "www", name), "utf8"), context);
  }
  return window.Skirmish;
}

test("the address comes from the page and its query", () => {
  const { address } = load("address.js");
  for (const [page, url] of [
    ["http://host:8765/", "ws://host:8765/ws"],
    ["http://host:8765/client.html#x", "ws://host:8765/ws"],
    ["https://host/games/client.html?room=tea", "wss://host/games/ws?room=tea"],
    ["file:///home/client.html", "ws://localhost:8765/"],
    ["file:///home/client.html?server=host:1", "ws://host:1/ws"],
    ["file:///home/client.html?server=10.0.0.1", "ws://10.0.0.1/ws"],
    ["http://a/?server=wss://b/", "wss://b/"],
    ["http://a/?server=ws://b:1/deep?x=1", "ws://b:1/deep?x=1"],
    ["http://a/?server=http://b:1", "ws://b:1/ws"],
    ["https://a/?server=b:1", "wss://b:1/ws"],
    ["http://a/?server=[::1]:8765", "ws://[::1]:8765/ws"],
    ["http://a/?room=Tea&name=%20Ann%20B%20", "ws://a/ws?room=tea&name=Ann+B"],
    ["http://a/?room=%20&name=", "ws://a/ws"],
  ]) assert.equal(address(page).url, url, page);
  const nonsense = ["a b", "http://", "ftp://b/", "://", "b:99999", "x@b", "%00", "<b>", "ws:b"];
  for (const bad of nonsense) {
    const { url, error } = address(`http://a/?server=${encodeURIComponent(bad)}`);
    assert.equal(url, undefined, bad);
    assert.match(error, /is not a server address/);
  }
});

test("waits grow to ten seconds and are never the same for all", () => {
  const { backoffMs } = load("retry.js");
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map((n) => backoffMs(n, 1)),
    [500, 1000, 2000, 4000, 8000, 10000, 10000]);
  assert.ok(backoffMs(0, 0) >= 100);
});

test("a hint is believed within reason", () => {
  const { verdict } = load("retry.js");
  assert.equal(verdict(1012, '{"retry_ms":1500}').hintMs, 1500);
  assert.equal(verdict(1013, '{"retry_ms":1e99}').hintMs, 60000);
  assert.equal(verdict(1013, '{"retry_ms":-5}').hintMs, 100);
  for (const reason of ["", "soon", "null", "{}", '{"retry_ms":"9"}']) {
    assert.equal(verdict(1012, reason).hintMs, undefined);
  }
});

// One walker, a step a tick, whose snapshots come with the given delays.
function walk(delayOf, { ticks = 200, counted = true } = {}) {
  const motion = load("motion.js").createMotion();
  const arrivals = [];
  let last = 0;
  for (let tick = 0; tick < ticks; tick++) {
    last = Math.max(last, tick * 50 + delayOf(tick));
    arrivals.push({ tick, at: last });
  }
  const drawn = [];
  for (let now = 0; now < last; now += 16) {
    while (arrivals.length > 0 && arrivals[0].at <= now) {
      const { tick, at } = arrivals.shift();
      motion.push([{ id: "1", x: tick * 10, y: 0 }], counted ? tick : null, at);
    }
    const [player] = motion.sample(now);
    if (player !== undefined) drawn.push({ now, x: player.x });
  }
  return drawn;
}

const jitter = (tick) => 30 + ((tick * 7919) % 61);

for (const counted of [true, false]) {
  test(`others walk evenly under jitter, ${counted ? "with" : "without"} ticks`, () => {
    const drawn = walk(jitter, { counted });
    let most = 0;
    for (let i = 1; i < drawn.length; i++) {
      const step = drawn[i].x - drawn[i - 1].x;
      assert.ok(step >= 0, `backward at ${drawn[i].now}`);
      if (i > 60) most = Math.max(most, step);
    }
    // An even walk is 3.2 units in 16 ms.
    assert.ok(most < 6.5, `a jump of ${most}`);
    const { now, x } = drawn.at(-1);
    assert.ok(now / 5 - x < 50, `${now / 5 - x} units behind`);
  });
}

test("after a pause the walk goes on from the newest place, and never backward", () => {
  const drawn = walk((tick) => (tick >= 80 && tick < 100 ? (100 - tick) * 50 : 0) + 20);
  for (let i = 1; i < drawn.length; i++) assert.ok(drawn[i].x >= drawn[i - 1].x);
  const { now, x } = drawn.at(-1);
  assert.ok(now / 5 - x < 40, `${now / 5 - x} units behind`);
});

test("who is far away at once, or new, is there at once", () => {
  const motion = load("motion.js").createMotion();
  motion.push([{ id: "1", x: 0, y: 0 }], 1, 0);
  motion.push([{ id: "1", x: 400, y: 0 }, { id: "2", x: 5, y: 5 }], 2, 50);
  for (let now = 50; now < 250; now += 5) {
    for (const player of motion.sample(now)) {
      assert.ok(player.id === "2" ? player.x === 5 : [0, 400].includes(player.x));
    }
  }
});

test("after a rest in the background only the newest place counts", () => {
  const motion = load("motion.js").createMotion();
  for (let tick = 0; tick < 100; tick++) {
    motion.push([{ id: "1", x: tick, y: 0 }], tick, tick * 50);
  }
  motion.skip();
  assert.equal(motion.sample(99 * 50)[0].x, 99);
});

test("the own dot moves at once, and goes where the server says in the end", () => {
  const rules = { step: 10, low: 10, high: 490 };
  const prediction = load("predict.js").createPrediction(rules);
  prediction.confirm(100, 100, 0, 40);
  prediction.glide(0);
  prediction.sent("RIGHT", 0);
  assert.ok(prediction.glide(16).x > 100, "before any answer");
  assert.equal(prediction.glide(200).x, 110);
  prediction.sent("RIGHT", 210);
  prediction.confirm(110, 100, 220, 40);
  prediction.glide(230);
  assert.equal(prediction.glide(400).x, 120, "the second step is still believed");
  prediction.confirm(110, 100, 600, 40);
  prediction.glide(620);
  assert.equal(prediction.glide(900).x, 110, "but not for ever");
  prediction.confirm(300, 300, 950, 40);
  const { x, y } = prediction.glide(960);
  assert.deepEqual([x, y], [300, 300], "a new place is taken at once");
});
