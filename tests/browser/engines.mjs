// Chromium, Firefox and WebKitGTK play in one room. They keep both cores busy, so this runs alone,
// after the other tests.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import { ENGINES } from "./every-engine.mjs";
import {
  repository, startServer, fakeServer, inGame, placeOf, sawMove, settled, shows, toTheMiddle,
  walkTo, DOTS_RULES,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
let server;
const browsers = [];
before(async () => {
  server = await startServer({ args: ["--socketio-client", CLIENT] });
  for (const [, start] of ENGINES) browsers.push(await start());
});
after(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  await server.stop();
});

// A page in each engine, all in one room: `{name, page, id}`, with the engine as the player's name.
async function joinAll(address) {
  const players = [];
  for (const [at, [name]] of ENGINES.entries()) {
    const page = await browsers[at].open(`${address}&name=${name}`);
    players.push({ name, page });
  }
  return Promise.all(players.map(async (player) =>
    ({ ...player, id: await inGame(player.page, players.length) })));
}

const others = (players, one) => players.filter((player) => player !== one);

// Each player moves by a key, and every page sees it: the others see the same name and place.
async function moveEach(players) {
  for (const [at, player] of players.entries()) {
    const { page, id } = player;
    const [key, way] = [["ArrowUp", [0, -1]], ["ArrowLeft", [-1, 0]], ["ArrowDown", [0, 1]]][at];
    const from = await placeOf(page, id);
    await page.keyboard.down(key);
    await Promise.all(players.map(({ page }) => sawMove(page, id, from, way)));
    await page.keyboard.up(key);
    const { x, y } = await settled(page, id);
    await Promise.all(others(players, player).map(({ page }) =>
      seesAt(page, id, { name: player.name, x, y })));
  }
}

// Waits until a page has player `id` with this name at this place.
function seesAt(page, id, expected) {
  return page.waitForFunction(({ id, expected }) => {
    const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
    return Object.entries(expected).every(([key, value]) => player[key] === value);
  }, { id, expected });
}

// Watches player `id` from now on: `seen` waits until its health has dropped from one look to the
// next, since health may also return.
async function watchForHit(page, id) {
  const dropped = (id) => {
    const { hp } = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
    const looks = (window.looks = window.looks || {});
    const before = looks[id] ?? hp;
    looks[id] = hp;
    return hp < before;
  };
  await page.evaluate(dropped, id);
  return { seen: page.waitForFunction(dropped, id) };
}

async function leaveAll(players) {
  for (const { name, page } of players) assert.deepEqual(await page.errors(), [], name);
  await Promise.all(players.map(({ page }) => page.close()));
}

for (const dialect of ["json", "v1"]) {
  test(`three engines play dots, ${dialect}`, async () => {
    const players =
      await joinAll(`${server.dots}?room=dots-engines-${dialect}&dialect=${dialect}&net=1`);
    for (const { page } of players) {
      await shows(page, "#net-dialect", dialect === "v1" ? "^skirmish.v1$" : "^JSON$");
    }
    await Promise.all(players.map(({ page, id }) => toTheMiddle(page, id)));
    await moveEach(players);
    await leaveAll(players);
  });
}

for (const dialect of ["json", "socketio", "v1"]) {
  test(`three engines play battle, ${dialect}`, async () => {
    const players =
      await joinAll(`${server.battle}?room=battle-engines-${dialect}&dialect=${dialect}`);
    for (const { page } of players) {
      assert.equal(await page.evaluate(() => typeof window.io === "function"),
        dialect === "socketio");
      await shows(page, "#via", "^websocket$");
    }
    await Promise.all(players.map(({ page, id }) => walkTo(page, id, { x: 50, y: 50 })));
    for (const attacker of players) {
      const victims = others(players, attacker);
      const hits = await Promise.all(
        players.flatMap(({ page }) => victims.map(({ id }) => watchForHit(page, id))));
      await attacker.page.keyboard.press("Space");
      await Promise.all(hits.map(({ seen }) => seen));
    }
    await moveEach(players);
    await leaveAll(players);
  });
}

// Firefox runs the timers that are overdue before it delivers the messages that wait.
for (const [at, [name]] of ENGINES.entries()) {
  test(`a blocked page does not take the server for silent, ${name}`, async (t) => {
    const fake = await fakeServer(t, (socket) => {
      const send = (message) => socket.send(JSON.stringify(message));
      send({ type: "init", id: "1", silence_ms: 2500, rules_data: DOTS_RULES });
      let tick = 0;
      const players = [{ id: "1", x: 100, y: 100, color: "#336699" }];
      const timer = setInterval(() => send({ type: "state_update", tick: tick++, players }), 50);
      socket.on("close", () => clearInterval(timer));
    });
    const page = await browsers[at].open(`${server.dots}?server=${fake.address}`);
    await inGame(page, 1);
    await page.evaluate(() => {
      const label = document.querySelector("#state");
      window.labels = [];
      new MutationObserver(() => window.labels.push(label.textContent))
        .observe(label, { childList: true, characterData: true, subtree: true });
      setTimeout(() => {
        const end = performance.now() + 4000;
        while (performance.now() < end);
        window.unblockedAt = window.Skirmish.game.snapshot().tick;
      });
    });
    // 80 of these states were sent before, and after the others each timer has run again.
    await page.waitForFunction(() =>
      window.Skirmish.game.snapshot().tick > window.unblockedAt + 120);
    assert.deepEqual(await page.evaluate(() => window.labels), []);
    assert.equal(fake.connections, 1);
    assert.deepEqual(await page.errors(), []);
    await page.close();
  });
}
