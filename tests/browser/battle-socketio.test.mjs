// The battle in real tabs, over Socket.IO with the official client, which the server serves.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  REFUSED, repository, startServer, serverAndBrowser, openPage, closePage, inState, inGame, placeOf,
  hpIs, shows, listen, sawMove, walkTo, attack, assertCountdown, metric, until, joinBot, fakeServer,
  fakeSocketIo,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.js");
const ARGS = ["--socketio-client", CLIENT];

// Later than any test lasts, for a clock that begins at 0.
const MUCH_LATER = 600_000;

const shared = serverAndBrowser({ args: ARGS });
const pageOf = (room, name) => `${shared.server.battle}?room=${room}&name=${name}`;

test("two tabs move, fight, die and respawn", async () => {
  const ann = await openPage(shared.browser, pageOf("battle-two", "Ann"));
  const annId = await inGame(ann, 1);
  const bob = await openPage(shared.browser, pageOf("battle-two", "Bob"));
  const [bobId] = await Promise.all([inGame(bob, 2), inGame(ann, 2)]);
  assert.equal(await ann.evaluate(() => typeof window.io), "function");
  await shows(ann, "#via", "^websocket$");
  await shows(ann, "#ping", "^(<1|\\d+) ms$");
  assert.equal(await ann.textContent("#room"), "battle-two");
  assert.equal(await ann.textContent("#my-id"), "Ann");
  assert.equal((await placeOf(ann, bobId)).name, "Bob");
  await shows(ann, "#news", "^Bob joined\\.$");

  await walkTo(bob, bobId, { x: 20, y: 20 });
  const from = await walkTo(ann, annId, { x: 20, y: 20 });
  await ann.keyboard.press("ArrowDown");
  await sawMove(bob, annId, from, [0, 1]);
  // Walk back into reach.
  await walkTo(ann, annId, { x: 20, y: 20 });
  await attack(ann);
  await Promise.all([hpIs(ann, bobId, 90), hpIs(bob, bobId, 90)]);
  const received = await listen(bob, "feed", "dead-by", "dead-for");
  const textsOfAnn = await listen(ann, "feed");
  await ann.keyboard.down("Space");
  await bob.waitForSelector("#dead:not([hidden])");
  await ann.keyboard.up("Space");
  await Promise.all([ann, bob].map((page) => shows(page, "#rows", "^1Ann102Bob01$")));
  await bob.waitForSelector("#dead", { state: "hidden" });
  for (const by of [received, textsOfAnn]) assert.equal((await by("feed"))[0], "Ann killed Bob");
  assert.deepEqual(await received("dead-by"), ["Ann killed you"]);
  assertCountdown(await received("dead-for"));
  await Promise.all([hpIs(ann, bobId, 100), hpIs(bob, bobId, 100)]);
  assert.deepEqual(await placeOf(ann, bobId).then(({ x, y }) => [x, y]),
    await placeOf(bob, bobId).then(({ x, y }) => [x, y]));

  await bob.goto("about:blank");
  await inGame(ann, 1);
  await shows(ann, "#news", "^Bob left\\.$");
  const own = new URL(shared.server.base).host;
  assert.deepEqual([...ann.hosts], [own], "all requests go to the server");
  await closePage(ann);
  await bob.context().close();
});

test("both dialects play in one room", async () => {
  const ann = await openPage(shared.browser, pageOf("battle-both", "Ann"));
  const annId = await inGame(ann, 1);
  const bob = await openPage(shared.browser, `${pageOf("battle-both", "Bob")}&dialect=json`);
  const [bobId] = await Promise.all([inGame(bob, 2), inGame(ann, 2)]);
  assert.equal(await bob.evaluate(() => typeof window.io), "undefined");
  await walkTo(ann, annId, { x: 20, y: 20 });
  await walkTo(bob, bobId, { x: 20, y: 20 });
  assert.equal((await placeOf(bob, annId)).name, "Ann");
  await attack(ann);
  await hpIs(bob, bobId, 90);
  await attack(bob);
  await hpIs(ann, annId, 90);
  await shows(ann, "#health", "^90$");
  await closePage(bob);
  await inGame(ann, 1);
  await closePage(ann);
});

test("a name is shown as the others see it", async () => {
  const long = "Ann of the seven seas";
  const ann = await openPage(shared.browser, pageOf("battle-name", long));
  const annId = await inGame(ann, 1);
  const bob = await openPage(shared.browser, pageOf("battle-name", "Bob"));
  await inGame(bob, 2);
  const { name } = await placeOf(bob, annId);
  assert.equal(name, "Ann of the seven");
  await shows(ann, "#my-id", `^${name}$`);
  await closePage(bob);
  await closePage(ann);
});

test("a room that plays dots links to its page", async () => {
  const dots = await openPage(shared.browser, `${shared.server.dots}?room=tea`);
  await inGame(dots, 1);
  const page = await openPage(shared.browser, pageOf("tea", "Ann"));
  await inState(page, "stopped");
  await shows(page, "#sentence", "^The room “tea” plays dots\\.$");
  await inGame(dots, 1);
  await page.click("#out");
  await page.waitForURL(`${shared.server.dots}?room=tea&name=Ann`);
  await inGame(page, 2);
  await closePage(page);
  await closePage(dots);
});

test("a browser without WebSocket plays by polling, and the page says so", async () => {
  const page = await openPage(shared.browser, pageOf("battle-poll", "Ann"), {
    prepare: (page) => page.addInitScript(() => delete window.WebSocket),
  });
  const id = await inGame(page, 1);
  await shows(page, "#via", "^polling$");
  await shows(page, "#ping", "^(<1|\\d+) ms$");
  await walkTo(page, id, { x: 50, y: 50 });
  await closePage(page);
});

for (const [transport, prepare] of [
  ["websocket", () => {}],
  ["polling", (page) => page.addInitScript(() => delete window.WebSocket)],
]) {
  test(`a proxy finds the room in every request over ${transport}`, async () => {
    const urls = [];
    const page = await openPage(shared.browser, pageOf("mate", "Ann") + "&rules=battle", {
      prepare: (page) => {
        page.on("request", (request) => urls.push(new URL(request.url())));
        page.on("websocket", (socket) => urls.push(new URL(socket.url())));
        return prepare(page);
      },
    });
    await inGame(page, 1);
    await shows(page, "#via", `^${transport}$`);
    assert.equal(await page.textContent("#room"), "mate");
    const asked = urls.filter(({ pathname }) => pathname === "/socket.io/");
    assert.ok(asked.length > 0);
    for (const { searchParams } of asked) assert.equal(searchParams.get("room"), "mate");
    await closePage(page);
  });
}

test("a player that stands still gets no facts, and the server is not late", async () => {
  const page = await openPage(shared.browser, pageOf("battle-still", "Ann"));
  await inGame(page, 1);
  await page.evaluate(() => {
    const state = document.querySelector("#state");
    window.states = [state.textContent];
    const look = () => window.states.push(state.textContent);
    new MutationObserver(look).observe(state, { childList: true, characterData: true, subtree: true });
  });
  // It pings once per second, for longer than the time after which a server is late.
  const pings = await metric(shared.server, "skirmish_received_frames_total");
  await until(async () =>
    await metric(shared.server, "skirmish_received_frames_total") >= pings + 4, "four pings");
  assert.deepEqual(new Set(await page.evaluate(() => window.states)), new Set(["Connected"]));
  await closePage(page);
});

test("the server restarts: a countdown, and the page reconnects by itself", async (t) => {
  const first = await startServer({ args: ARGS });
  t.after(first.stop);
  const page = await openPage(shared.browser, `${first.battle}?name=Zoe`, { expected: REFUSED });
  await inGame(page, 1);
  await shows(page, "#via", "^websocket$");
  const received = await listen(page, "countdown", "sentence");
  assert.equal(await first.stop(), 0);
  await shows(page, "#sentence", "^The server is restarting\\.$");
  // A failed attempt does not change the sentence.
  await page.click("#retry");
  await until(async () => (await received("countdown")).lastIndexOf("Connecting …") >= 0 &&
    /\d/.test((await received("countdown")).at(-1)), "it waits again");
  assert.deepEqual(new Set(await received("sentence")), new Set(["The server is restarting."]));
  const second = await startServer({ port: first.port, args: ARGS });
  t.after(second.stop);
  const id = await inGame(page, 1);
  assert.equal(await page.isVisible("#notice"), false);
  await walkTo(page, id, { x: 50, y: 50 });
  await closePage(page);
});

test("the button reconnects at once", async (t) => {
  const first = await startServer({ args: ARGS });
  t.after(first.stop);
  const page = await openPage(shared.browser, first.battle, {
    expected: REFUSED, prepare: (page) => page.addInitScript(() => (Math.random = () => 0.999)),
  });
  await inGame(page, 1);
  await first.stop();
  // After some failed attempts the wait has grown.
  await page.waitForFunction(() =>
    /in [6-8] s/.test(document.querySelector("#countdown").textContent));
  await shows(page, "#sentence", "does not answer\\.$");
  const second = await startServer({ port: first.port, args: ARGS });
  t.after(second.stop);
  assert.equal(await page.evaluate(() => {
    document.querySelector("#retry").click();
    return document.querySelector("#countdown").textContent;
  }), "Connecting …");
  await inGame(page, 1);
  await closePage(page);
});

for (const [what, flag] of [["room", "--room-players-max"], ["server", "--connections-max"]]) {
  test(`a page waits for a full ${what}, and joins when there is space`, async (t) => {
    const small = await startServer({ args: [...ARGS, flag, "1"] });
    t.after(small.stop);
    const bot = await joinBot(`${small.ws}?room=battle`);
    const page = await openPage(shared.browser, `${small.battle}?name=Ann`, { expected: REFUSED });
    await shows(page, "#notice", "full[^]*Reconnecting in \\d+ s");
    await bot.leave();
    await inGame(page, 1);
    await closePage(page);
  });
}

test("a room that does not exist: the server's sentence, and a link to the default room", async (t) => {
  const closed = await startServer({
    args: [...ARGS, "--rooms-open", "false", "--room", "battle=battle"],
  });
  t.after(closed.stop);
  const page = await openPage(shared.browser, `${closed.battle}?room=tea&name=Ann`, {
    expected: REFUSED,
  });
  await inState(page, "stopped");
  assert.match(await page.textContent("#sentence"), /^The server says: .*You asked for “tea”\.$/);
  await page.click("#out");
  await inGame(page, 1);
  assert.equal(page.url(), `${closed.battle}?name=Ann`);
  await closePage(page);
});

const openWith = (fake, prepare) => openPage(
  shared.browser, `${shared.server.battle}?server=${fake.address}&dialect=socketio`, { prepare });
const showsItself = (page) =>
  page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

// Stops the clock of the page until the test runs it.
async function stopClock(page) {
  await page.clock.install({ time: 0 });
  await page.clock.pauseAt(1000);
}

test("the wait grows while connections end at once", async (t) => {
  let drops = true;
  let last;
  const fake = await fakeServer(t, fakeSocketIo((socket) => {
    last = socket;
    if (drops) socket.close(1011);
  }));
  const page = await openWith(fake, async (page) => {
    await page.clock.install({ time: 0 });
    await page.addInitScript(() => (Math.random = () => 0.999));
  });
  await shows(page, "#countdown", "in [3-9] s$");
  drops = false;
  await page.click("#retry");
  await inGame(page, 1);
  await page.clock.pauseAt(MUCH_LATER);
  last.close(1011);
  await shows(page, "#countdown", "^Reconnecting in 1 s$");
  await closePage(page);
});

test("a page that becomes visible reconnects at once, unless the server set the wait", async (t) => {
  const fake = await fakeServer(t, fakeSocketIo((socket, n) => {
    if (n === 0) socket.close(1011);
    if (n === 1) socket.close(1012, '{"retry_ms":60000}');
  }));
  const page = await openWith(fake, stopClock);
  await inState(page, "waiting");
  await showsItself(page);
  await shows(page, "#sentence", "restarting");
  await inState(page, "waiting");
  await showsItself(page);
  assert.equal(await page.evaluate(() => document.body.dataset.state), "waiting");
  assert.equal(fake.connections, 2);
  await page.click("#retry");
  await inGame(page, 1);
  await closePage(page);
});

test("after a time in the background the server is not late at once", async (t) => {
  const fake = await fakeServer(t, fakeSocketIo(() => {}));
  const page = await openWith(fake, stopClock);
  await inGame(page, 1);
  const hide = (is) => page.evaluate((is) =>
    Object.defineProperty(document, "hidden", { value: is, configurable: true }), is);
  await hide(true);
  await showsItself(page);
  await page.clock.runFor(10_000);
  await hide(false);
  await showsItself(page);
  await page.clock.runFor(500);
  assert.equal(await page.textContent("#state"), "Connected");
  // This server never sends anything.
  await page.clock.runFor(3_000);
  assert.equal(await page.textContent("#state"), "Waiting for the server");
  await closePage(page);
});

test("the countdown starts when the killer is known", async (t) => {
  let last;
  const fake = await fakeServer(t, fakeSocketIo((socket) => {
    last = socket;
    socket.send('42["player_attacked",{"id":"1","hp":0}]');
  }));
  const page = await openWith(fake);
  await shows(page, "#health", "^0$");
  assert.equal(await page.isVisible("#dead"), false);
  last.send('42["player_killed",{"id":"1","by":"2","respawn_ms":3000}]');
  await page.waitForSelector("#dead:not([hidden])");
  await shows(page, "#dead-by", "^You were killed$");
  await closePage(page);
});

test("the page uses JSON when the server never sends the client", async () => {
  let page;
  let onAsked;
  const asked = new Promise((resolve) => (onAsked = resolve));
  const opening = openPage(shared.browser, pageOf("battle-slow", "Ann"), {
    prepare: async (fresh) => {
      page = fresh;
      await page.clock.install();
      await page.route("**/socket.io.js", onAsked);
    },
  });
  const route = await asked;
  await page.clock.fastForward(6_000);
  await inGame(page, 1);
  await page.keyboard.press("Space");
  await until(() => page.sent.includes('{"type":"attack"}'), "an attack in JSON");
  // The page is not loaded until the request is answered. A late client changes nothing.
  await route.continue();
  await opening;
  assert.equal(await page.evaluate(() => document.body.dataset.state), "open");
  await closePage(page);
});
