// A session of skirmish.v1 without a browser: messages of the golden vectors, and a slow network.
import { test } from "node:test";
import assert from "node:assert/strict";
import { loadParts } from "./harness.mjs";

const Skirmish = loadParts(
  "shared/rtts.js", "shared/v1-messages.js", "shared/v1-step.js", "shared/v1-list.js",
  "shared/v1.js", "shared/v1-clock.js", "shared/v1-view.js", "shared/v1-predict.js",
  "shared/v1-roster.js", "shared/v1-session.js", "shared/v1-parts.js", "shared/lag.js",
  "shared/net.js", "shared/dialect.js", "shared/address.js");
const { createV1Session, createV1Parts, v1Players, v1Rules } = Skirmish;

// The parts run in a context of their own, whose objects have other prototypes.
const same = (actual, expected, message) =>
  assert.deepEqual(structuredClone(actual), expected, message);

const WELCOME = {
  id: "7", slot: 3, gen: 1, room: "arena", rules: "arena", numbers: { reach: 40 },
  map: [0, 0, 500, 500], walls: [10, 10, 490, 490], cell: 65536, columns: 1, view: [1024, 768],
  tick_ms: 50, step: 10, commands: [], events: [], room_fields: { round: 2 },
  fields: [{ name: "hp", width: "u8" }, { name: "looks", width: "u8", words: ["UP", "DOWN"] },
    { name: "gold", width: "u32", owner: true }],
};

const toBuffer = (bytes) => Uint8Array.from(bytes).buffer;
const u16 = (value) => [value & 255, value >> 8];
const u32 = (value) => [0, 8, 16, 24].map((bits) => (value >>> bits) & 255);
const welcome = (more) =>
  toBuffer([0xb0, ...Buffer.from(JSON.stringify({ ...WELCOME, ...more }))]);

// A keyframe with these bodies.
const keyframe = (tick, bodies, { applied = 0, flags = 0, gold = 70_000 } = {}) => {
  const own = bodies.find(({ slot }) => slot === WELCOME.slot) ?? { x: 100, y: 100 };
  const records = bodies.flatMap(({ slot, gen = 0, x, y, state = 0, hp = 100, looks = 0 }) =>
    [...u16(slot), gen, ...u16(x), ...u16(y), state, hp, looks]);
  return toBuffer([0xa1, flags, ...u32(tick), 0, 1, ...u16(applied), 0, ...u16(own.x), ...u16(own.y),
    ...u32(gold), 0xc1, 0, 0, 0, ...u16(bodies.length), ...records]);
};
const head = (tick, age) =>
  toBuffer([0xa1, 0, ...u32(tick), age, 0, 0, 0, 0, ...u16(100), ...u16(100), ...u32(1)]);
const roster = (...entries) => toBuffer([0xd0, ...u16(entries.length),
  ...entries.flatMap(({ slot, gen, number, rgb, name }) =>
    [...u16(slot), gen, ...u32(number), ...u32(rgb).slice(0, 3), name.length, ...Buffer.from(name)])]);

const ME = { slot: 3, gen: 1, x: 100, y: 100 };
const MY_NAME = { slot: 3, gen: 1, number: 7, rgb: 0xa1b2c3, name: "Ann" };

function connect() {
  const sent = [];
  const happened = [];
  const session = createV1Session({
    send: (message) => sent.push([...message]),
    welcome: ({ room_fields: fields }) => happened.push(`welcome ${fields.round}`),
    tick: () => happened.push("tick"),
    rtt: (ms) => happened.push(`rtt ${ms}`),
  });
  return { session, sent, happened, take: () => happened.splice(0) };
}

const kinds = (sent, kind) => sent.filter(([first]) => first === kind);

test("a session has the players as the JSON dialect sends them", () => {
  const { session, sent, take } = connect();
  session.receive(welcome(), 0);
  same(v1Rules(session.welcome()), { name: "arena", map: [0, 0, 500, 500],
    walls: [10, 10, 490, 490], step: 10, tick_ms: 50, reach: 40 });
  session.receive(keyframe(9, [ME, { slot: 8, x: 200, y: 50, hp: 60, looks: 1 }]), 10);
  same(take(), ["welcome 2", "tick"]);
  same(v1Players(session), [], "no name is known");
  same(kinds(sent, 0x12), [[0x12, 2, 3, 0, 1, 8, 0, 0]]);
  session.receive(roster(MY_NAME, { slot: 8, gen: 0, number: 4_000_000_000, rgb: 1, name: "" }), 30);
  same(take(), ["tick"], "names are news");
  same(v1Players(session), [
    { id: "7", name: "Ann", color: "#a1b2c3", x: 100, y: 100, hp: 100, looks: "UP", gold: 70_000 },
    { id: "4000000000", name: "", color: "#000001", x: 200, y: 50, hp: 60, looks: "DOWN" },
  ]);
  session.receive(welcome({ room_fields: { round: 3 } }), 40);
  same(take(), ["welcome 3"]);
  assert.equal(v1Players(session).length, 2, "the values of a room change nothing else");
});

test("names are asked for in batches, at most three times a second, and again if they are lost", () => {
  const { session, sent } = connect();
  session.receive(welcome(), 0);
  const bodies = Array.from({ length: 200 }, (_, slot) => ({ slot, gen: 1, x: 100, y: 100 }));
  session.receive(keyframe(0, bodies), 0);
  for (let tick = 1; tick < 80; tick++) session.receive(head(tick, 1), tick * 50);
  const asked = kinds(sent, 0x12);
  same(asked.map(([, count]) => count), [64, 64, 64, 8, 64, 64, 64, 8]);
  const known = bodies.slice(0, 198).map(({ slot, gen }) =>
    ({ slot, gen, number: slot + 1, rgb: 0, name: "" }));
  session.receive(roster(...known), 4000);
  sent.length = 0;
  for (let tick = 80; tick < 160; tick++) session.receive(head(tick, 1), tick * 50);
  assert.ok(kinds(sent, 0x12).every((message) => message[1] === 2), "the others are known");
});

test("a ping asks for the own player", () => {
  const { session, sent, take } = connect();
  session.ping(0);
  same(sent, [], "there is none yet");
  session.receive(welcome(), 0);
  session.receive(keyframe(1, [ME]), 0);
  take();
  session.ping(100);
  session.ping(1100);
  same(kinds(sent, 0x12).slice(1), [[0x12, 1, 3, 0, 1]], "one at a time");
  session.receive(roster(MY_NAME), 130);
  same(take().filter((text) => text.startsWith("rtt")), ["rtt 30"]);
  session.ping(2000);
  session.ping(5000);
  assert.equal(kinds(sent, 0x12).length, 4, "a lost one is not waited for");
});

test("INPUTs acknowledge ticks, and say what the player sees", () => {
  const { session, sent } = connect();
  session.receive(welcome(), 0);
  let now = 0;
  for (let tick = 108; tick < 120; tick++, now += 50) {
    session.receive(tick === 108 ? keyframe(tick, [ME]) : head(tick, 1), now);
    session.run(now);
    session.view().sample(now + 40);
  }
  sent.length = 0;
  session.hold("RIGHT", now - 10);
  const [[kind, buttons, , , ackLow, ackHigh, age, hold]] = sent;
  same([kind, buttons, ackLow, ackHigh], [0x10, 4, 119, 0]);
  // The delay is a tick and 4 ms, and the frame was drawn 40 ms after the tick.
  assert.ok(age >= 1 && age <= 4, `${age}`);
  assert.equal(hold, 10);
  session.press(now - 10);
  assert.equal(sent[1][1], 4 | (1 << 3));
  session.hold(null, now + 100);
  assert.equal(sent.at(-1)[1] & 7, 0);
  sent.length = 0;
  // The flag 4 asks for an acknowledgement.
  session.receive(keyframe(130, [ME], { flags: 4 }), now + 120);
  same(kinds(sent, 0x10).map((message) => message[4]), [130]);
});

test("another room begins anew", () => {
  const { session } = connect();
  session.receive(welcome(), 0);
  session.receive(keyframe(1, [ME]), 0);
  const { view, prediction } = session;
  const before = [view(), prediction()];
  session.receive(welcome({ room: "other" }), 10);
  assert.notEqual(view(), before[0]);
  assert.notEqual(prediction(), before[1]);
});

test("a page gets interpolation and prediction in its own form", () => {
  const { session } = connect();
  const { motion, prediction, whenMoved, moved } = createV1Parts(session);
  same(motion.sample(0), []);
  assert.equal(prediction.glide(0), null);
  assert.equal(prediction.isGliding() || motion.isMoving(), false);
  session.receive(welcome(), 0);
  session.receive(keyframe(1, [ME, { slot: 8, x: 200, y: 50, state: 4 }]), 0);
  session.receive(roster(MY_NAME, { slot: 8, gen: 0, number: 9, rgb: 1, name: "Bob" }), 1);
  motion.push(v1Players(session), 1, 1);
  const [ann, bob] = motion.sample(0);
  same([ann.name, ann.x, bob.name, bob.hp], ["Ann", 100, "Bob", 100]);
  assert.ok(motion.sample(80)[1].x > 200, "it walks on");
  assert.equal(motion.isMoving(), true);
  same(prediction.glide(0), { x: 100, y: 100 });
  let count = 0;
  whenMoved(() => count++);
  moved();
  assert.equal(count, 1);
});

test("the lag of an address", () => {
  const of = (query) => Skirmish.lagOf(`http://x/client.html${query}`);
  assert.equal(of(""), null);
  assert.equal(of("?lag=0&jitter=-5&stall=x"), null);
  same(of("?lag=100&jitter=20&stall=400"), { lagMs: 100, jitterMs: 20, stallMs: 400 });
  same(of("?lag=1e9"), { lagMs: 4000, jitterMs: 0, stallMs: 0 });
});

test("delayed messages keep their order, and wait for the end of a stall", () => {
  let n = 0;
  const delivered = Skirmish.createDelay({ lagMs: 100, jitterMs: 40, stallMs: 400 },
    () => [0.9, 0.1, 0.5][n++ % 3]);
  let last = 0;
  for (let now = 400; now < 20_000; now += 10) {
    const at = delivered(now);
    assert.ok(at >= last && at >= now + 50);
    assert.ok(at % 5000 >= 400, "none during a stall");
    if (now % 5000 > 400 && now % 5000 < 4800) assert.ok(at <= now + 90);
    last = at;
  }
});

test("the numbers of the network in words", () => {
  const { networkWords, createRate } = Skirmish;
  same(networkWords(null, 5), {});
  const numbers = { dialect: "skirmish.v1", jitterMs: 12.4, delayMs: null, bytesPerSecond: 1234,
    isCompressed: false, skipped: 3, error: 0, unconfirmed: 2 };
  same(networkWords(numbers, null), { dialect: "skirmish.v1", rtt: "–", jitter: "12 ms",
    delay: "–", bytes: "1.2 kB/s", compression: "off", skipped: "3", error: "0", unconfirmed: "2" });
  const rate = createRate(2000);
  assert.equal(rate.perSecond(0), 0);
  for (let now = 0; now <= 5000; now += 50) rate.add(now, now * 3);
  assert.ok(Math.abs(rate.perSecond(5000) - 3000) < 100);
  assert.ok(rate.perSecond(8000) < 1500, "less and less without messages");
});

test("the dialect of an address", () => {
  const of = (query, dialects) => Skirmish.askedDialect(`http://x/y.html${query}`, dialects);
  same(of("", ["json", "v1"]), { name: null });
  same(of("?dialect=%20V1", ["json", "v1"]), { name: "v1" });
  assert.equal(of("?dialect=socketio", ["json", "v1"]).error,
    "“socketio” is not a dialect of this page. Use json or v1.");
  assert.match(of("?dialect=x", ["json", "v1", "socketio"]).error, /Use json, v1 or socketio\.$/);
  assert.equal(Skirmish.withoutDialect("http://x/y.html?dialect=x&room=a#b"), "http://x/y.html?room=a");
});
