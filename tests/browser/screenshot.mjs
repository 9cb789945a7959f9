// Writes a picture of a game with players in it:
//   node screenshot.mjs docs/dots.png [light|dark]
//   node screenshot.mjs docs/battle.png [light|dark] battle
//   node screenshot.mjs docs/world.png [light|dark] world
import path from "node:path";
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import {
  startServer, startBrowser, openPage, closePage, inGame, joinBot, toTheMiddle, repository,
} from "./harness.mjs";

const [file, colorScheme = "light", game = "dots"] = process.argv.slice(2);
// Each moves the players until the picture shows the game, and returns what stops them.
const GAMES = { dots, battle, world };
if (file === undefined || !(game in GAMES)) {
  console.error("usage: node screenshot.mjs FILE.png [light|dark] [dots|battle|world]");
  process.exit(2);
}

const NAMES = ["Ann", "Bashir", "Chidi", "Dana", "Émile", "Farida", "Goro", "Hana"];
const KEYS = { UP: "ArrowUp", RIGHT: "ArrowRight", DOWN: "ArrowDown", LEFT: "ArrowLeft" };

const server = await startServer({ args: ["--map", "1600x1400"] });
const browser = await startBrowser();
const [query, height, deviceScaleFactor] =
  game === "battle" ? ["&dialect=json", 810, 1.5] : ["", 720, game === "dots" ? 2 : 1];
const page = await openPage(browser, `${server[game]}?name=Zoe${query}`, {
  viewport: { width: 1100, height }, deviceScaleFactor, colorScheme,
});
const id = await inGame(page, 1);
const bots = [];
for (const name of { dots: NAMES, battle: NAMES.slice(0, 7), world: [] }[game]) {
  bots.push(await joinBot(`${server.ws}?room=${game}&name=${encodeURIComponent(name)}`));
}

const stop = await GAMES[game]();
await mkdir(path.dirname(path.resolve(file)), { recursive: true });
await page.screenshot({ path: file });

stop();
await closePage(page);
await Promise.all(bots.map((bot) => bot.leave()));
await browser.close();
await server.stop();

// The load test has the other players.
async function world() {
  const load = spawn(path.join(repository, "target", "debug", "skirmish"), [
    "load", server.ws, "--dialect", "v1", "--clients", "200", "--attacks-hz", "0.3", "--pattern",
    "straight", "--moves-hz", "0.5", "--seconds", "60",
  ], { stdio: "ignore" });
  await page.waitForFunction(() => document.querySelectorAll("#feed li:not(.old)").length >= 2 &&
    window.Skirmish.world.drawn().bodies >= 60 &&
    Number.parseFloat(document.querySelector("#ping").textContent) < 60, null, { timeout: 60_000 });
  await page.keyboard.press("Space");
  await page.waitForTimeout(100);
  return () => load.kill("SIGINT");
}

async function dots() {
  // Each bot walks its own square, so that bots do not meet and do not reach a wall.
  const ways = ["UP", "RIGHT", "DOWN", "LEFT"];
  let step = 0;
  const walk = setInterval(() => {
    step++;
    bots.forEach((bot, n) => bot.move(ways[(Math.floor(step / (9 + n)) + n) % 4]));
  }, 50);

  await toTheMiddle(page, id);
  // Wait until the numbers are filled in and the last join was announced.
  await page.waitForFunction(() => document.querySelector("#news").textContent.includes("joined"));
  await page.keyboard.down("ArrowRight");
  await page.waitForFunction((id) => {
    const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
    window.startX ??= player.x;
    return player.x - window.startX >= 80 && document.querySelector("#rate").textContent === "20/s";
  }, id);
  return () => clearInterval(walk);
}

async function battle() {
  // The page's player fights as the bots do, by key. The picture is hers, so she strikes most.
  const fighters = [
    {
      id, attackEvery: 6, players: () => bots[0].players,
      move: (way) => page.keyboard.press(KEYS[way]),
      attack: () => page.keyboard.press("Space"),
    },
    ...bots.map((bot, n) => ({
      id: bot.id, attackEvery: 9 + 2 * n, players: () => bot.players, move: bot.move,
      attack: () => bot.socket.send(JSON.stringify({ type: "attack" })),
    })),
  ];
  let step = 0;
  const fight = setInterval(() => {
    step++;
    fighters.forEach((fighter, n) => {
      const players = fighter.players();
      const me = players.find((one) => one.id === fighter.id);
      if (me === undefined || me.hp === 0) return;
      const others = players.filter((one) => one !== me && one.hp > 0);
      if ((step + n) % 4 === 0) {
        const way = wayOf(me, others);
        if (way !== "STAY") fighter.move(way);
      }
      const hasTarget = others.some((one) => Math.hypot(one.x - me.x, one.y - me.y) <= 10);
      if (hasTarget && (step + n) % fighter.attackEvery === 0) fighter.attack();
    });
  }, 50);

  // A moment at which there is all that may be seen, and nothing of it hides another.
  await page.waitForFunction((id) => {
    const { players } = window.Skirmish.game.snapshot();
    const me = players.find((one) => one.id === id);
    const alive = players.filter((one) => one.hp > 0);
    const hurt = alive.filter((one) => one.hp < 100);
    const spread = (axis) =>
      Math.max(...players.map((one) => one[axis])) - Math.min(...players.map((one) => one[axis]));
    const apart = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);
    window.hits ??= new Map();
    for (const { id, hp } of players) {
      const last = window.hits.get(id);
      if (last === undefined || last.hp !== hp) {
        const at = last !== undefined && hp < last.hp ? performance.now() : -Infinity;
        window.hits.set(id, { hp, at });
      }
    }
    const now = performance.now();
    const since = (one) => now - window.hits.get(one.id).at;
    const fresh = alive.filter((one) => one !== me && since(one) < 200);
    // The arena turns red for a player that was just hit, which would hide the rest.
    return since(me) > 450 && me.hp > 30 && me.hp < 100 && me.kills >= 2 &&
      fresh.length >= 2 && hurt.length >= 3 && alive.length >= 5 && alive.length < players.length &&
      players.every((one) => one.y > 12 && one.y < 95 && one.x > 8 && one.x < 92) &&
      players.every((one) => players.every((other) => one === other || apart(one, other) >= 7)) &&
      Math.min(spread("x"), spread("y")) >= 25 &&
      document.querySelector("#feed li:not(.old) b.me") !== null &&
      document.querySelectorAll("#feed li:not(.old)").length >= 3;
  }, id, { timeout: 300_000 });
  return () => clearInterval(fight);
}

// Towards the nearest player until an attack reaches it, but not so near that they overlap;
// of the four directions and of standing still, the best one.
function wayOf(me, others) {
  const ways = { STAY: [0, 0], UP: [0, -5], RIGHT: [5, 0], DOWN: [0, 5], LEFT: [-5, 0] };
  const worth = ([dx, dy]) => {
    const [x, y] = [me.x + dx, me.y + dy];
    const far = others.map((one) => Math.hypot(one.x - x, one.y - y));
    const narrow = far.reduce((sum, one) => sum + Math.max(0, 8 - one), 0);
    const outside = Math.max(0, 15 - x, x - 85) + Math.max(0, 15 - y, y - 85);
    return Math.abs(Math.min(...far) - 9) + 3 * narrow + 2 * outside;
  };
  return Object.keys(ways).reduce((best, way) =>
    (worth(ways[way]) < worth(ways[best]) ? way : best));
}
