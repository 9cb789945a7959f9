// Starts the server and the browser for a test, and stops both. Every wait has a condition.
import { before, after, beforeEach, afterEach } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import vm from "node:vm";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { inspect, isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";
import WebSocket, { WebSocketServer } from "ws";

const here = path.dirname(fileURLToPath(import.meta.url));
export const repository = path.join(here, "..", "..");
export const browserPath = process.env.CHROMIUM || "/usr/bin/chromium";
export const browserArgs = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
// The timeout of a wait, long enough for a slow machine.
const TIMEOUT_MS = 30_000;
const binary = process.env.SKIRMISH_BIN || path.join(repository, "target", "debug", "skirmish");

// A signal that ends the tests also ends their processes: see "exit" below.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

// Starts the server on `port`; 0, the default, is a free port.
export async function startServer({ port = 0, args = [] } = {}) {
  const child = spawn(binary, ["--listen", `127.0.0.1:${port}`, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  // The server ends with the tests, however they end.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);

  let said = "";
  const base = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no address was printed:\n${said}`)),
      TIMEOUT_MS);
    const read = (chunk) => {
      said += chunk;
      if (!said.includes("Ctrl-C")) return;
      clearTimeout(timer);
      resolve(/https?:\/\/[^\s/]+:\d+\//.exec(said)[0]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", (chunk) => (said += chunk));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}:\n${said}`)));
  });

  return {
    base,
    // The address of --admin-listen, if it is set.
    admin: /Metrics: (.*)metrics/.exec(said)?.[1],
    dots: `${base}client.html`,
    battle: `${base}battle.html`,
    world: `${base}world.html`,
    port: Number(new URL(base).port),
    ws: base.replace("http", "ws") + "ws",
    signal: (name) => child.kill(name),
    async stop() {
      child.kill("SIGTERM");
      const code = await exited;
      process.removeListener("exit", kill);
      return code;
    },
  };
}

// Makes a certificate for localhost and 127.0.0.1 in a folder. Returns the flags of a server with it.
export function certificateFlags(folder) {
  const [cert, key] = ["cert.pem", "key.pem"].map((name) => path.join(folder, name));
  execFileSync("openssl", [
    "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", cert, "-keyout", key,
  ], { stdio: "ignore" });
  return ["--cert", cert, "--key", key];
}

export function startBrowser() {
  return chromium.launch({ executablePath: browserPath, headless: true, args: browserArgs });
}

// The rules as the server sends them, for tests with a fake server or without one.
export const DOTS_RULES = {
  name: "dots", map: [0, 0, 500, 500], walls: [10, 10, 490, 490], spawn: [50, 50, 450, 450],
  step: 10, tick_ms: 50, moves_saved: 10,
};
export const BATTLE_RULES = {
  name: "battle", map: [0, 0, 100, 100], walls: [0, 0, 100, 100], spawn: [0, 0, 100, 100],
  step: 5, tick_ms: 50, moves_saved: 10,
  hp: 100, reach: 10, damage: 10, cooldown_ms: 250, respawn_ms: 3000,
};

// Runs parts of the pages that need no browser.
export function loadParts(...names) {
  const context = vm.createContext({ URL, TextDecoder });
  for (const name of names) {
    vm.runInContext(readFileSync(path.join(repository, "www", name), "utf8"), context);
  }
  return context.Skirmish;
}

// A server and a browser for all tests of a file, set before the tests run.
export function serverAndBrowser(options) {
  const shared = {};
  before(async () => {
    shared.server = await startServer(options);
    shared.browser = await startBrowser();
  });
  after(async () => {
    await shared.browser.close();
    assert.equal(await shared.server.stop(), 0, "the server ends cleanly");
  });
  return shared;
}

// A server and a browser for all tests of a file, and for each test a new room with Ann and Bob, so
// that the tests do not affect each other. `pageOf(name)` is the address for another player in that
// room, and `query` is added to each address.
export function annAndBob(game, query = "") {
  const shared = serverAndBrowser();
  let rooms = 0;
  shared.pageOf = (name) => `${shared.server[game]}?room=${shared.room}&name=${name}${query}`;
  beforeEach(async () => {
    shared.room = `${game}-${rooms++}`;
    for (const [key, name] of [["ann", "Ann"], ["bob", "Bob"]]) {
      shared[key] = await openPage(shared.browser, shared.pageOf(name));
    }
    const { ann, bob } = shared;
    [shared.annId, shared.bobId] = await Promise.all([inGame(ann, 2), inGame(bob, 2)]);
  });
  afterEach(() => Promise.all([closePage(shared.ann), closePage(shared.bob)]));
  return shared;
}

// What the browser reports when a server stops or refuses a connection. The official client may also use
// a WebSocket that is being closed.
export const REFUSED =
  /Failed to load resource|WebSocket connection to|WebSocket is already in CLOSING/;

// A page in its own context, which collects its errors.
// `expected` is a pattern for console errors that the test provokes on purpose; `prepare` may
// change the page before it is loaded.
export async function openPage(browser, url, { expected = null, prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, ...options });
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(`page error: ${error.stack || error}`));
  page.on("console", (message) => {
    if (message.type() !== "error") return;
    const text = `${message.text()} (${message.location().url})`;
    if (expected === null || !expected.test(text)) page.errors.push(`console: ${text}`);
  });
  // The hosts of all requests; a page should only send them to its own server.
  page.hosts = new Set();
  page.on("request", (request) => page.hosts.add(new URL(request.url()).host));
  page.sent = [];
  page.on("websocket", (socket) => {
    page.hosts.add(new URL(socket.url()).host);
    socket.on("framesent", ({ payload }) => page.sent.push(String(payload)));
  });
  // Names and rooms come from other players: a dialog means that one was executed.
  page.on("dialog", (dialog) => {
    page.errors.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  explainTimeouts(page);
  if (prepare) await prepare(page);
  await page.goto(url);
  return page;
}

// Adds what the page knows to the error of a condition that does not become true.
function explainTimeouts(page) {
  const waitForFunction = page.waitForFunction.bind(page);
  page.waitForFunction = async (...args) => {
    try {
      return await waitForFunction(...args);
    } catch (error) {
      const state = await page.evaluate(() => ({
        state: document.body.dataset.state,
        text: document.body.innerText,
        isHidden: document.hidden,
        hasFocus: document.hasFocus(),
        focus: document.activeElement?.outerHTML.slice(0, 100),
        held: [...document.querySelectorAll(".held")].map((one) => one.outerHTML),
        game: window.Skirmish?.game?.snapshot(),
      })).catch(String);
      error.message += `\n${JSON.stringify({ state, errors: page.errors, args: args.slice(1) })}`;
      throw error;
    }
  };
}

export async function closePage(page) {
  await page.context().close();
  if (page.errors.length > 0) throw new Error(page.errors.join("\n"));
}

// Waits until the page is in a connection state, which is an attribute of its body.
export function inState(page, state) {
  return page.waitForFunction((wanted) => document.body.dataset.state === wanted, state);
}

// Waits until the page is in the game with this number of players. Returns the own id.
export async function inGame(page, players) {
  await inState(page, "open");
  const handle = await page.waitForFunction((count) => {
    const { id, players } = window.Skirmish.game.snapshot();
    return players.some((player) => player.id === id) &&
      (count === null || players.length === count) && id;
  }, players ?? null);
  return handle.jsonValue();
}

// Waits until the text of an element matches.
export function shows(page, selector, pattern) {
  return page.waitForFunction(([selector, pattern]) =>
    new RegExp(pattern).test(document.querySelector(selector).textContent), [selector, pattern]);
}

// Records the texts of elements from now on, since some are shown only briefly. Returns a
// function that reads them by the element's id. The text of a canvas is its label.
export async function listen(page, ...ids) {
  await page.evaluate((ids) => {
    window.said = {};
    for (const id of ids) {
      const element = document.getElementById(id);
      const said = (window.said[id] = []);
      const words = () => element.tagName === "CANVAS" ? element.ariaLabel : element.textContent;
      const look = () => said.push(words());
      const what = { childList: true, attributeFilter: ["aria-label"] };
      new MutationObserver(look).observe(element, what);
    }
  }, ids);
  return (id) => page.evaluate((id) => window.said[id], id);
}

// The countdown of a dead player goes down; a busy page may skip seconds.
export function assertCountdown(said) {
  const seconds = said.map((text) => Number(/^Back in ([123])$/.exec(text)[1]));
  assert.ok(seconds.length > 0 && seconds.every((one, i) => i === 0 || one < seconds[i - 1]), said.join());
}

// Waits until this page knows that player `id` has `hp` health.
export function hpIs(page, id, hp) {
  return page.waitForFunction(({ id, hp }) =>
    window.Skirmish.game.snapshot().players.find((one) => one.id === id)?.hp === hp, { id, hp });
}

// One attack, by a click without a pointer: a key that is released late would attack twice.
export function attack(page) {
  return page.evaluate(() => document.querySelector("#attack").click());
}

// The newest place of player `id` that this page has received.
export function placeOf(page, id) {
  return page.evaluate(
    (wanted) => window.Skirmish.game.snapshot().players.find((player) => player.id === wanted), id);
}

// Waits until this page has seen player `id` move from `from`, by the signs of the distance.
export function sawMove(page, id, from, [signX, signY]) {
  return page.waitForFunction(({ id, from, signX, signY }) => {
    const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
    return player !== undefined &&
      Math.sign(player.x - from.x) === signX && Math.sign(player.y - from.y) === signY;
  }, { id, from, signX, signY });
}

// A key that moves a player on every map, and its sign: to the left, but for the left wall.
export const freeWay = ({ x }) => x > 0 ? ["ArrowLeft", -1] : ["ArrowRight", 1];

export const movesIn = (page) => page.sent.filter((text) => text.includes('"move"'));

// Walks player `id` of `page` away from every wall, so that each direction is free.
export async function toTheMiddle(page, id) {
  const keys = [
    ["ArrowLeft", "x", 1], ["ArrowRight", "x", -1], ["ArrowUp", "y", 1], ["ArrowDown", "y", -1],
  ];
  for (const [key, axis, sign] of keys) {
    const here = await placeOf(page, id);
    if ((here[axis] - 250) * sign <= 60) continue;
    await page.keyboard.down(key);
    await page.waitForFunction(({ id, axis, sign }) => {
      const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
      return (player[axis] - 250) * sign <= 60;
    }, { id, axis, sign });
    await page.keyboard.up(key);
  }
  return settled(page, id);
}

// Walks player `id` of a page of the battle to within `near` of a place, in x and in y: with a held
// key, and at the end by single steps, since a key that is released late leads past the place.
export async function walkTo(page, id, to, near = 3) {
  // A slow browser lets go of a key late. Then it walks step by step: it would only pass the place
  // again, in the other direction.
  let last = null;
  let isLate = false;
  for (;;) {
    const here = await settled(page, id);
    const axis = Math.abs(here.x - to.x) > Math.abs(here.y - to.y) ? "x" : "y";
    const away = to[axis] - here[axis];
    if (Math.abs(away) <= near) return here;
    isLate ||= last?.axis === axis && last.away * away < 0;
    const ways = { x: ["Left", "Right"], y: ["Up", "Down"] }[axis];
    const way = ways[away < 0 ? 0 : 1];
    if (isLate || Math.abs(away) < 20) {
      await page.evaluate(({ way, far }) => {
        const button = document.querySelector(`[data-direction="${way}"]`);
        const steps = Math.round(far / window.Skirmish.game.rules().step);
        for (let step = 0; step < Math.min(steps, 4); step++) button.click();
      }, { way: way.toUpperCase(), far: Math.abs(away) });
      continue;
    }
    last = { axis, away };
    await page.keyboard.down(`Arrow${way}`);
    await page.waitForFunction(({ id, axis, to, sign }) => {
      const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
      return (to - player[axis]) * sign < 20;
    }, { id, axis, to: to[axis], sign: Math.sign(away) });
    await page.keyboard.up(`Arrow${way}`);
  }
}

// Waits until player `id` has kept its place for five updates and five checks, since the page itself
// may have been suspended. Returns the place.
export async function settled(page, id) {
  const handle = await page.waitForFunction((id) => {
    const { players, tick } = window.Skirmish.game.snapshot();
    const player = players.find((one) => one.id === id);
    if (player === undefined) return false;
    const memo = (window.settling = window.settling || {});
    if (memo.x !== player.x || memo.y !== player.y) {
      Object.assign(memo, { x: player.x, y: player.y, tick, looks: 0 });
    }
    return ++memo.looks > 5 && tick - memo.tick >= 5 && { x: player.x, y: player.y };
  }, id);
  const place = await handle.jsonValue();
  await page.evaluate(() => delete window.settling);
  return place;
}

// Waits until `read` returns `expected`.
export async function eventually(read, expected) {
  let given;
  const isExpected = async () => isDeepStrictEqual(given = await read(), expected);
  await until(isExpected, () => `${inspect(expected)}; it is still ${inspect(given)}`);
}

// Waits until `condition`, which may be async, is true in this process. `what` describes it in the
// error; it is a text or a function that returns one.
export async function until(condition, what, timeoutMs = TIMEOUT_MS) {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) {
      throw new Error(`timed out: ${typeof what === "function" ? what() : what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

// The value of a metric of the server.
export async function metric({ base }, name) {
  const text = await (await fetch(`${base}metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)[1]);
}

// A player without a browser.
export async function joinBot(url) {
  const socket = new WebSocket(url);
  const bot = { socket, id: null, players: [] };
  const first = new Promise((resolve) => {
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "init") bot.id = message.id;
      if (message.type === "state_update") {
        bot.players = message.players;
        resolve();
      }
    });
  });
  await once(socket, "open");
  await first;
  bot.move = (direction) => socket.send(JSON.stringify({ type: "move", direction }));
  bot.leave = async () => {
    if (socket.readyState === WebSocket.CLOSED) return;
    socket.close();
    await once(socket, "close");
  };
  return bot;
}

// A server of test `t`'s own, which ends with it: `script(socket, n, url)` is called with connection
// number n, from 0, and the path and query of its request.
export async function fakeServer(t, script) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  const fake = { connections: 0, closed: 0, received: [] };
  server.on("connection", (socket, { url }) => {
    socket.on("close", () => fake.closed++);
    socket.on("message", (data) => fake.received.push(String(data)));
    script(socket, fake.connections++, url);
  });
  await once(server, "listening");
  fake.address = `127.0.0.1:${server.address().port}`;
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return fake;
}

// What a fake server of Socket.IO does with each connection: it lets the player in with these rules,
// and then calls `script(socket, n)`.
export const fakeSocketIo = (script, rules = BATTLE_RULES) => (socket, n) => {
  const pings = { pingInterval: 25000, pingTimeout: 20000 };
  socket.send(`0${JSON.stringify({ sid: "x", upgrades: [], maxPayload: 9999, ...pings })}`);
  socket.on("message", (data) => {
    if (!String(data).startsWith("40")) return;
    socket.send('40{"sid":"1"}');
    socket.send(`42${JSON.stringify(["rules", rules])}`);
    socket.send('42["player_moved",{"id":"1","position":{"x":50,"y":50,"hp":100}}]');
    script(socket, n);
  });
};
