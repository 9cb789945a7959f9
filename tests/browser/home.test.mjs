// The first page: the games, how many play them now, and the open rooms.
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  startServer, serverAndBrowser, openPage, closePage, inGame, joinBot, repository, until,
} from "./harness.mjs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const shared = serverAndBrowser();
const NO_CLIENT = /socket\.io\.js/;

const card = (rules) => `[data-rules="${rules}"]`;
const shows = (page, selector, text) => page.waitForFunction(([selector, text]) =>
  document.querySelector(selector).textContent === text, [selector, text]);
const roomsOf = (page, rules) =>
  page.$$eval(`${card(rules)} li a`, (links) => links.map((link) => link.textContent));

test("the players of each game are counted, and its rooms are links", async (t) => {
  const page = await openPage(shared.browser, shared.server.base, { expected: NO_CLIENT });
  await shows(page, `${card("dots")} .count`, "No players right now");
  await shows(page, `${card("battle")} .count`, "No players right now");
  const join = async (query) => t.after((await joinBot(shared.server.ws + query)).leave);
  await join("");
  await join("?room=dots-tea");
  await join("?room=dots-tea");
  await join("?room=battle");
  await shows(page, `${card("dots")} .count`, "3 players now");
  await shows(page, `${card("battle")} .count`, "1 player now");
  assert.deepEqual(await roomsOf(page, "dots"), ["dots-tea 2 players", "dots 1 player"]);
  assert.deepEqual(await roomsOf(page, "battle"), ["battle 1 player"]);
  assert.deepEqual([...page.hosts], [new URL(shared.server.base).host]);

  await page.fill("#name", " Ann ");
  await page.press("#name", "Enter");
  assert.equal(page.url(), shared.server.base, "a name alone does not leave the page");
  await page.click(`${card("dots")} li a`);
  await page.waitForURL(`${shared.server.dots}?room=dots-tea&name=Ann`);
  await inGame(page, 3);
  await page.click("#home");
  await page.waitForURL(`${shared.server.base}index.html?name=Ann`);
  assert.equal(await page.inputValue("#name"), "Ann");
  await page.click(`${card("battle")} .play`);
  await page.waitForURL(`${shared.server.battle}?name=Ann`);
  await closePage(page);
});

test("the first page requests the rooms before its script has loaded", async () => {
  const asked = [];
  let release;
  const isReleased = new Promise((resolve) => (release = resolve));
  const opening = openPage(shared.browser, shared.server.base, {
    prepare: async (page) => {
      page.on("request", (request) => asked.push(new URL(request.url()).pathname));
      await page.route(/index\.[0-9a-f]{16}\.js$/, async (route) => {
        await isReleased;
        await route.continue();
      });
    },
  });
  await until(() => asked.includes("/rooms"), "a request for the rooms");
  release();
  const page = await opening;
  await page.waitForFunction(() => document.querySelector(".count").textContent !== "");
  await closePage(page);
});

test("a room keeps the focus when its count changes", async (t) => {
  const first = await joinBot(`${shared.server.ws}?room=dots-focus`);
  t.after(first.leave);
  const page = await openPage(shared.browser, shared.server.base);
  const link = page.locator(`${card("dots")} li a:has-text("dots-focus")`);
  await link.focus();
  const second = await joinBot(`${shared.server.ws}?room=dots-focus`);
  t.after(second.leave);
  await page.waitForFunction(() =>
    document.activeElement.textContent === "dots-focus 2 players");
  await closePage(page);
});

test("a full room is marked, and names of rooms are shown as text", async () => {
  const markup = "<img src=x onerror=alert(1)>";
  const rows = [
    { name: markup, rules: "battle", players: 2, cap: 2 }, { name: "w", rules: "world", players: 1, cap: 9 },
    { name: "own", rules: "tag", players: 1, cap: 9 },
    { name: "empty", rules: "battle", players: 0, cap: 9 }, null, { name: 7 },
    { name: "den", rules: "battle", players: 4, bots: 3, cap: 4 },
  ];
  const page = await openPage(shared.browser, shared.server.base, {
    prepare: (page) => page.route("**/rooms", (route) => route.fulfill({ json: rows })),
  });
  await page.waitForSelector(`${card("battle")} li`);
  assert.deepEqual(await roomsOf(page, "battle"), [`${markup} 2 players, full`, "den 1 player, 3 bots"]);
  assert.equal(await page.textContent(`${card("battle")} .count`), "3 players now");
  assert.deepEqual(await roomsOf(page, "dots"), []);
  assert.equal(await page.isVisible(`${card("dots")} section`), false);
  assert.deepEqual(await roomsOf(page, "world"), ["w 1 player"]);
  assert.equal(await page.locator("img").count(), 3, "the pictures of the games");
  await closePage(page);
});

test("no numbers are shown while the server does not answer", async (t) => {
  const own = await startServer();
  t.after(own.stop);
  const page = await openPage(shared.browser, own.base, { expected: /Failed to load resource/ });
  await shows(page, `${card("dots")} .count`, "No players right now");
  await own.stop();
  await shows(page, "#here", "The server does not answer.");
  assert.equal(await page.textContent(`${card("dots")} .count`), "");
  const again = await startServer({ port: own.port });
  t.after(again.stop);
  await shows(page, "#here", "");
  await shows(page, `${card("dots")} .count`, "No players right now");
  await closePage(page);
});

for (const [width, height] of [[320, 568], [390, 844], [844, 390], [1280, 720], [2560, 1440]]) {
  test(`the cards fit on ${width} x ${height}`, async () => {
    const page = await openPage(shared.browser, shared.server.base, { viewport: { width, height } });
    await page.waitForFunction(() => Array.from(document.images).every((image) => image.complete));
    const fits = await page.evaluate(() => ({
      noScroll: document.documentElement.scrollWidth <= innerWidth,
      pictures: Array.from(document.querySelectorAll(".play > img"))
        .every((image) => image.naturalWidth > 0 && image.clientWidth > 200),
      fingers: Array.from(document.querySelectorAll(".play .main"))
        .every((button) => button.offsetHeight >= 40),
    }));
    assert.deepEqual(fits, { noScroll: true, pictures: true, fingers: true });
    await closePage(page);
  });
}

test("the games can be reached by keyboard, without scripts and from disk", async () => {
  const page = await openPage(shared.browser, `${shared.server.base}?name=Ann`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "name");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForURL(`${shared.server.dots}?name=Ann`);
  await inGame(page);
  await closePage(page);

  const plain = await openPage(shared.browser, shared.server.base, { javaScriptEnabled: false });
  assert.equal(await plain.isVisible("noscript p"), true);
  await plain.click(`${card("battle")} .play`);
  await plain.waitForURL(shared.server.battle);
  await closePage(plain);

  const file = pathToFileURL(path.join(repository, "www", "index.html"));
  const disk = await openPage(shared.browser, file.href);
  assert.equal(await disk.getAttribute(`${card("dots")} .play`, "href"),
    pathToFileURL(path.join(repository, "www", "client.html")).href);
  assert.equal(await disk.textContent("#here"), "");
  await closePage(disk);
});
