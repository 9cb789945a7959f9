// The parts of the pages that need no browser: addresses, waits, and where to draw.
import { test } from "node:test";
import assert from "node:assert/strict";
import { loadParts as load, DOTS_RULES } from "./harness.mjs";

test("the address comes from the page and its query", () => {
  const { address } = load("shared/store.js", "shared/address.js");
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
    ["http://a/?room=tea&rules=dots", "ws://a/ws?room=tea&rules=dots"],
  ]) assert.equal(address(page).url, url, page);
  const nonsense = ["a b", "http://", "ftp://b/", "://", "b:99999", "x@b", "%00", "<b>", "ws:b"];
  for (const bad of nonsense) {
    const { url, error } = address(`http://a/?server=${encodeURIComponent(bad)}`);
    assert.equal(url, undefined, bad);
    assert.match(error, /is not a server address/);
  }
});

test("an address has a link to the default room", () => {
  const { address } = load("shared/store.js", "shared/address.js");
  const ofRoom = address("http://a/p/?server=b:1&room=Tea&name=Ann&rules=x#y");
  assert.equal(ofRoom.room, "Tea");
  assert.equal(ofRoom.out, "http://a/p/?server=b%3A1&name=Ann");
  assert.equal(address("http://a/?name=Ann").out, null, "it is the default room");
  const bad = address("http://a/?room=No+Such+Room!&name=Ann");
  assert.match(bad.error, /“No Such Room!” is not a room name/);
  assert.equal(bad.out, "http://a/?name=Ann");
  assert.equal(address("file:///c.html?server=ftp://b&room=tea").out, "file:///c.html");
});

test("a page may have a default room and rules, and keep its own parameters", () => {
  const { address } = load("shared/store.js", "shared/address.js");
  const own = { room: "battle", rules: "battle", keep: ["dialect"] };
  for (const [query, wanted, out] of [
    ["", "room=battle&rules=battle", null],
    ["?room=Tea&dialect=json", "room=tea&rules=battle", "http://a/b.html?dialect=json"],
    ["?rules=x", "room=battle&rules=x", null],
    ["?server=c:1", "room=battle&rules=battle", null],
  ]) {
    const answer = address(`http://a/b.html${query}`, own);
    assert.equal(new URL(answer.url).search, `?${wanted}`, query);
    assert.equal(answer.out, out, query);
  }
  const named = address("http://a/b.html?server=ws%3A%2F%2Fc%2F%3Froom%3Dx", own);
  assert.equal(named.url, "ws://c/?room=x&rules=battle", "a server's address may name a room");
});

test("rooms are listed fullest first, whatever the server sends", () => {
  const { readRooms, elsewhere } = load("shared/store.js", "shared/address.js", "shared/rooms.js");
  const rows = [{ name: "a", rules: "dots", players: 1, cap: 2 }, null, { name: 7, rules: "dots" },
    { name: "b", rules: "battle", players: "many" }, { name: "c", rules: "dots", players: 3, cap: 9 }];
  assert.deepEqual(readRooms(rows).map(({ name, players }) => [name, players].join()),
    ["c,3", "a,1", "b,0"]);
  const withBots = { name: "d", rules: "dots", players: 4, bots: 3, cap: 4 };
  assert.equal(readRooms([withBots])[0].players, 1, "bots leave as people join");
  const there = elsewhere({ room: "tea", rules: "battle" }, "http://a/client.html?name=Ann&room=tea");
  assert.equal(there.sentence, "The room “tea” plays battle.");
  assert.equal(there.out, "http://a/battle.html?room=tea&name=Ann");
  assert.equal(elsewhere({ room: "w", rules: "world" }, "http://a/client.html").out,
    "http://a/world.html?room=w");
  assert.equal(elsewhere({ room: "w", rules: "tag" }, "http://a/client.html").out, null);
  assert.equal(elsewhere({ room: "w", rules: "valueOf" }, "http://a/client.html").out, null);
});

test("the server's own words are shown, and its JSON is not", () => {
  const { verdict } = load("shared/retry.js");
  const { back, sentence } = verdict(1008, "there is no such room");
  assert.deepEqual([back, sentence], ["never", "The server says: there is no such room."]);
  assert.equal(verdict(4029, "too many messages.").sentence, "The server says: too many messages.");
  assert.match(verdict(4029, '{"retry_ms":1}').sentence, /too many messages/);
  assert.match(verdict(1008, "").sentence, /does not accept/);
});

test("joins and leaves are announced by name while they are few", () => {
  const { words } = load("shared/words.js");
  assert.equal(words.nameOf({ id: "48", name: "" }), "Player 48");
  assert.equal(words.people([], ["Ann"]), "Ann left.");
  assert.equal(words.people(["Ann", "Player 48"], []), "Ann and Player 48 joined.");
  assert.equal(words.people(["Ann"], ["A", "B", "C"]), "Ann joined. 3 players left.");
});

test("the description of the board has the nearest player", () => {
  const { words } = load("shared/words.js");
  const me = { id: "1", x: 100, y: 100, name: "" };
  const at = (x, y) => words.board([me, { id: "2", x, y, name: "Ann" }], "1");
  assert.equal(at(150, 100), "The board. Players here: 2. You are 100 from the left and 100 from " +
    "the top. The nearest is Ann, 50 away, to the right.");
  assert.match(at(100, 60), /Ann, 40 away, above\.$/);
  assert.match(at(70, 140), /Ann, 50 away, to the lower left\.$/);
  assert.match(at(40, 90), /to the left\.$/);
  assert.match(at(100, 100), /Ann, at the same place\.$/);
  const far = { id: "3", x: 100, y: 300, name: "" };
  assert.match(words.board([far, me, { id: "2", x: 130, y: 100, name: "" }], "1"), /Player 2, 30/);
  assert.doesNotMatch(words.board([me], "1"), /nearest/);
  assert.equal(words.board([], "1"), "The board. Players here: 0.");
});

test("labels do not overlap, and the first ones win", () => {
  const { apart } = load("shared/labels.js");
  const box = (left, top) => ({ left, top, right: left + 10, bottom: top + 10 });
  const [a, near, below, far] = [box(0, 0), box(5, 5), box(5, 10), box(50, 0)];
  assert.deepEqual(Array.from(apart([[a], [near], [far]], [])), [a, far]);
  assert.deepEqual(Array.from(apart([[a], [near, below]], [])), [a, below]);
  assert.deepEqual(Array.from(apart([[a], [far]], [near])), [far]);
});

test("waits grow to ten seconds, with jitter", () => {
  const { backoffMs } = load("shared/retry.js");
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map((n) => backoffMs(n, 1)),
    [500, 1000, 2000, 4000, 8000, 10000, 10000]);
  assert.ok(backoffMs(0, 0) >= 100);
});

test("only a long connection resets the waits", () => {
  const waits = load("shared/retry.js").createWaits("host");
  const next = () => waits.next(1);
  assert.deepEqual([next(), next()], [500, 1000]);
  waits.opened(0);
  waits.closed(4_900);
  assert.equal(next(), 2000);
  waits.opened(10_000);
  waits.closed(15_000);
  assert.deepEqual([next(), next()], [500, 1000]);
  waits.closed(99_000);
  assert.equal(next(), 2000, "a connection that was never open does not count");
});

test("when the network returns, the waits are short again", () => {
  const waits = load("shared/retry.js").createWaits("host");
  const next = () => waits.next(1);
  assert.deepEqual([next(), next()], [500, 1000]);
  waits.restart();
  assert.equal(next(), 500);
});

test("a token works once, and as long as the server keeps the player", () => {
  const { createResume } = load("shared/resume.js");
  const resume = createResume();
  assert.equal(resume.token(0), null);
  resume.take({ token: "a", resume_s: 30 });
  assert.equal(resume.token(99_000), "a", "the player is not lost");
  resume.lost(100_000);
  resume.lost(120_000);
  assert.equal(resume.token(129_999), "a");
  resume.take({ token: "b", resume_s: 5 });
  assert.equal(resume.token(200_000), "b");
  resume.lost(200_000);
  assert.equal(resume.token(205_000), null, "it counts from the first failure");
  resume.lost(205_000);
  assert.equal(resume.token(200_000), null);
  resume.take({ token: "c", resume_s: 30 });
  resume.forget();
  assert.equal(resume.token(0), null);
  for (const terms of [{}, { token: "d" }, { token: 5, resume_s: 30 }, { token: "", resume_s: 30 },
    { token: "d", resume_s: 0 }, { token: "d", resume_s: "soon" }]) {
    resume.take({ token: "c", resume_s: 30 });
    resume.take(terms);
    assert.equal(resume.token(0), null, JSON.stringify(terms));
  }
});

test("the address of a socket asks for a token, or presents one", () => {
  const { resumeUrl } = load("shared/store.js", "shared/address.js");
  assert.equal(resumeUrl("ws://a/ws", null), "ws://a/ws?resume=1");
  assert.equal(resumeUrl("ws://a/ws?room=tea&name=Ann+B", "0f"),
    "ws://a/ws?room=tea&name=Ann+B&resume=0f");
});

test("the server's hint is clamped", () => {
  const { verdict } = load("shared/retry.js");
  assert.equal(verdict(4012, '{"retry_ms":1500}').hintMs, 1500);
  assert.equal(verdict(4013, '{"retry_ms":1e99}').hintMs, 60000);
  assert.equal(verdict(4013, '{"retry_ms":-5}').hintMs, 100);
  for (const reason of ["", "soon", "null", "{}", '{"retry_ms":"9"}']) {
    assert.equal(verdict(4012, reason).hintMs, undefined);
  }
});

test("a page comes back after every close, unless the code says otherwise", () => {
  const { verdict, RESTARTING } = load("shared/retry.js");
  const never = [1002, 1007, 1008, 1009, 4003, 4009, 4029];
  for (let code = 1000; code < 5000; code++) {
    const { back, hintMs, sentence } = verdict(code, '{"retry_ms":1500}');
    const expected = never.includes(code) ? "never" : code === 4000 ? "press" : "wait";
    assert.equal(back, expected, `${code}`);
    assert.equal(hintMs, back === "wait" ? 1500 : undefined, `${code}`);
    assert.notEqual(sentence, "", `${code}`);
  }
  // Plain WebSockets, and WebSockets of Socket.IO.
  for (const code of [4012, 1012]) assert.equal(verdict(code, "").sentence, RESTARTING);
  assert.equal(verdict(4013, "").sentence, verdict(1013, "").sentence);
  for (const code of [1000, 1001, 1005, 4006]) {
    assert.deepEqual(verdict(code, ""), verdict(1006, ""), `${code}`);
  }
});

// A player that makes a step on each tick. Its snapshots arrive with the given delays.
function walk(delayOf, { ticks = 200, counted = true } = {}) {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
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
  test(`other players move evenly under jitter, ${counted ? "with" : "without"} ticks`, () => {
    const drawn = walk(jitter, { counted });
    let most = 0;
    for (let i = 1; i < drawn.length; i++) {
      const step = drawn[i].x - drawn[i - 1].x;
      assert.ok(step >= 0, `backward at ${drawn[i].now}`);
      if (i > 60) most = Math.max(most, step);
    }
    // Constant speed is 3.2 units in 16 ms.
    assert.ok(most < 6.5, `a jump of ${most}`);
    const { now, x } = drawn.at(-1);
    assert.ok(now / 5 - x < 50, `${now / 5 - x} units behind`);
  });
}

test("after a pause motion continues from the newest place, and never backward", () => {
  const drawn = walk((tick) => (tick >= 80 && tick < 100 ? (100 - tick) * 50 : 0) + 20);
  for (let i = 1; i < drawn.length; i++) assert.ok(drawn[i].x >= drawn[i - 1].x);
  const { now, x } = drawn.at(-1);
  assert.ok(now / 5 - x < 40, `${now / 5 - x} units behind`);
});

test("teleported and new players appear at once", () => {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
  motion.push([{ id: "1", x: 0, y: 0 }], 1, 0);
  motion.push([{ id: "1", x: 400, y: 0 }, { id: "2", x: 5, y: 5 }], 2, 50);
  for (let now = 50; now < 250; now += 5) {
    for (const player of motion.sample(now)) {
      assert.ok(player.id === "2" ? player.x === 5 : [0, 400].includes(player.x));
    }
  }
});

test("after a time in the background only the newest place counts", () => {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
  for (let tick = 0; tick < 100; tick++) {
    motion.push([{ id: "1", x: tick, y: 0 }], tick, tick * 50);
  }
  motion.skip();
  assert.equal(motion.sample(99 * 50)[0].x, 99);
});

/** A prediction at (100, 100), and what the server sends it. */
function walker() {
  const { readRules, createPrediction } = load("shared/rules.js", "shared/predict.js");
  const prediction = createPrediction(readRules(DOTS_RULES, []));
  const place = (x, y, now, tick = null) =>
    prediction.confirm({ x, y }, { tick, now, rttMs: 40 });
  place(100, 100, 0, 0);
  prediction.glide(0);
  return { prediction, place };
}

test("the own dot moves at once, and ends where the server says", () => {
  const { prediction, place } = walker();
  prediction.sent("RIGHT", 0);
  assert.ok(prediction.glide(16).x > 100, "before any answer");
  assert.equal(prediction.glide(200).x, 110);
  assert.equal(prediction.isGliding(), false);
  prediction.sent("RIGHT", 210);
  place(110, 100, 220, 4);
  prediction.glide(230);
  assert.equal(prediction.glide(400).x, 120, "the second step is still pending");
  place(400, 100, 950);
  assert.equal(prediction.glide(960).x, 400, "a distant place is used at once");
});

test("over another connection unconfirmed steps are lost, and the server's place counts", () => {
  const { prediction, place } = walker();
  prediction.sent("RIGHT", 0);
  prediction.sent("RIGHT", 50);
  prediction.glide(16);
  assert.equal(prediction.glide(200).x, 120);
  prediction.restart();
  place(110, 100, 208, 30);
  assert.equal(prediction.ahead("RIGHT").x, 120, "no step is ahead");
  const { x } = prediction.glide(216);
  assert.ok(x > 110 && x < 120, `it is drawn on its way back, and not at ${x}`);
  assert.equal(prediction.glide(900).x, 110);
});

test("a step is lost when a ping after it is answered without it, and not before", () => {
  const { prediction, place } = walker();
  prediction.sent("RIGHT", 0);
  assert.equal(prediction.isOverdue(150, 40), false);
  assert.equal(prediction.isOverdue(250, 40), true);
  for (let now = 50; now < 3000; now += 50) place(100, 100, now, now / 50);
  assert.equal(prediction.glide(3000).x, 110, "the network may have stalled");
  prediction.sent("RIGHT", 3010);
  prediction.answered(3000, 61);
  place(100, 100, 3060, 61);
  assert.equal(prediction.glide(3100).x, 120, "the state is from before the answer");
  place(100, 100, 3110, 62);
  assert.equal(prediction.glide(3500).x, 110, "only the step after the ping is left");
});

test("without states, the answer after the next tick settles what was lost", () => {
  for (const [ticks, lost] of [[[60, 61], false], [[60, 62], true], [[null, null], true]]) {
    const { prediction } = walker();
    prediction.sent("RIGHT", 0);
    prediction.answered(1000, ticks[0]);
    prediction.answered(2000, ticks[1]);
    assert.equal(prediction.glide(3000).x, lost ? 100 : 110, String(ticks));
  }
});

/** Draws frames while a player at x = 180 is corrected to 100. */
function correct(prediction, { until }) {
  let before = 180;
  for (let now = 2016; now <= until; now += 16) {
    const { x } = prediction.glide(now);
    assert.ok(before - x > 0 && before - x <= 10, `${before} to ${x} at ${now}`);
    before = x;
  }
}

test("a correction is eased, one step a frame at most", () => {
  const { prediction, place } = walker();
  for (let step = 0; step < 8; step++) prediction.sent("RIGHT", step);
  prediction.glide(100);
  assert.equal(prediction.glide(2000).x, 180);
  // The server has dropped all of them.
  prediction.answered(2000, 60);
  place(100, 100, 2000, 61);
  correct(prediction, { until: 2112 });
  let before = 180;
  for (let now = 2128; now <= 2192; now += 16) before = prediction.glide(now).x;
  assert.ok(before <= 115, `${before} after 190 ms`);
});

test("a correction is eased although no frame was drawn before it", () => {
  const { prediction, place } = walker();
  for (let step = 0; step < 8; step++) prediction.sent("RIGHT", step * 50);
  for (let now = 0; prediction.isGliding(); now += 16) prediction.glide(now);
  prediction.answered(2000, 60);
  place(100, 100, 2000, 61);
  correct(prediction, { until: 2112 });
});

test("steps that are still on their way survive one that was dropped", () => {
  const { prediction, place } = walker();
  for (const [direction, at] of [["UP", 0], ["LEFT", 10], ["RIGHT", 990], ["RIGHT", 1000]]) {
    prediction.sent(direction, at);
  }
  // Of the first two only the second was made.
  place(90, 100, 1000, 20);
  assert.deepEqual({ ...prediction.glide(2000) }, { x: 110, y: 100 });
});

test("a stalled connection stops the player before the server drops its steps", () => {
  // With a long round trip more steps than that are always on their way.
  for (const [rttMs, most] of [[null, DOTS_RULES.moves_saved], [200, DOTS_RULES.moves_saved], [600, 14]]) {
    const { prediction } = walker();
    let sent = 0;
    while (!prediction.isFull(rttMs) && sent < 100) {
      prediction.sent("RIGHT", sent++ * 50);
    }
    assert.equal(sent, most, `at ${rttMs} ms`);
  }
});

test("after a stall the others are seen on their way, a little faster", () => {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
  const xAt = (now) => motion.sample(now)[0].x;
  const push = (tick, at) => motion.push([{ id: "1", x: tick * 10, y: 0 }], tick, at);
  for (let tick = 0; tick < 20; tick++) push(tick, tick * 50);
  let before = 0;
  for (let now = 900; now < 1750; now += 16) before = xAt(now);
  assert.equal(before, 190);
  for (let tick = 20; tick < 35; tick++) push(tick, 1750);
  for (let now = 1750; now < 2000; now += 16) {
    const x = xAt(now);
    assert.ok(x >= before && x - before <= 20, `${before} to ${x} at ${now}`);
    before = x;
  }
  assert.ok(before > 320, `${before}`);
});

test("a motion without changes needs no frames", () => {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
  const push = (x, tick) => motion.push([{ id: "1", x, y: 0, name: "Ann" }], tick, tick * 50);
  assert.equal(push(0, 0), true);
  for (let tick = 1; tick < 100; tick++) assert.equal(push(0, tick), false);
  assert.equal(motion.isMoving(), false);
  assert.equal(push(10, 100), true);
  assert.equal(motion.isMoving(), true);
  for (let tick = 101; tick < 110; tick++) push(10, tick);
  assert.equal(motion.sample(5450)[0].x, 10);
  assert.equal(motion.isMoving(), false);
});

test("players that stand still keep their objects, and their next step is drawn in full", () => {
  const motion = load("shared/motion.js").createMotion({ step: 10, tickMs: 50 });
  const push = (x, tick) => motion.push([{ id: "1", x, y: 0 }], tick, tick * 50);
  push(0, 0);
  const { players, byId } = motion.newest();
  for (let tick = 1; tick < 100; tick++) push(0, tick);
  assert.equal(motion.newest().tick, 99);
  assert.equal(motion.newest().players, players);
  assert.equal(motion.newest().byId, byId);
  push(10, 100);
  push(10, 101);
  const drawn = [];
  for (let now = 4950; now < 5250; now += 10) drawn.push(motion.sample(now)[0].x);
  const steps = drawn.slice(1).map((x, i) => x - drawn[i]);
  assert.ok(steps.every((step) => step >= 0 && step < 4), drawn.join(" "));
  assert.deepEqual([drawn[0], drawn.at(-1)], [0, 10]);
});

test("messages are parsed as JSON.parse does, and unchanged players only once", () => {
  const state = (tick, players = '[{"id":"1","x":5,"y":5}]', room = "") =>
    `{"type":"state_update","players":${players},"tick":${tick}${room}}`;
  const parse = load("shared/websocket.js").createJsonParser();
  const plain = (value) => JSON.parse(JSON.stringify(value));
  const moved = '[{"id":"1","x":5,"y":6}]';
  const named = '[{"id":"1","x":5,"y":5,"name":"],\\"tick\\":1"}]';
  for (const text of [
    state(1), state(2), state(3, moved), state(4, moved, ',"room":{"ends_ms":50}'), state(5, moved),
    state(6, "[]"), state(7, named), state(8, named), '{"type":"pong","t":5,"tick":9}',
    state(9, '[{"a":[1],"tick":3,"x":1}]'), state(10, '[{"a":[1],"tick":4,"x":1}]'),
    state(11, "[]", ',"room":{"a":[2],"tick":3}'), state(12, "[]", ',"room":{"a":[2],"tick":4}'),
    '{"type":"state_update","players":[{"a":[1],"tick":3,"x":1}]}',
    '{"type":"state_update","players":[{"a":[1],"tick":3,"x":2}]}',
    '{"tick":5,"players":[{"a":[1],"tick":3,"x":2}]}', '[[],"tick",1]', "5", "null",
  ]) assert.deepEqual(plain(parse(text)), JSON.parse(text));
  for (const text of ["", "{", '{"players":[],"tick":', '{"players":[}],"tick":1}', `${state(1)}}`]) {
    assert.throws(() => parse(text), text);
  }
  const { players } = parse(state(1));
  assert.equal(parse(state(2)).players, players);
  assert.notEqual(parse(state(3, moved)).players, players);
});

/** Plays frames, and returns the resolutions that were set. */
function resolutions(frames, msOf) {
  let scale = 1;
  const scales = [];
  const detail = load("shared/loop.js").createDetail((next) => scales.push(scale = next));
  for (let i = 0, now = 0; i < frames; i++, now += msOf(scale)) detail.frame(now, true);
  return scales;
}

test("the resolution is lowered while frames are slow, if that helps", () => {
  assert.deepEqual(resolutions(1000, () => 16), []);
  const [first, second, ...more] = resolutions(1000, (scale) => 40 * scale * scale);
  assert.deepEqual([first, second, more.length], [0.75, undefined, 0]);
  assert.equal(resolutions(1000, (scale) => 100 * scale * scale).length, 3);
  assert.deepEqual(resolutions(1000, () => 33), [0.75, 1], "a slow screen stays sharp");
});

test("pauses are not slow frames", () => {
  const scales = [];
  const detail = load("shared/loop.js").createDetail((scale) => scales.push(scale));
  for (let i = 0; i < 1000; i++) detail.frame(i * 100, false);
  for (let i = 0; i < 1000; i++) detail.frame(1e6 + i * 1000, true);
  assert.deepEqual(scales, []);
});
