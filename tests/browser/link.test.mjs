// How the page connects to its server, loses it, and reconnects.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import { pathToFileURL } from "node:url";
import {
  REFUSED, repository, startServer, serverAndBrowser, openPage, closePage, inState, inGame, sawMove,
  movesIn, toTheMiddle, until, fakeServer, shows, BATTLE_RULES, DOTS_RULES,
} from "./harness.mjs";

const PLAYER = { id: "1", x: 100, y: 100, color: "#336699" };

const shared = serverAndBrowser();

const openWith = (fake, options) =>
  openPage(shared.browser, `${shared.server.dots}?server=${fake.address}`, options);

function welcome(socket) {
  socket.send(JSON.stringify({ type: "init", id: "1", rules_data: DOTS_RULES }));
  socket.send(JSON.stringify({ type: "state_update", players: [PLAYER] }));
}

test("the server restarts, and both tabs reconnect by themselves", async (t) => {
  const first = await startServer();
  t.after(first.stop);
  const options = { expected: REFUSED };
  const open = () => openPage(shared.browser, first.dots, options);
  const pages = [await open(), await open()];
  await Promise.all(pages.map((page) => inGame(page, 2)));
  await pages[0].evaluate(() => {
    const label = document.querySelector("#state");
    window.labels = [];
    new MutationObserver(() => window.labels.push(label.textContent))
      .observe(label, { childList: true, characterData: true, subtree: true });
  });
  assert.equal(await first.stop(), 0);
  await Promise.all(pages.map((page) =>
    page.waitForFunction(() => document.body.dataset.state !== "open")));
  const second = await startServer({ port: first.port });
  t.after(second.stop);
  const ids = await Promise.all(pages.map((page) => inGame(page, 2)));
  const labels = await pages[0].evaluate(() => window.labels);
  assert.deepEqual([...new Set(labels)].sort(), ["Connected", "Connecting", "Reconnecting"]);
  const from = await toTheMiddle(pages[0], ids[0]);
  await pages[0].keyboard.press("ArrowUp");
  await sawMove(pages[1], ids[0], from, [0, -1]);
  await Promise.all(pages.map(closePage));
  assert.equal(await second.stop(), 0);
});

test("a page from the disk plays on the server in its address", async () => {
  const file = pathToFileURL(path.join(repository, "www", "client.html"));
  const query = `server=ws://127.0.0.1:${shared.server.port}/&room=dots-file`;
  const page = await openPage(shared.browser, `${file}?${query}`);
  const id = await inGame(page, 1);
  const from = await toTheMiddle(page, id);
  await page.keyboard.press("KeyD");
  await sawMove(page, id, from, [1, 0]);
  await closePage(page);
});

test("the battle from the disk plays too", async () => {
  const file = pathToFileURL(path.join(repository, "www", "battle.html"));
  const query = `server=ws://127.0.0.1:${shared.server.port}/&room=battle-file`;
  const page = await openPage(shared.browser, `${file}?${query}`);
  await inGame(page, 1);
  await closePage(page);
});

for (const [query, sentence] of [
  ["server=not%20a%20server", /“not a server” is not a server address/],
  ["server=ftp://example/", /is not a server address/],
  ["server=javascript:alert(1)", /is not a server address/],
  ["server=%3Cimg%20src=x%20onerror=alert(1)%3E", /is not a server address/],
  ["room=../../Etc", /“..\/..\/Etc” is not a room name/],
]) {
  test(`a wrong address shows a sentence: ${query}`, async () => {
    const page = await openPage(shared.browser, `${shared.server.dots}?${query}`);
    await inState(page, "stopped");
    assert.match(await page.textContent("#sentence"), sentence);
    assert.equal(await page.isVisible("#sentence"), true);
    // Only the notice shows it, with a link to the default room.
    assert.ok((await page.locator("#news").boundingBox()).width <= 1);
    assert.equal(await page.title(), "Skirmish: not connected");
    await page.click("#out");
    await inGame(page);
    assert.equal(page.url(), shared.server.dots);
    await closePage(page);
  });
}

test("an empty or strange query breaks nothing", async () => {
  const query = "server=&room=&name=&utm_source=%FF&x[]=1#part";
  const page = await openPage(shared.browser, `${shared.server.dots}?${query}`);
  await inGame(page);
  await closePage(page);
});

test("a server that knows only init, state_update and move is enough", async (t) => {
  let place = { ...PLAYER };
  const fake = await fakeServer(t, (socket) => {
    welcome(socket);
    const sendState = () => socket.send(JSON.stringify({ type: "state_update", players: [place] }));
    const timer = setInterval(sendState, 50);
    socket.on("close", () => clearInterval(timer));
    socket.on("message", (data) => {
      if (JSON.parse(data).direction === "RIGHT") place = { ...place, x: place.x + 10 };
    });
  });
  const page = await openWith(fake);
  const id = await inGame(page, 1);
  await page.keyboard.press("ArrowRight");
  await sawMove(page, id, PLAYER, [1, 0]);
  // On a slow machine a short press may last two steps.
  assert.deepEqual([...new Set(movesIn(page))], ['{"type":"move","direction":"RIGHT"}']);
  await until(() => fake.received.some((text) => text.includes('"ping"')), "a ping");
  assert.equal(await page.textContent("#ping"), "–");
  assert.equal(await page.textContent("#room"), "–");
  await closePage(page);
});

// Holds the script of the page back until `release` is called.
function holdScript(name = "client") {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const prepare = (page) => page.route(new RegExp(`${name}\\.[0-9a-f]{16}\\.js$`), async (route) => {
    await released;
    await route.continue();
  });
  return { prepare, release };
}

test("the socket opens before the script has arrived, and nothing is lost", async (t) => {
  const fake = await fakeServer(t, welcome);
  const { prepare, release } = holdScript();
  const opening = openWith(fake, { prepare });
  await until(() => fake.connections === 1, "a connection");
  release();
  const page = await opening;
  await inGame(page, 1);
  assert.equal(fake.connections, 1);
  await closePage(page);
});

test("the battle opens its socket early, too, for its own room", async (t) => {
  const fake = await fakeServer(t, (socket, n, url) => {
    assert.deepEqual(Object.fromEntries(new URL(url, "ws://x").searchParams),
      { room: "battle", rules: "battle", resume: "1" });
    socket.send(JSON.stringify({ type: "init", id: "1", rules_data: BATTLE_RULES }));
    socket.send(JSON.stringify({ type: "state_update", players: [{ ...PLAYER, hp: 100 }] }));
  });
  const { prepare, release } = holdScript("battle");
  const opening = openPage(shared.browser, `${shared.server.battle}?server=${fake.address}`, { prepare });
  await until(() => fake.connections === 1, "a connection");
  release();
  const page = await opening;
  await inGame(page, 1);
  assert.equal(fake.connections, 1);
  await closePage(page);
});

test("a close before the script has arrived is not lost either", async (t) => {
  const fake = await fakeServer(t, (socket) => socket.close(1008, "no such room"));
  const { prepare, release } = holdScript();
  const opening = openWith(fake, { prepare });
  await until(() => fake.closed === 1, "the page answers the close");
  release();
  const page = await opening;
  await inState(page, "stopped");
  assert.equal(await page.textContent("#sentence"), "The server says: no such room.");
  assert.equal(fake.connections, 1);
  await closePage(page);
});

test("a page without its script closes the early socket, and connects again with the script", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    const state = JSON.stringify({ type: "state_update", players: [PLAYER] });
    welcome(socket);
    for (let i = 0; n === 0 && i < 200; i++) socket.send(state);
  });
  const { prepare, release } = holdScript();
  const opening = openWith(fake, { prepare });
  await until(() => fake.closed === 1, "the page closes the connection");
  release();
  const page = await opening;
  await inGame(page, 1);
  assert.equal(fake.connections, 2);
  await closePage(page);
});

test("4013, full: the page waits as long as the server asks, and reconnects", async (t) => {
  const times = [];
  const fake = await fakeServer(t, (socket, n) => {
    times.push(performance.now());
    if (n === 0) socket.close(4013, '{"retry_ms":1500}');
    else welcome(socket);
  });
  const page = await openWith(fake);
  const notice = await page.waitForFunction(() =>
    document.body.dataset.state === "waiting" && document.querySelector("#notice").textContent);
  assert.match(await notice.jsonValue(), /full[^]*Reconnecting in [12] s/);
  await inGame(page, 1);
  assert.ok(times[1] - times[0] >= 1400, `it came after ${times[1] - times[0]} ms`);
  assert.equal(await page.isVisible("#notice"), false);
  await closePage(page);
});

test("the button reconnects at once", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 0) socket.close(4012, '{"retry_ms":60000}');
    else welcome(socket);
  });
  const page = await openWith(fake);
  await inState(page, "waiting");
  await page.click("#retry");
  await inGame(page, 1);
  await closePage(page);
});

const FINAL = [[4029, /too many/], [4009, /another window/], [1008, /does not accept/]];
for (const [code, sentence] of FINAL) {
  test(`${code}: the page reconnects only by its button`, async (t) => {
    const fake = await fakeServer(t, (socket, n) => {
      welcome(socket);
      if (n === 0) socket.close(code);
    });
    const page = await openWith(fake, { prepare: (page) => page.clock.install() });
    await inState(page, "stopped");
    assert.match(await page.textContent("#sentence"), sentence);
    await page.keyboard.press("ArrowUp");
    await page.clock.fastForward(120_000);
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    assert.equal(await page.evaluate(() => document.body.dataset.state), "stopped");
    assert.equal(fake.connections, 1);
    await page.click("#retry");
    await inGame(page, 1);
    await closePage(page);
  });
}

test("4000, idle: the page reconnects on the next key", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    welcome(socket);
    if (n === 0) socket.close(4000);
  });
  const page = await openWith(fake);
  await inState(page, "stopped");
  assert.equal(fake.connections, 1);
  await page.keyboard.press("ArrowUp");
  await inGame(page, 1);
  await closePage(page);
});

test("a silent server is disconnected, and going online ends a wait", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 1) socket.close(4012, '{"retry_ms":60000}');
    else welcome(socket);
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  await inGame(page, 1);
  await page.clock.fastForward(6_000);
  await page.clock.fastForward(1_000);
  await until(() => fake.connections === 2, "a second connection");
  await inState(page, "waiting");
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await inGame(page, 1);
  assert.equal(fake.connections, 3);
  await closePage(page);
});

test("after a silence an attempt without an answer is followed by another", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 0 || n === 4) welcome(socket);
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  await inGame(page, 1);
  await page.clock.fastForward(6_000);
  await page.clock.fastForward(1_000);
  await until(() => fake.connections === 2, "an attempt after the silence");
  for (const [attempt, ms] of [[3, 2_000], [4, 2_000], [5, 4_000]]) {
    await page.clock.fastForward(ms - 500);
    assert.equal(await page.textContent("#sentence"), "The server stopped responding.");
    assert.equal(fake.connections, attempt - 1, "not before its time");
    await page.clock.fastForward(500);
    await until(() => fake.connections === attempt, `connection ${attempt}`);
  }
  await inGame(page, 1);
  await page.clock.fastForward(4_000);
  await inState(page, "open");
  await until(() => fake.closed === 4, "the others end");
  await closePage(page);
});

test("an attempt that is answered has its time also after a silence", async (t) => {
  const sockets = [];
  const fake = await fakeServer(t, (socket, n) => {
    sockets.push(socket);
    if (n === 0) welcome(socket);
    else socket.send(JSON.stringify({ type: "notice", text: "Wait" }));
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  await inGame(page, 1);
  await page.clock.fastForward(6_000);
  await page.clock.fastForward(1_000);
  await shows(page, "#announcement", "Wait");
  await page.clock.runFor(5_000);
  welcome(sockets[1]);
  await inGame(page, 1);
  assert.equal(fake.connections, 2);
  await closePage(page);
});

// What each connection says about a resume, by the address of its socket.
const resumeOf = (url) => new URL(url, "ws://x").searchParams.get("resume");

function welcomeWith(socket, terms) {
  socket.send(JSON.stringify({ type: "init", id: "1", rules_data: DOTS_RULES, ...terms }));
  socket.send(JSON.stringify({ type: "state_update", players: [PLAYER] }));
}

test("after a loss a page presents the newest token, and else it asks for one", async (t) => {
  const asked = [];
  // What ends each connection; undefined is a loss.
  const ends = [undefined, 1000, 1001, 4006, 4012, 4000];
  let end;
  const fake = await fakeServer(t, (socket, n, url) => {
    asked.push(resumeOf(url));
    welcomeWith(socket, { token: `token-${n}`, resume_s: 30 });
    end = () => ends[n] === undefined ? socket.terminate() : socket.close(ends[n]);
  });
  const page = await openWith(fake, {
    expected: REFUSED, prepare: (page) => page.addInitScript(() => (Math.random = () => 0)),
  });
  for (let n = 1; n < ends.length; n++) {
    await inGame(page, 1);
    end();
    await until(() => fake.connections === n + 1, `connection ${n}`);
  }
  await inGame(page, 1);
  end();
  await inState(page, "stopped");
  await page.keyboard.press("ArrowUp");
  await inGame(page, 1);
  assert.deepEqual(asked,
    ["1", "token-0", "token-1", "token-2", "token-3", "token-4", "1"]);
  await closePage(page);
});

test("a token is presented until its time is over, also if attempts fail", async (t) => {
  const asked = [];
  const fake = await fakeServer(t, (socket, n, url) => {
    asked.push(resumeOf(url));
    if (n === 0) welcomeWith(socket, { token: "first", resume_s: 30 });
    else if (n === 3) welcomeWith(socket, {});
    if (n < 2) socket.close(4012, '{"retry_ms":10000}');
    if (n === 2) socket.close(4012, '{"retry_ms":20000}');
    if (n === 3) socket.close(1001);
    if (n === 4) welcomeWith(socket, {});
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  for (const [n, waitMs] of [[1, 10_000], [2, 10_000], [3, 20_000]]) {
    await inState(page, "waiting");
    await page.clock.fastForward(waitMs);
    await until(() => fake.connections > n, `connection ${n}`);
  }
  await inGame(page, 1);
  assert.deepEqual(asked, ["1", "first", "first", "1", "1"]);
  await closePage(page);
});

test("a page that has its player again shows it before it receives a state", async (t) => {
  const sockets = [];
  const fake = await fakeServer(t, (socket, n) => {
    sockets.push(socket);
    const id = n < 2 ? "1" : "2";
    const terms = { token: `token-${n}`, resume_s: 30 };
    if (n === 0) welcomeWith(socket, terms);
    else socket.send(JSON.stringify({ type: "init", id, rules_data: DOTS_RULES, ...terms }));
  });
  const page = await openWith(fake, { expected: REFUSED });
  const shown = () => page.evaluate(() => window.Skirmish.game.snapshot());
  await inGame(page, 1);
  const { x, y } = PLAYER;
  await page.waitForFunction(() => window.Skirmish.game.drew().place !== null);
  sockets[0].terminate();
  await until(() => fake.connections === 2, "a second connection");
  await inState(page, "open");
  const { id, players } = await shown();
  assert.equal(id, "1");
  assert.deepEqual(players.map((player) => [player.x, player.y]), [[x, y]]);
  assert.deepEqual(await page.evaluate(() => window.Skirmish.game.drew().place), { x, y });
  sockets[1].terminate();
  await until(() => fake.connections === 3, "a third connection");
  await inState(page, "open");
  const other = await shown();
  assert.deepEqual([other.id, other.players], ["2", []], "another player is not there yet");
  await closePage(page);
});

for (const code of [4009, 4029]) {
  test(`${code}: the button presents no token`, async (t) => {
    const asked = [];
    const fake = await fakeServer(t, (socket, n, url) => {
      asked.push(resumeOf(url));
      welcomeWith(socket, { token: "first", resume_s: 30 });
      if (n === 0) socket.close(code);
    });
    const page = await openWith(fake);
    await inState(page, "stopped");
    await page.click("#retry");
    await inGame(page, 1);
    assert.deepEqual(asked, ["1", "1"]);
    await closePage(page);
  });
}

test("a connection counts from its init on, and going online replaces an attempt", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 0) socket.send(JSON.stringify({ type: "pong", t: 1 }));
    else welcome(socket);
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  await until(() => fake.connections === 1, "a connection");
  await page.clock.fastForward(2_000);
  assert.equal(await page.evaluate(() => document.body.dataset.state), "connecting");
  await page.evaluate(() => window.dispatchEvent(new Event("online")));
  await inGame(page, 1);
  assert.equal(fake.connections, 2);
  await until(() => fake.closed === 1, "the first connection ends");
  await closePage(page);
});

test("waits grow while connections end at once, and are short again after a long one", async (t) => {
  let drops = true;
  let last;
  const fake = await fakeServer(t, (socket) => {
    welcome(socket);
    last = socket;
    if (drops) socket.close(1011);
  });
  const page = await openWith(fake, {
    prepare: async (page) => {
      await page.clock.install({ time: 0 });
      await page.addInitScript(() => (Math.random = () => 0.999));
    },
  });
  const shows = (pattern) => page.waitForFunction((pattern) =>
    new RegExp(pattern).test(document.querySelector("#countdown").textContent), pattern);
  await shows("in [3-9] s$");
  drops = false;
  await page.click("#retry");
  await inGame(page, 1);
  // It lasts, and then it ends; the clock has stopped before the page notices.
  await page.clock.pauseAt(600_000);
  last.close(1011);
  const countdown = await page.waitForFunction(() => document.body.dataset.state === "waiting" &&
    document.querySelector("#countdown").textContent);
  assert.equal(await countdown.jsonValue(), "Reconnecting in 1 s");
  await closePage(page);
});

test("1008 with a sentence: it is shown, with the room as typed and a link to the default room", async (t) => {
  const fake = await fakeServer(t, (socket) => {
    welcome(socket);
    socket.close(1008, "there is no such room");
  });
  const page = await openPage(
    shared.browser, `${shared.server.dots}?server=${fake.address}&room=Tea&name=Ann`);
  await inState(page, "stopped");
  assert.equal(await page.textContent("#sentence"),
    "The server says: there is no such room. You asked for “Tea”.");
  const out = new URL(await page.getAttribute("#out", "href"));
  assert.deepEqual(Object.fromEntries(out.searchParams), { server: fake.address, name: "Ann" });
  await closePage(page);
});

test("a restart is shown until the server should be back", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 0) socket.close(4012, '{"retry_ms":60000}');
    else socket.terminate();
  });
  const page = await openWith(fake, {
    expected: REFUSED, prepare: (page) => page.clock.install(),
  });
  const sentence = () => page.textContent("#sentence");
  await inState(page, "waiting");
  assert.equal(await sentence(), "The server is restarting.");
  await page.click("#retry");
  await until(() => fake.connections >= 2, "a second connection");
  await inState(page, "waiting");
  assert.equal(await sentence(), "The server is restarting.");
  await page.clock.fastForward(11_000);
  await page.waitForFunction(() =>
    document.querySelector("#sentence").textContent.endsWith("does not answer."));
  await page.waitForFunction(() => document.title === "Skirmish: reconnecting");
  await closePage(page);
});

test("a server that sends nothing for two seconds is shown as late", async (t) => {
  let sendState;
  const fake = await fakeServer(t, (socket) => {
    welcome(socket);
    sendState = () => socket.send(JSON.stringify({ type: "state_update", players: [PLAYER] }));
  });
  const page = await openWith(fake, { prepare: (page) => page.clock.install() });
  await inGame(page, 1);
  const shows = (text) => page.waitForFunction((text) =>
    document.querySelector("#state").textContent === text, text);
  await shows("Connected");
  await page.clock.fastForward(2_500);
  await shows("Waiting for the server");
  assert.equal(await page.evaluate(() => document.body.dataset.state), "open");
  sendState();
  await shows("Connected");
  await closePage(page);
});

test("a page waits as long as the server says, and then connects again", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    socket.send(JSON.stringify({
      type: "init", id: "1", silence_ms: n === 0 ? 3_000 : 600_000, rules_data: DOTS_RULES,
    }));
    socket.send(JSON.stringify({ type: "state_update", players: [PLAYER] }));
  });
  const page = await openWith(fake);
  await inGame(page, 1);
  await page.waitForFunction(() => document.querySelector("#state").textContent.startsWith("Wait"));
  assert.equal(fake.connections, 1);
  await page.waitForFunction(() =>
    document.querySelector("#sentence").textContent === "The server stopped responding.");
  await inGame(page, 1);
  assert.equal(fake.connections, 2);
  await closePage(page);
});

test("after the button the board has the focus, and a description", async (t) => {
  const fake = await fakeServer(t, (socket, n) => {
    if (n === 0) socket.close(4012, '{"retry_ms":60000}');
    else welcome(socket);
  });
  const page = await openWith(fake);
  await inState(page, "waiting");
  await page.focus("#retry");
  await page.keyboard.press("Enter");
  await inGame(page, 1);
  assert.equal(await page.evaluate(() => document.activeElement.id), "canvas");
  await page.waitForFunction(() =>
    document.activeElement.getAttribute("aria-label").startsWith("The board. Players here: 1."));
  await closePage(page);
});

test("the first ping of a page is not shown", async (t) => {
  let pings = 0;
  const fake = await fakeServer(t, (socket) => {
    welcome(socket);
    const timer = setInterval(() => welcomeAgain(socket), 500);
    socket.on("close", () => clearInterval(timer));
    socket.on("message", (data) => {
      const { type, t } = JSON.parse(data);
      const answer = () => socket.send(JSON.stringify({ type: "pong", t }));
      if (type === "ping") setTimeout(answer, pings++ === 0 ? 2500 : 0);
    });
  });
  const welcomeAgain = (socket) =>
    socket.send(JSON.stringify({ type: "state_update", players: [PLAYER] }));
  const page = await openWith(fake);
  await inGame(page, 1);
  const shown = await page.waitForFunction(() => {
    const text = document.querySelector("#ping").textContent;
    return text !== "–" && text;
  });
  assert.ok(!(parseInt(await shown.jsonValue(), 10) >= 2000), await shown.jsonValue());
  await closePage(page);
});
