// The pages play with the numbers that the server sends: here those of no game of ours.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  repository, serverAndBrowser, openPage, closePage, inGame, shows, until, fakeServer, fakeSocketIo,
  loadParts, movesIn, DOTS_RULES, BATTLE_RULES,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const WALL_PX = 8;
const shared = serverAndBrowser({ args: ["--socketio-client", CLIENT] });

// A map that is neither square nor at the origin.
const DOTS = {
  ...DOTS_RULES, map: [100, 0, 1100, 400], walls: [130, 30, 1070, 370], step: 40, tick_ms: 150,
};
const BATTLE = {
  ...BATTLE_RULES, map: [0, 0, 200, 200], walls: [0, 0, 200, 200],
  hp: 40, reach: 30, cooldown_ms: 700, respawn_ms: 8000,
};
const player = (id, x, y, more) => ({ id, x, y, color: "#336699", ...more });

// A fake server of the JSON dialect, which sends the same players on each tick.
const sends = (rules, players) => (socket) => {
  const send = (message) => socket.send(JSON.stringify(message));
  send({ type: "init", id: "1", room: "r", rules: rules.name, rules_data: rules });
  let tick = 0;
  const timer = setInterval(
    () => send({ type: "state_update", tick: tick++, players }), rules.tick_ms);
  socket.on("close", () => clearInterval(timer));
};

// Records each circle that the page draws, as "x,y,radius" in whole pixels.
const recordCircles = (page) => page.addInitScript(() => {
  window.circles = new Set();
  const arc = CanvasRenderingContext2D.prototype.arc;
  CanvasRenderingContext2D.prototype.arc = function (x, y, radius, ...rest) {
    window.circles.add([x, y, radius].map(Math.round).join());
    return arc.call(this, x, y, radius, ...rest);
  };
});

// Records when the page sends a command that contains `text`, by the clock of the page.
const recordSends = (page, text) => page.addInitScript((text) => {
  window.sentAt = [];
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    if (String(data).includes(text)) window.sentAt.push(performance.now());
    return send.call(this, data);
  };
}, text);

async function leastGap(page, count) {
  const handle = await page.waitForFunction((count) =>
    window.sentAt.length >= count && window.sentAt.slice(1).map((at, i) => at - window.sentAt[i]), count);
  return Math.min(...await handle.jsonValue());
}

const isDrawn = (page, circle) => page.waitForFunction((circle) => window.circles.has(circle), circle);
const canvasSide = (page) => page.evaluate(() => document.querySelector("canvas").width);

test("dots draws, predicts and repeats steps by the rules of the server", async (t) => {
  const fake = await fakeServer(t, sends(DOTS, [player("1", 1020, 200)]));
  const page = await openPage(shared.browser, `${shared.server.dots}?server=${fake.address}`, {
    prepare: async (page) => {
      await recordCircles(page);
      await recordSends(page, '"move"');
    },
  });
  await inGame(page, 1);
  const side = await canvasSide(page);
  const scale = (side - 2 * WALL_PX) / 1000;
  // The ring around the own dot. A dot has the radius of the gap between wall and map.
  const ringAt = (x) =>
    [side / 2 + (x - 600) * scale, side / 2, 30 * scale + 3.5].map(Math.round).join();
  await isDrawn(page, ringAt(1020));
  await page.keyboard.down("ArrowRight");
  // One step of 40, and then the wall is in the way.
  await isDrawn(page, ringAt(1060));
  await isDrawn(page, ringAt(1070));
  const gap = await leastGap(page, 4);
  assert.ok(gap > 100, `a step after ${gap} ms`);
  await page.keyboard.up("ArrowRight");
  const [x] = (await page.evaluate(() => Array.from(window.circles)))
    .map((circle) => Number(circle.split(",")[0])).sort((a, b) => b - a);
  assert.ok(x <= side / 2 + 470 * scale + 1, `drawn at ${x}, behind the wall`);
  assert.ok(movesIn(page).length >= 4);
  await closePage(page);
});

for (const dialect of ["json", "socketio"]) {
  test(`the battle in ${dialect} has the reach, health and cooldown of the server`, async (t) => {
    const fighter = (id, x) => player(id, x, 100, { hp: 40, kills: 0, deaths: 0, respawn_ms: 0 });
    const [own, other] = [fighter("1", 100), fighter("2", 128)];
    const inSocketIo = fakeSocketIo((socket) => {
      const send = (...event) => socket.send(`42${JSON.stringify(event)}`);
      send("player_moved", { id: "1", position: own });
      send("new_player", { id: "2", position: other });
    }, BATTLE);
    const fake = await fakeServer(t, dialect === "json" ? sends(BATTLE, [own, other]) : inSocketIo);
    const url = `${shared.server.battle}?server=${fake.address}&dialect=${dialect}`;
    const page = await openPage(shared.browser, url, {
      prepare: async (page) => {
        await recordCircles(page);
        await recordSends(page, "attack");
      },
    });
    await inGame(page, 2);
    await page.waitForFunction(() =>
      document.querySelector("canvas").ariaLabel.includes("You have 40 health. In your reach: 1."));
    const side = await canvasSide(page);
    // The arena has a margin of 3 units on each side. The player stands in its middle.
    const reach = 30 * (side - 2 * WALL_PX) / 206;
    await isDrawn(page, [side / 2, side / 2, reach].map(Math.round).join());
    await page.keyboard.down("Space");
    const gap = await leastGap(page, 3);
    assert.ok(gap >= 690, `an attack after ${gap} ms`);
    await page.keyboard.up("Space");
    await closePage(page);
  });
}

test("a room with other rules over Socket.IO has a link to the page that plays it", async (t) => {
  const fake = await fakeServer(t, fakeSocketIo(() => {}, DOTS_RULES));
  const url = `${shared.server.battle}?server=${fake.address}&dialect=socketio&room=tea`;
  const page = await openPage(shared.browser, url);
  await shows(page, "#sentence", "The room “tea” plays dots");
  assert.match(await page.getAttribute("#out", "href"), /client\.html\?server=.*&room=tea$/);
  await until(() => fake.closed === 1, "the page leaves");
  await closePage(page);
});

test("a server that sends no rules cannot be played on", async (t) => {
  const fake = await fakeServer(t, (socket) => socket.send('{"type":"init","id":"1","room":"r"}'));
  const page = await openPage(shared.browser, `${shared.server.dots}?server=${fake.address}`);
  await shows(page, "#sentence", "does not send the numbers");
  assert.equal(await page.isVisible("#retry"), true);
  await closePage(page);
});

test("rules are read only if they are complete", () => {
  const { readRules } = loadParts("shared/rules.js");
  const { map, step, tickMs, numbers } = readRules(BATTLE, ["hp", "reach"]);
  assert.deepEqual({ ...map }, { left: 0, top: 0, right: 200, bottom: 200 });
  assert.deepEqual([step, tickMs, numbers.reach, numbers.cooldown_ms], [5, 50, 30, 700]);
  for (const wrong of [
    null, "rules", {}, { ...BATTLE, name: 7 }, { ...BATTLE, map: [0, 0, 200] },
    { ...BATTLE, map: [0, 0, 0, 200] }, { ...BATTLE, walls: "high" }, { ...BATTLE, step: 0 },
    { ...BATTLE, tick_ms: "50" }, { ...BATTLE, reach: undefined },
  ]) assert.equal(readRules(wrong, ["hp", "reach"]), null, JSON.stringify(wrong));
});
