// Pages as in a tutorial: they trust the server, come from another origin, and load their own client
// of Socket.IO, current or old.
import { test, describe, before, after } from "node:test";
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import path from "node:path";
import {
  REFUSED, repository, startServer, startBrowser, openPage, closePage, until,
} from "./harness.mjs";
import { TRANSPORTS } from "./clients.mjs";

const CLIENTS = ["socket.io-client", "socket.io-client-4.0"];
const STEP = 5;
// A command without effect is repeated after this time: the server allows no faster attacks, and a
// step has no effect if the page has just received an old place.
const AGAIN_MS = 250;
// Many clients are busy at the same time here.
const TIMEOUT_MS = 30_000;

// The page never checks whether a player is known: a fact about an unknown player is an error of
// the page. `options` go to the client.
const pageOf = (url, options) => `<!doctype html>
<meta charset="utf-8">
<title>My battle</title>
<link rel="icon" href="data:,">
<canvas id="game" width="400" height="400"></canvas>
<ul id="log"></ul>
<script src="/socket.io.js"></script>
<script>
  const ctx = document.getElementById("game").getContext("2d");
  const socket = io(${JSON.stringify(url)}, ${JSON.stringify(options)});
  let players = {};

  socket.on("connect", () => {
    players = {};
  });
  socket.on("new_player", ({ id, position }) => {
    players[id] = position;
    log(position.name + " joined");
    draw();
  });
  socket.on("player_moved", ({ id, position }) => {
    if (id === socket.id) {
      players[id] = position;
    } else {
      players[id].x = position.x;
      players[id].y = position.y;
    }
    draw();
  });
  socket.on("player_attacked", ({ id, hp }) => {
    players[id].hp = hp;
    draw();
  });
  socket.on("player_killed", ({ id, by }) => {
    players[id].dead = true;
    log(players[by].name + " killed " + players[id].name);
    draw();
  });
  socket.on("player_respawned", ({ id, position }) => {
    if (!players[id].dead) throw new Error(id + " was not dead");
    players[id] = position;
    draw();
  });
  socket.on("player_left", ({ id }) => {
    log(players[id].name + " left");
    delete players[id];
    draw();
  });

  document.addEventListener("keydown", (e) => {
    const me = players[socket.id];
    if (e.key === "ArrowLeft") me.x -= ${STEP};
    if (e.key === "ArrowRight") me.x += ${STEP};
    if (e.key === "ArrowUp") me.y -= ${STEP};
    if (e.key === "ArrowDown") me.y += ${STEP};
    if (e.key.startsWith("Arrow")) socket.emit("move", { x: me.x, y: me.y });
    if (e.key === " ") socket.emit("attack");
  });

  function log(text) {
    const li = document.createElement("li");
    li.textContent = text;
    document.getElementById("log").appendChild(li);
  }

  function draw() {
    ctx.clearRect(0, 0, 400, 400);
    for (const id in players) {
      const p = players[id];
      ctx.fillStyle = id === socket.id ? "blue" : p.color;
      ctx.fillRect(p.x * 4 - 8, p.y * 4 - 8, 16, 16);
      ctx.fillText(p.name + " " + p.hp.toFixed(), p.x * 4 - 8, p.y * 4 - 12);
    }
  }
</script>
`;

// Another site, which serves the client, and at /NAME the page of that player.
async function startSite(client) {
  const dist = path.join(repository, "tests/browser/node_modules", client, "dist/socket.io.js");
  const script = readFileSync(dist);
  const site = createServer((request, response) => {
    const isScript = request.url === "/socket.io.js";
    response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : site.pageOf(request.url.slice(1)));
  });
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  site.origin = `http://127.0.0.1:${site.address().port}`;
  return site;
}

// Waits until the condition holds in a page. It polls: a check on each frame would make all nine
// pages draw every frame.
const sees = (page, condition, argument, options) =>
  page.waitForFunction(condition, argument, { polling: 20, ...options });

// Player `id` as a page knows it.
const playerIn = (page, id) => page.evaluate((id) => players[id], id);

// Waits until each page is in the game and knows exactly the players of all pages. Returns their
// ids.
async function together(...pages) {
  let ids;
  await until(async () => {
    const views = await Promise.all(pages.map((page) => page.evaluate(() =>
      ({ me: socket.connected && socket.id, known: Object.keys(players) }))));
    ids = views.map(({ me }) => me);
    const all = JSON.stringify([...ids].sort());
    return views.every(({ me, known }) => me && JSON.stringify(known.sort()) === all);
  }, `${pages.length} know each other`, TIMEOUT_MS);
  return ids;
}

const standsAt = (page, id, { x, y }) => sees(page, ({ id, x, y }) =>
  players[id] && players[id].x === x && players[id].y === y, { id, x, y });

const within = (page, condition, argument) =>
  sees(page, condition, argument, { timeout: AGAIN_MS }).then(() => true, () => false);

// Presses an arrow key `count` times in one call.
const press = (page, key, times) => page.evaluate(({ key, times }) => {
  for (let i = 0; i < times; i++) document.dispatchEvent(new KeyboardEvent("keydown", { key }));
}, { key, times });

// Four steps at once towards the middle, which all pages see; no player has moved for a while.
async function fourSteps(page, id, all) {
  const { x, y } = await playerIn(page, id);
  const [key, sign] = x <= 50 ? ["ArrowRight", 1] : ["ArrowLeft", -1];
  await press(page, key, 4);
  await Promise.all(all.map((one) => standsAt(one, id, { x: x + sign * 4 * STEP, y })));
}

// Walks player `id` of `page` to within a step of a place, as `witness` sees it.
async function walk(page, id, to, witness) {
  await until(async () => {
    const { x, y } = await playerIn(witness, id);
    const ways = [["ArrowLeft", x - to.x], ["ArrowRight", to.x - x], ["ArrowUp", y - to.y],
      ["ArrowDown", to.y - y]];
    const [key, far] = ways.reduce((one, other) => (one[1] > other[1] ? one : other));
    if (far < STEP) return true;
    await press(page, key, Math.min(4, Math.floor(far / STEP)));
    await within(witness, ({ id, x, y }) =>
      players[id].x !== x || players[id].y !== y, { id, x, y });
    return false;
  }, `player ${id} comes to ${to.x} ${to.y}`, TIMEOUT_MS);
}

// Attacks until all pages see that at most this health is left. The log shows a death even after the
// respawn.
async function attackUntil(page, victim, hp, all) {
  const isHit = ({ victim, hp }) => players[victim].hp <= hp ||
    document.getElementById("log").textContent.includes(" killed ");
  await until(async () => {
    await page.keyboard.press("Space");
    return within(page, isHit, { victim, hp });
  }, `an attack that leaves ${hp}`, TIMEOUT_MS);
  await Promise.all(all.map((one) => sees(one, isHit, { victim, hp })));
}

const shared = {};
before(async () => (shared.browser = await startBrowser()));
after(() => shared.browser.close());

// A fight mostly waits, so two run at the same time.
describe("a page from another origin", { concurrency: 2 }, () => {
  for (const transports of TRANSPORTS) {
    for (const client of CLIENTS) {
      test(`${client} over ${transports.join(" and then ")}`, (t) => play(t, client, transports));
    }
  }
});

async function play(t, client, transports) {
  const site = await startSite(client);
  t.after(() => {
    site.close();
    site.closeAllConnections();
  });
  // Behind a proxy no page may connect just because it is on this machine.
  const args = ["--allow-origin", site.origin, "--trusted-proxy", "192.0.2.1"];
  const first = await startServer({ args });
  t.after(first.stop);

  // There must be no error before the server stops.
  let goes = false;
  const expected = { test: (text) => goes && REFUSED.test(text) };
  site.pageOf = (name) =>
    pageOf(first.base, { transports, auth: { room: "battle-of-mine", name } });
  const enter = (name) => openPage(shared.browser, `${site.origin}/${name}`, { expected });

  const ann = await enter("Ann");
  await together(ann);
  const bob = await enter("Bob");
  await together(ann, bob);
  const cleo = await enter("Cleo");
  const [annId, bobId, cleoId] = await together(ann, bob, cleo);
  const all = [ann, bob, cleo];
  await Promise.all(all.map((page) => sees(page, (name) =>
    socket.io.engine.transport.name === name, transports.at(-1))));

  await fourSteps(ann, annId, all);
  await Promise.all([
    walk(ann, annId, { x: 20, y: 20 }, cleo), walk(bob, bobId, { x: 20, y: 20 }, cleo),
    walk(cleo, cleoId, { x: 80, y: 80 }, ann),
  ]);

  for (let hp = 90; hp >= 0; hp -= 10) await attackUntil(ann, bobId, hp, all);
  await Promise.all(all.map((page) =>
    sees(page, (id) => players[id].hp === 100 && !players[id].dead, bobId)));
  const back = await playerIn(bob, bobId);
  await Promise.all(all.map((page) => standsAt(page, bobId, back)));
  assert.match(await cleo.textContent("#log"), /Ann killed Bob/);

  await closePage(cleo);
  await together(ann, bob);
  await bob.reload();
  await together(ann, bob);
  const dora = await enter("Dora");
  const now = [ann, bob, dora];
  await together(...now);

  goes = true;
  assert.equal(await first.stop(), 0);
  await Promise.all(now.map((page) => sees(page, () => !socket.connected)));
  const second = await startServer({ port: first.port, args });
  t.after(second.stop);
  const ids = await together(...now);
  for (const [n, page] of now.entries()) await fourSteps(page, ids[n], now);
  for (const page of now) await closePage(page);
}
