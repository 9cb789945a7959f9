// Rounds, attacks with their direction, and returning health, from a server that sends them and from
// an older one. Both dialects.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  serverAndBrowser, openPage, closePage, inGame, shows, listen, fakeServer, fakeSocketIo, loadParts,
  repository, BATTLE_RULES,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const shared = serverAndBrowser({ args: ["--socketio-client", CLIENT] });

const player = (id, more) => ({
  id, name: `P${id}`, x: 50, y: 50, color: "#2277cc", hp: 100, kills: 0, deaths: 0, respawn_ms: 0, ...more,
});
const running = { round: 3, ends_ms: 100_000, winner: 0 };

// A server that sends the states that the test gives it, each 50 ms.
async function stateServer(t, first) {
  const fake = { state: first };
  const server = await fakeServer(t, (socket) => {
    let tick = 0;
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: "init", id: "1", room: "battle", rules_data: BATTLE_RULES });
    const timer = setInterval(() =>
      send({ type: "state_update", tick: tick++, ...fake.state }), 50);
    socket.on("close", () => clearInterval(timer));
  });
  fake.url = `${shared.server.battle}?server=${server.address}&dialect=json`;
  return fake;
}

test("the clock leaves the corner of a player, if the other corner is free", async (t) => {
  const away = player("1", { x: 90, y: 50 });
  const fake = await stateServer(t, { players: [away], room: running });
  const page = await openPage(shared.browser, fake.url);
  await inGame(page, 1);
  await page.waitForSelector("#round:not([hidden], .low)");
  for (const [at, low] of [[{ x: 5, y: 5 }, true], [{ x: 5, y: 50 }, false], [{ x: 5, y: 95 }, false],
    [{ x: 5, y: 5, hp: 0, deaths: 1, respawn_ms: 3000 }, false], [{ x: 8, y: 3 }, true]]) {
    fake.state = { players: [away, player("2", at)], room: running };
    await page.waitForFunction(({ x, y }) => window.Skirmish.game.snapshot().players
      .some((one) => one.id === "2" && one.x === x && one.y === y), at);
    await page.waitForSelector(low ? "#round.low" : "#round:not(.low)");
  }
  fake.state = { players: [away, player("2", { x: 5, y: 5 }), player("3", { x: 5, y: 95 })], room: running };
  await page.waitForSelector("#round:not(.low)");
  await closePage(page);
});

// Records the directions of the attacks that are drawn: a wedge of a seventh of a circle.
const rememberWedges = (page) => page.addInitScript(() => {
  window.wedges = [];
  const { arc } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.arc = function (x, y, radius, from, to, ...rest) {
    if (Math.abs(to - from - 2 * Math.PI / 7) < 1e-6) {
      window.wedges.push({ way: Math.round((from + to) / Math.PI), radius });
    }
    return arc.call(this, x, y, radius, from, to, ...rest);
  };
});
const WAYS = { RIGHT: 0, DOWN: 1, LEFT: 2, UP: -1 };
const drewWedge = (page, direction) =>
  page.waitForFunction((way) => window.wedges.some((one) => one.way === way), WAYS[direction]);

test("states: a clock, a result with the winner and the best players, and a new round", async (t) => {
  const players = [player("1", { x: 20, kills: 2 }), player("2", { kills: 19 }), player("3", { x: 80 })];
  const fake = await stateServer(t, { players, room: running });
  const page = await openPage(shared.browser, fake.url);
  await inGame(page, 3);
  await shows(page, "#round", "^Round 3 1:(40|39|38)$");
  assert.equal(await page.isVisible("#result"), false);
  fake.state = { players, room: { ...running, ends_ms: 9000 } };
  await page.waitForSelector("#round.soon");

  const said = await listen(page, "news");
  const ended = [players[0], player("2", { kills: 20 }), player("3", { x: 80, hp: 0, deaths: 1, respawn_ms: 3000 })];
  fake.state = { players: ended, room: { round: 3, ends_ms: 4900, winner: 2 } };
  await page.waitForSelector("#result:not([hidden])");
  await shows(page, "#result-winner", "^P2 wins$");
  await shows(page, "#result-next", "^Next round in 5$");
  assert.deepEqual(await page.locator("#result-rows li").allTextContents(),
    ["P2 20 kills", "P1 2 kills", "P3 0 kills"]);
  assert.equal(await page.isVisible("#round"), false);
  assert.ok((await said("news")).includes("Round 3 is over. P2 wins with 20 kills."));
  // The winner leaves, and the result stays.
  fake.state = { players: [ended[0], ended[2]], room: { round: 3, ends_ms: 2900, winner: 2 } };
  await shows(page, "#result-next", "^Next round in 3$");
  await shows(page, "#result-winner", "^P2 wins$");

  fake.state = { players: [player("1"), player("3", { x: 90 })], room: { round: 4, ends_ms: 180_000, winner: 0 } };
  await shows(page, "#round", "^Round 4 (3:00|2:59)$");
  assert.equal(await page.isVisible("#result"), false);
  await shows(page, "#rows", "^1P1002P300$");
  assert.ok((await said("news")).includes("Round 4 begins."));
  assert.ok(!(await said("news")).includes("You are back."), "a living player was not away");
  await closePage(page);
});

test("who joins during a result sees it, and who wins is addressed", async (t) => {
  const fake = await stateServer(t, {
    players: [player("1", { kills: 1 }), player("2", { x: 20 })],
    room: { round: 1, ends_ms: 4000, winner: 1 },
  });
  const page = await openPage(shared.browser, fake.url);
  await inGame(page, 2);
  await shows(page, "#result-winner", "^You win!$");
  assert.deepEqual(await page.locator("#result-rows li").allTextContents(), ["P1 1 kill", "P2 0 kills"]);
  // A round without a kill has no result.
  fake.state = { players: fake.state.players, room: { round: 2, ends_ms: 1000, winner: 0 } };
  await shows(page, "#round", "^Round 2 0:01$");
  fake.state = { players: fake.state.players, room: { round: 3, ends_ms: 180_000, winner: 0 } };
  await shows(page, "#round", "^Round 3 (3:00|2:59)$");
  await closePage(page);
});

test("a dead player needs no frames after its countdown", async (t) => {
  const dead = player("2", { x: 20, hp: 0, deaths: 1, respawn_ms: 300 });
  const fake = await stateServer(t, { players: [player("1"), dead], room: running });
  const page = await openPage(shared.browser, fake.url);
  await inGame(page, 2);
  await page.waitForFunction(() => performance.now() - window.Skirmish.game.drew().at > 500);
  await closePage(page);
});

test("states: each attack of a player is drawn where it looks, also one without a hit", async (t) => {
  const attacker = (attack_tick, facing) => [player("1", { x: 10, y: 10, attack_tick: 0, facing: "DOWN" }),
    player("2", { attack_tick, facing })];
  const fake = await stateServer(t, { players: attacker(5, "DOWN"), room: running });
  const page = await openPage(shared.browser, fake.url, { prepare: rememberWedges });
  await inGame(page, 2);
  await shows(page, "#round", "Round");
  assert.deepEqual(await page.evaluate(() => window.wedges), [], "an old attack is not drawn");
  for (const [n, way] of ["LEFT", "UP", "RIGHT", "DOWN"].entries()) {
    fake.state = { players: attacker(100 + n, way), room: running };
    await drewWedge(page, way);
  }
  await closePage(page);
});

test("returning health is marked until it is full", async (t) => {
  const hurt = (hp) => ({ players: [player("1", { x: 10, hp }), player("2", { hp: 30 })], room: running });
  const fake = await stateServer(t, hurt(40));
  const page = await openPage(shared.browser, fake.url);
  await inGame(page, 2);
  const heals = (wanted) => page.waitForFunction((wanted) => {
    const { players } = window.Skirmish.game.snapshot();
    return players.length === 2 && players[0].heals === wanted && !players[1].heals;
  }, wanted);
  await heals(false);
  for (const [hp, is] of [[41, true], [42, true], [32, false], [99, true], [100, false]]) {
    fake.state = hurt(hp);
    await heals(is);
    await shows(page, "#health", `^${hp}$`);
  }
  await closePage(page);
});

test("a server without rounds and without attacks plays as before", async (t) => {
  const hit = (hp) => ({ players: [player("1", { x: 10, y: 10 }), player("2", { hp }), player("3", { x: 55 })] });
  const fake = await stateServer(t, hit(100));
  const page = await openPage(shared.browser, fake.url, { prepare: rememberWedges });
  await inGame(page, 3);
  // The attack is derived from the hit: one player was in reach.
  fake.state = hit(90);
  await page.waitForFunction(() => window.wedges.length > 0);
  assert.equal(await page.isVisible("#round"), false);
  assert.equal(await page.isVisible("#result"), false);
  await closePage(page);
});

// A server of Socket.IO that sends what the test emits.
async function eventServer(t) {
  const fake = {};
  const server = await fakeServer(t, fakeSocketIo((socket) => {
    fake.emit = (...event) => socket.send(`42${JSON.stringify(event)}`);
  }));
  fake.url = `${shared.server.battle}?server=${server.address}&dialect=socketio`;
  return fake;
}

test("events: a clock that runs by itself, a result, a new round, attacks and health", async (t) => {
  const fake = await eventServer(t);
  const page = await openPage(shared.browser, fake.url, { prepare: rememberWedges });
  await inGame(page, 1);
  const position = (more) => ({ x: 60, y: 50, hp: 100, kills: 0, deaths: 0, name: "Bob", color: "#aa3344", ...more });
  fake.emit("new_player", { id: "2", position: position() });
  await inGame(page, 2);
  assert.equal(await page.isVisible("#round"), false, "no rounds before the server sends one");
  fake.emit("room", { round: 1, ends_ms: 63_000, winner: 0 });
  await shows(page, "#round", "^Round 1 1:03$");
  await shows(page, "#round", "^Round 1 1:02$");
  fake.emit("player_attack", { id: "2", direction: "UP" });
  await drewWedge(page, "UP");
  fake.emit("player_moved", { id: "2", position: { x: 60, y: 50, hp: 40 } });
  fake.emit("player_moved", { id: "2", position: { x: 60, y: 50, hp: 45 } });
  await page.waitForFunction(() =>
    window.Skirmish.game.snapshot().players.some((one) => one.id === "2" && one.heals));

  // The page's own attack is drawn when it is made, and not again when the server confirms it.
  await page.evaluate(() => (window.wedges.length = 0));
  await page.evaluate(() => document.querySelector("#attack").click());
  await page.waitForFunction(() => window.wedges.length > 0);
  fake.emit("round", { round: 1, ends_ms: 5000, winner: "2" });
  fake.emit("room", { round: 1, ends_ms: 5000, winner: 2 });
  await shows(page, "#result-winner", "^Bob wins$");
  for (const id of ["1", "2"]) fake.emit("player_respawned", { id, position: position({ kills: 0 }) });
  const said = await listen(page, "news");
  fake.emit("round", { round: 2, ends_ms: 180_000, winner: null });
  await shows(page, "#round", "^Round 2 (3:00|2:59)$");
  assert.deepEqual((await said("news")).filter((text) => text.includes("begins")), ["Round 2 begins."]);
  await closePage(page);
});

test("the attacker of a hit is the player that has just attacked", () => {
  const Skirmish = loadParts("shared/rules.js", "shared/words.js", "battle/model.js");
  const by = [];
  const battle = Skirmish.createBattle({ onFact: (fact) => fact.kind === "hit" && by.push(fact.by?.id) });
  battle.begin("1", Skirmish.readRules(BATTLE_RULES, []));
  for (const id of ["1", "2", "3"]) battle.put(id, { x: 10, y: 10, hp: 100 });
  battle.hit("3", 90, 0);
  battle.attack("2", "LEFT", 10);
  battle.hit("3", 80, 10);
  battle.hit("3", 70, 5000);
  battle.attack("1", "LEFT", 6000);
  battle.attack("2", "LEFT", 6000);
  battle.hit("3", 60, 6000);
  assert.deepEqual(by, [undefined, "2", undefined, "1"]);
});

test("after an attack a player looks where it walks, also if only attacks have a direction", () => {
  const Skirmish = loadParts("shared/rules.js", "shared/words.js", "battle/model.js");
  const battle = Skirmish.createBattle({ onFact: () => {} });
  battle.begin("1", Skirmish.readRules(BATTLE_RULES, []));
  const facing = (raw) => battle.put("2", raw).facing;
  assert.equal(facing({ x: 10, y: 10, hp: 100 }), null);
  assert.equal(facing({ x: 15, y: 10 }), null, "unknown before an attack");
  battle.attack("2", "UP", 0);
  assert.deepEqual([{ hp: 90 }, { x: 20 }, { x: 15 }, { y: 15 }, { y: 10 }, { facing: "LEFT" }, { x: 15 }]
    .map(facing), ["UP", "RIGHT", "LEFT", "DOWN", "UP", "LEFT", "LEFT"]);
});

test("clocks are smooth, and a clock that was reset counts", () => {
  const { createRounds, battleWords } = loadParts("shared/words.js", "battle/words.js", "battle/rounds.js");
  const changes = [];
  const rounds = createRounds({
    onEnd: ({ number, winner }) => changes.push(`end ${number} ${winner}`),
    onBegin: ({ number }) => changes.push(`begin ${number}`),
  });
  const endsAt = () => rounds.current().endsAt;
  for (const wrong of [undefined, null, 7, {}, { round: 1 }, { round: "1", ends_ms: 5 }]) rounds.take(wrong, 0);
  assert.equal(rounds.current(), null);
  rounds.take({ round: 2, ends_ms: 10_000, winner: 0 }, 0);
  rounds.take({ round: 2, ends_ms: 9950, winner: 0 }, 90);
  assert.equal(endsAt(), 10_000, "late");
  rounds.take({ round: 2, ends_ms: 9900, winner: 0 }, 80);
  assert.equal(endsAt(), 9980, "early");
  rounds.take({ round: 2, ends_ms: 180_000, winner: null }, 1000);
  assert.equal(endsAt(), 181_000, "reset");
  assert.equal(rounds.begins({ round: 3 }), false, "without a result the players go on");
  rounds.take({ round: 2, ends_ms: 5000, winner: "7" }, 2000);
  rounds.take({ round: 2, ends_ms: 5000, winner: 7 }, 2001);
  assert.equal(rounds.begins({ round: 2, winner: 7 }), false);
  assert.equal(rounds.begins({ round: 3, winner: 0 }), true);
  rounds.take({ round: 3, ends_ms: 180_000, winner: 0 }, 7000);
  assert.deepEqual(changes, ["end 2 7", "begin 3"]);
  assert.deepEqual([180_000, 61_000, 59_001, 0, -5].map(battleWords.clock),
    ["3:00", "1:01", "1:00", "0:00", "0:00"]);
});
