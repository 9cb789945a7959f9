// The status page of the operator: plots that follow real players, a server that ends and is back, the
// password, and names that are only text.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import {
  REFUSED, closePage, eventually, inState, joinBot, loadParts, openPage, shows, startBrowser,
  startServer, until,
} from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TOKEN = "a token of the operator";
const LOCAL = ["--admin-listen", "127.0.0.1:0"];
let server, browser;

before(async () => {
  server = await startServer({ args: LOCAL });
  browser = await startBrowser();
});
after(async () => {
  await browser.close();
  assert.equal(await server.stop(), 0);
});

const open = (options, on = server) => openPage(browser, `${on.admin}status`, options);
const number = (page, name) => page.textContent(`[data-number="${name}"]`);
const label = (page, plot) => page.getAttribute(`#${plot} > svg`, "aria-label");
// The heights of a line: 0 at the base, 1 at the end of the axis.
const heights = (page, plot, line = 0) => page.$eval(`#${plot} > svg`, (svg, line) => {
  const [top, bottom] = [...svg.querySelectorAll(".grid, .base")]
    .map((one) => Number(one.getAttribute("y1"))).sort((a, b) => a - b)
    .filter((_, at, all) => at === 0 || at === all.length - 1);
  const points = svg.querySelector(`.line-${line}`).getAttribute("d").match(/[ML][\d.]+ [\d.]+/g) ?? [];
  return points.map((point) => (bottom - Number(point.split(" ")[1])) / (bottom - top));
}, line);
const rows = (page, table) => page.$$eval(`#${table} tbody tr`, (rows) =>
  rows.map((row) => [...row.cells].map((cell) => cell.textContent)));
// Counts the requests for the numbers.
function countPolls(page) {
  const polls = { count: 0 };
  page.on("request", (request) => {
    polls.count += Number(new URL(request.url()).pathname === "/status/data");
  });
  return polls;
}

test("the numbers, plots and tables follow the players", async (t) => {
  const page = await open();
  await inState(page, "open");
  await shows(page, '[data-number="players"]', "^0$");
  const bots = [];
  for (const name of ["Ann", "Ben", "Eve"]) {
    bots.push(await joinBot(`${server.ws}?room=dots-status&name=${name}`));
  }
  t.after(() => Promise.all(bots.map((bot) => bot.leave())));
  await shows(page, '[data-number="players"]', "^3$");
  const players = await heights(page, "plot-players");
  assert.ok(players[0] === 0 && players.at(-1) > 0.5, players.join());
  assert.match(await label(page, "plot-players"), /players: now 3, from 0 to 3\./);

  // Of moves the plot of bytes knows, and of what is not JSON that of dropped messages.
  const moving = setInterval(() => bots.forEach((bot) => bot.move("UP")), 100);
  t.after(() => clearInterval(moving));
  for (let n = 0; n < 30; n++) bots[0].socket.send("{");
  await page.waitForFunction(() =>
    /invalid JSON: now \S+, from 0 to [1-9]/.test(
      document.querySelector("#plot-drops > svg").ariaLabel));
  assert.ok(Math.max(...await heights(page, "plot-drops", 1)) > 0.5);
  await shows(page, '[data-number="sent"]', "^[1-9][\\d.]* kB/s$");
  await eventually(async () => (await rows(page, "events")).filter(([what]) => what === "dropped"),
    [["dropped", "invalid json", "30", "30"]]);
  assert.match(await page.textContent("#events-span"), /^Last \d+ s$/);
  const sent = await heights(page, "plot-bytes");
  assert.ok(sent.every((one) => one >= 0 && one <= 1) && Math.max(...sent) > 0.3, sent.join());

  // Ticks of 50 ms: 20 a second.
  const bars = () => page.$$eval("#bars-ticks .bar", (bars) =>
    bars.reduce((sum, bar) => sum + Number(bar.dataset.count), 0));
  const [before, samples] = [await bars(), sent.length];
  await until(async () => (await heights(page, "plot-bytes")).length >= samples + 2, "two answers");
  assert.ok(await bars() >= before + 20, `${before} and then ${await bars()}`);
  assert.match(await label(page, "bars-ticks"), /^Ticks by duration in the last \d+ s\. \d+ [≤>]/);
  assert.match(await number(page, "tick"), /^[\d.]+ ms$/);
  assert.match(await label(page, "plot-turns"), /turns: now [\d.]+ ms, .* lateness of ticks: now [\d.]+ ms,/);

  assert.deepEqual(await rows(page, "rooms"), [["dots-status", "dots", "3", "2,000", "0", "0"]]);
  assert.deepEqual(await rows(page, "clients"), [["dots", "json", "websocket", "3"]]);
  const slowest = (await rows(page, "slowest")).map((row) => row.slice(0, 4).join(" "));
  assert.deepEqual(slowest.sort(), ["Ann", "Ben", "Eve"]
    .map((name) => `${name} dots-status 127.0.0.1 json, websocket`));

  // The pointer chooses a time in all plots.
  const box = await page.locator("#plot-players > svg").boundingBox();
  await page.mouse.move(box.x + 63, box.y + 60);
  await shows(page, "#plot-players figcaption b", "^0$");
  assert.equal(await page.locator("#plot-bytes .cursor").count(), 1);
  await page.mouse.move(1, 1);
  await shows(page, "#plot-players figcaption b", "^3$");
  assert.equal(await page.locator(".cursor").count(), 0);
  assert.deepEqual([...page.hosts], [new URL(server.admin).host]);
  await closePage(page);
});

test("names are only text", async (t) => {
  const names = ["<img src=x>", "&lt;b>\"'", "<svg/onload=1>", "\u05d0\u05d1 <i>"];
  const bots = [];
  for (const name of names) {
    bots.push(await joinBot(`${server.ws}?room=dots-names&name=${encodeURIComponent(name)}`));
  }
  t.after(() => Promise.all(bots.map((bot) => bot.leave())));
  const page = await open();
  await page.waitForFunction(() => document.querySelectorAll("#slowest tbody tr").length >= 4);
  const shown = (await rows(page, "slowest")).map(([name]) => name);
  for (const name of names) assert.ok(shown.includes(name.slice(0, 16)), `${name} in ${shown}`);
  assert.equal(await page.locator("img, i, b:not(figcaption b), main svg svg").count(), 0);
  await closePage(page);
});

test("a server that ends is noticed, and the page goes on with the next one", async (t) => {
  const own = await startServer({ args: LOCAL });
  t.after(own.stop);
  const page = await open({ expected: REFUSED }, own);
  await inState(page, "open");
  assert.equal(await page.isVisible("#notice"), false);
  await until(async () => (await heights(page, "plot-players")).length >= 2, "two answers");
  await own.stop();
  await inState(page, "lost");
  assert.match(await page.textContent("#notice"), /^The server does not answer\. The numbers are/);
  assert.match(await page.textContent("#state"), /^No numbers$/);
  const again = await startServer({
    port: own.port, args: ["--admin-listen", new URL(own.admin).host],
  });
  t.after(again.stop);
  await inState(page, "open");
  assert.equal(await page.isVisible("#notice"), false);
  // Its counters begin again: nothing is below 0, and the line has a gap.
  await until(async () => (await heights(page, "plot-bytes")).length >= 3, "more answers");
  assert.ok((await heights(page, "plot-bytes")).every((one) => one >= 0 && one <= 1));
  const path = await page.getAttribute("#plot-players > svg .line-0", "d");
  assert.ok(path.split("M").length > 2, path);
  await closePage(page);
});

test("the browser asks for the token, and the page stops when it is not valid any more", async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "skirmish-status-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "token");
  writeFileSync(file, TOKEN, { mode: 0o600 });
  const args = ["--admin-token-file", file];
  const own = await startServer({ args: [...args, ...LOCAL] });
  t.after(own.stop);
  // Headless Chromium has no dialog for it.
  await assert.rejects(openPage(browser, `${own.admin}status`), /ERR_INVALID_AUTH_CREDENTIALS/);

  // Through the public port, too.
  const httpCredentials = { username: "", password: TOKEN };
  for (const base of [own.admin, own.base]) {
    const page = await openPage(browser, `${base}status`, { httpCredentials });
    await inState(page, "open");
    await shows(page, "#about", "^Version");
    await closePage(page);
  }

  const page = await openPage(browser, `${own.admin}status`, { httpCredentials, expected: REFUSED });
  await inState(page, "open");
  await own.stop();
  await inState(page, "lost");
  writeFileSync(file, "another token of the operator");
  const polls = countPolls(page);
  const next = await startServer({
    port: own.port, args: [...args, "--admin-listen", new URL(own.admin).host],
  });
  t.after(next.stop);
  await inState(page, "stopped");
  assert.match(await page.textContent("#notice"), /^The server refuses this page: .* Load the page again/);
  const count = polls.count;
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  // A request of the page's own comes after all that it has asked for.
  await page.evaluate(() => fetch("status.html").catch(() => null));
  assert.equal(polls.count, count, "it does not ask again");
  await closePage(page);
});

test("an answer without numbers is shown by its status, and a refused host stops the page", async () => {
  const page = await open({ expected: REFUSED });
  await inState(page, "open");
  const answerWith = (status) =>
    page.route("**/status/data", (route) => route.fulfill({ status, body: "Wrong host." }));
  await answerWith(503);
  await inState(page, "lost");
  assert.match(await page.textContent("#notice"), /^The server, or a proxy .*, answers 503\. The numbers are/);
  await page.unroute("**/status/data");
  await inState(page, "open");
  await answerWith(421);
  await inState(page, "stopped");
  assert.match(await page.textContent("#notice"), /^The server refuses this page: Wrong host\. Load/);
  await closePage(page);
});

test("a hidden page does not ask, and asks at once when it is shown", async () => {
  const page = await open({ prepare: (page) => page.clock.install() });
  await inState(page, "open");
  // Headless Chromium hides no page.
  const setHidden = (isHidden) => page.evaluate((isHidden) => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, isHidden);
  await setHidden(true);
  // What was under way.
  await page.waitForLoadState("networkidle");
  const polls = countPolls(page);
  await page.clock.runFor(10_000);
  assert.equal(polls.count, 0);
  await setHidden(false);
  await until(() => polls.count >= 2, "requests go on");
  await closePage(page);
});

for (const [colorScheme, width, height] of [["light", 1280, 900], ["dark", 390, 844], ["light", 320, 568]]) {
  test(`axe finds nothing, and the page fits: ${colorScheme}, ${width} x ${height}`, async (t) => {
    const bot = await joinBot(`${server.ws}?room=dots-axe&name=Ann`);
    t.after(bot.leave);
    const page = await open({ colorScheme, viewport: { width, height } });
    await until(async () => (await heights(page, "plot-ticks")).length >= 2, "two answers");
    await page.evaluate(AXE);
    const findings = await page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
      return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
    });
    assert.deepEqual(findings, []);
    const fits = await page.evaluate(() => ({
      noScroll: document.documentElement.scrollWidth <= innerWidth,
      // Every picture has a text, and none is cut off.
      plots: [...document.querySelectorAll("figure > svg")].map((svg) =>
        svg.ariaLabel.length > 20 && svg.clientWidth > 200 &&
        [...svg.children].every((part) => part.getBBox().x >= 0 &&
          part.getBBox().x + part.getBBox().width <= svg.clientWidth + 1)),
    }));
    assert.deepEqual(fits, { noScroll: true, plots: [true, true, true, true, true, true] });
    await closePage(page);
  });
}

// An answer of a server: a message is dropped for each 100 bytes.
const answer = (at_ms, counts, sent, started_at_s = 1) => {
  const times = { bounds_s: [0.001, 0.002, 0.01], counts };
  return {
    at_ms, started_at_s, players: 2,
    ticks: { work: times, lateness: times, turn: times },
    bytes: { sent, received: 0, by_dialect: [{ dialect: "json", sent, received: 0 }] },
    drops: [{ reason: "rate", count: sent / 100 }], refusals: [], closes: [],
  };
};

test("percentiles and rates follow from two answers", () => {
  const { statusHistory } = loadParts("status/history.js");
  const history = statusHistory();
  const newest = () => history.samples.at(-1);
  assert.ok(history.add(answer(5_000, [100, 0, 0, 0], 1_000), 0));
  assert.deepEqual([newest().values.p99, newest().values.sent, newest().isFirst], [null, null, true]);
  assert.equal(history.add(answer(5_000, [100, 0, 0, 0], 1_000), 900), false, "the same numbers");
  history.add(answer(7_000, [110, 10, 0, 0], 5_000), 2_000);
  const { values, events } = newest();
  assert.deepEqual([values.p50, values.sent, values["sent json"]], [1, 2_000, 2_000]);
  assert.ok(Math.abs(values.p99 - 1.98) < 1e-9, `${values.p99}`);
  assert.deepEqual({ ...events }, { "drops rate": 40 });
  history.add(answer(8_000, [110, 10, 0, 1], 5_000), 3_000);
  assert.equal(newest().values.p50, 10, "the last bucket has no end");
  assert.deepEqual([...history.ticks()], [10, 10, 0, 1]);
  // The page was hidden, and then the server was another one.
  history.add(answer(60_000, [500, 10, 0, 1], 9_000), 55_000);
  assert.deepEqual([newest().isFirst, newest().values.sent], [true, null]);
  history.add(answer(1_000, [1, 0, 0, 0], 10), 56_000);
  assert.deepEqual([newest().isFirst, newest().values.sent], [true, null]);
  assert.equal(history.events("drops rate"), 80);
  // Ten minutes are kept.
  history.add(answer(2_000, [2, 0, 0, 0], 10), 603_500);
  assert.equal(history.samples.length, 3);
  history.add(answer(3_000, [2, 0, 0, 0], 10), 655_000);
  assert.deepEqual([history.samples.length, history.events("drops rate")], [3, 0]);
});

test("counts include the time for which the page was hidden, and lines do not", () => {
  const { statusHistory, statusWords } = loadParts("status/history.js", "status/words.js");
  const history = statusHistory();
  for (const [s, drops] of [[0, 5], [1, 7], [301, 1_007], [302, 1_010]]) {
    history.add(answer(10_000 + 1_000 * s, [100 + 20 * s, 0, 0, 0], 100 * drops), 1_000 * s);
  }
  assert.equal(history.events("drops rate"), 1_005);
  assert.deepEqual([...history.ticks()], [20 * 302, 0, 0, 0]);
  assert.equal(history.spanMs(), 302_000);
  assert.equal(statusWords.roughSpan(history.spanMs()), "5 min");
  const samples = [...history.samples];
  assert.deepEqual(samples.map(({ isFirst }) => isFirst), [true, false, true, false]);
  assert.deepEqual(samples.map(({ values }) => values.sent), [null, 200, null, 300]);
  assert.deepEqual(samples.map(({ values }) => values.p50 === null), [true, false, true, false]);

  // The hidden time belongs to the first answer after it, also when older ones are too old.
  history.add(answer(4_000_000, [100_000, 0, 0, 0], 200_000), 3_990_000);
  assert.deepEqual([history.samples.length, history.events("drops rate")], [1, 990]);
  assert.equal(statusWords.roughSpan(history.spanMs()), "1 h 1 min");
  // Another server begins at 0.
  history.add(answer(4_001_000, [7, 0, 0, 0], 300, 2), 3_991_000);
  assert.deepEqual([history.events("drops rate"), history.samples.at(-1).isFirst], [990, true]);
});
