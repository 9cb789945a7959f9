// The battle in real tabs, over the JSON dialect: to fight, to die, to come back, and to be told.
import { test, before, after, beforeEach, afterEach } from "node:test";
import assert from "node:assert/strict";
import {
  startServer, startBrowser, openPage, closePage, inGame, placeOf, sawMove, settled, walkTo, until,
  joinBot,
} from "./harness.mjs";

let server, browser, room, ann, bob, annId, bobId;
let rooms = 0;

before(async () => {
  server = await startServer();
  browser = await startBrowser();
});
after(async () => {
  await browser.close();
  assert.equal(await server.stop(), 0, "the server ends cleanly");
});
beforeEach(async () => {
  room = `battle-${rooms++}`;
  ann = await openPage(browser, pageOf("Ann"));
  bob = await openPage(browser, pageOf("Bob"));
  [annId, bobId] = await Promise.all([inGame(ann, 2), inGame(bob, 2)]);
});
afterEach(() => Promise.all([closePage(ann), closePage(bob)]));

const pageOf = (name) => `${server.battle}?dialect=json&room=${room}&name=${name}`;
const attacksIn = (page) => page.sent.filter((text) => text === '{"type":"attack"}');
const shows = (page, selector, pattern) => page.waitForFunction(([selector, pattern]) =>
  new RegExp(pattern).test(document.querySelector(selector).textContent), [selector, pattern]);
const hpIs = (page, id, hp) => page.waitForFunction(({ id, hp }) =>
  window.Skirmish.game.snapshot().players.find((one) => one.id === id)?.hp === hp, { id, hp });

// Both in the upper left, so near that each is in the reach of the other.
const meet = () => Promise.all([
  walkTo(ann, annId, { x: 20, y: 20 }), walkTo(bob, bobId, { x: 20, y: 20 }),
]);

// The board of scores as rows of text.
const scoresOf = (page) => page.$$eval("#rows tr", (rows) =>
  rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join(" ")));

test("keys move by five, to the very edge and no further, and the other tab sees it", async () => {
  const from = await walkTo(ann, annId, { x: 50, y: 50 });
  await ann.evaluate(() => document.querySelector('[data-direction="LEFT"]').click());
  await sawMove(bob, annId, from, [-1, 0]);
  assert.deepEqual((await settled(ann, annId)).x, from.x - 5);
  await ann.keyboard.down("KeyW");
  await bob.waitForFunction((id) =>
    window.Skirmish.game.snapshot().players.find((one) => one.id === id).y === 0, annId);
  await ann.keyboard.up("KeyW");
  assert.equal((await settled(ann, annId)).y, 0);
});

test("a fight to the death, as both see it and one who looks on", async () => {
  const cat = await openPage(browser, pageOf("Cat"));
  const catId = await inGame(cat, 3);
  await walkTo(cat, catId, { x: 80, y: 80 });
  await meet();

  await ann.keyboard.press("Space");
  await hpIs(ann, bobId, 90);
  await shows(bob, "#health", "^90$");
  assert.equal((await placeOf(cat, bobId)).hp, 90);

  await ann.keyboard.down("Space");
  await bob.waitForSelector("#fallen:not([hidden])");
  await ann.keyboard.up("Space");
  assert.equal(await bob.textContent("#fallen-by"), "Ann killed you");
  await shows(bob, "#fallen-in", "^Back in 3$");
  assert.equal(await bob.textContent("#news"), "Ann killed you.");
  await shows(ann, "#news", "^You killed Bob\\.$");
  for (const page of [ann, bob, cat]) {
    await shows(page, "#feed", "^Ann killed Bob$");
    await shows(page, "#rows", "^1Ann10");
  }
  assert.equal(await ann.textContent("#feed .me"), "Ann");
  assert.deepEqual(await scoresOf(ann), ["1 Ann 1 0", "2 Cat 0 0", "3 Bob 0 1"]);
  assert.equal(await bob.textContent("#rows .me th"), "Bob");
  await bob.waitForFunction(() =>
    document.querySelector("#canvas").getAttribute("aria-label").includes("You are dead"));

  // The dead neither walk nor hit.
  const sent = bob.sent.length;
  await bob.keyboard.press("ArrowRight");
  await bob.keyboard.press("Space");
  await shows(bob, "#fallen-in", "^Back in 2$");
  await shows(bob, "#fallen-in", "^Back in 1$");
  assert.deepEqual(bob.sent.slice(sent).filter((text) => !text.includes('"ping"')), []);

  await bob.waitForSelector("#fallen", { state: "hidden" });
  await hpIs(cat, bobId, 100);
  await shows(bob, "#health", "^100$");
  await shows(bob, "#news", "^You are back\\.$");
  const from = await walkTo(bob, bobId, { x: 50, y: 50 });
  await bob.keyboard.press("ArrowRight");
  await sawMove(ann, bobId, from, [1, 0]);
  // The feed forgets; the scores do not.
  await ann.waitForFunction(() => document.querySelector("#feed").children.length === 0);
  assert.equal((await scoresOf(cat))[0], "1 Ann 1 0");
  await closePage(cat);
});

test("a held Space attacks as often as it may, and no more often", async () => {
  await meet();
  await ann.evaluate(() => {
    window.swings = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      if (text.includes("attack")) window.swings.push(performance.now());
      return send.call(this, text);
    };
  });
  await ann.keyboard.down("Space");
  await hpIs(bob, bobId, 50);
  await ann.keyboard.up("Space");
  const swings = await ann.evaluate(() => window.swings);
  const gaps = swings.slice(1).map((at, i) => at - swings[i]);
  assert.ok(Math.min(...gaps) >= 250, gaps.join(" "));
  const { length } = attacksIn(ann);
  await settled(ann, annId);
  await settled(ann, annId);
  // Each of them counted, but for one that was held up on its way so that the next came too early.
  const { hp } = await placeOf(ann, bobId);
  assert.ok(hp === 100 - 10 * length || hp === 110 - 10 * length, `${hp} after ${length}`);
  assert.equal(attacksIn(ann).length, length, "nothing is held any more");
});

test("presses in a row are kept until the blade is ready", async () => {
  for (let press = 0; press < 2; press++) await ann.keyboard.press("Space");
  await until(() => attacksIn(ann).length === 2, "the second one");
});

test("the button attacks by mouse, by Enter, by Space and by an assistive tool", async () => {
  const button = ann.locator("#attack");
  let sent = 0;
  const more = async (what) => {
    await until(() => attacksIn(ann).length > sent, what);
    await ann.waitForSelector("#attack:not(.held)");
    sent = attacksIn(ann).length;
  };
  await button.hover();
  await ann.mouse.down();
  await until(() => attacksIn(ann).length >= 2, "a held mouse");
  assert.match(await button.getAttribute("class"), /held/);
  await ann.mouse.up();
  await more("the mouse");
  assert.notEqual(await ann.evaluate(() => document.activeElement.id), "attack");
  await button.focus();
  await ann.keyboard.press("Enter");
  await more("Enter");
  await ann.keyboard.press("Space");
  await more("Space");
  await button.evaluate((element) => element.click());
  await more("a click of its own");
});

test("Space that means something else is no attack, and a lost window lets go", async () => {
  await ann.focus("#door");
  await ann.keyboard.press("Space");
  await ann.waitForSelector("#join[open]");
  await ann.fill("[name=name]", "");
  await ann.focus("[name=name]");
  await ann.keyboard.type("a b");
  assert.equal(await ann.inputValue("[name=name]"), "a b");
  await ann.keyboard.press("Escape");
  assert.equal(attacksIn(ann).length, 0);
  await ann.locator("canvas").focus();
  await ann.keyboard.press("Control+Space");
  assert.equal(attacksIn(ann).length, 0);
  await ann.keyboard.down("Space");
  await until(() => attacksIn(ann).length >= 2, "it is held");
  await ann.evaluate(() => window.dispatchEvent(new Event("blur")));
  const { length } = attacksIn(ann);
  for (let rest = 0; rest < 2; rest++) await settled(ann, annId);
  assert.equal(attacksIn(ann).length, length);
});

test("two thumbs: one walks while the other strikes", async () => {
  const cat = await openPage(browser, pageOf("Cat"), {
    viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 3,
  });
  const catId = await inGame(cat, 3);
  const from = await walkTo(cat, catId, { x: 30, y: 50 });
  const cdp = await cat.context().newCDPSession(cat);
  const touch = (type, touchPoints) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints });
  const middle = async (selector, id) => {
    const box = await cat.locator(selector).boundingBox();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, id };
  };
  const [right, blade] = [await middle('[data-direction="RIGHT"]', 1), await middle("#attack", 2)];
  await touch("touchStart", [right]);
  await touch("touchStart", [right, blade]);
  await until(() => attacksIn(cat).length >= 2, "attacks");
  await sawMove(bob, catId, from, [1, 0]);
  await touch("touchEnd", []);
  await settled(cat, catId);
  const { length } = cat.sent.filter((text) => !text.includes('"ping"'));
  await settled(cat, catId);
  assert.equal(cat.sent.filter((text) => !text.includes('"ping"')).length, length);
  await closePage(cat);
});

test("the numbers are filled in, and nobody else is asked for anything", async () => {
  await shows(ann, "#ping", "^(<1|\\d+) ms$");
  assert.equal(await ann.textContent("#via"), "websocket");
  assert.equal(await ann.textContent("#my-id"), "Ann");
  assert.equal(await ann.textContent("#room"), room);
  assert.equal(await ann.textContent("#players"), "2 players");
  assert.equal(await ann.title(), `Skirmish: ${room}, 2 players`);
  assert.deepEqual([...ann.hosts], [new URL(server.base).host]);
});

test("who comes and who goes is told, and a bot is a player too", async (t) => {
  const bot = await joinBot(`${server.ws}?room=${room}&rules=battle&name=Bot`);
  t.after(bot.leave);
  await shows(ann, "#news", "Bot joined\\.$");
  assert.deepEqual(await scoresOf(ann), ["1 Ann 0 0", "2 Bob 0 0", "3 Bot 0 0"]);
  await bot.leave();
  await shows(ann, "#news", "Bot left\\.$");
});
