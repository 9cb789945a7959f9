// The battle in real tabs, over the JSON dialect: fights, deaths, respawns and news.
import { test, beforeEach } from "node:test";
import assert from "node:assert/strict";
import {
  annAndBob, openPage, closePage, inGame, placeOf, hpIs, shows, listen, sawMove, settled, walkTo,
  attack, assertCountdown, eventually, until, joinBot,
} from "./harness.mjs";

const shared = annAndBob("battle", "&dialect=json");
const { pageOf } = shared;
let server, browser, room, ann, bob, annId, bobId;
beforeEach(() => ({ server, browser, room, ann, bob, annId, bobId } = shared));

const attacksIn = (page) => page.sent.filter((text) => text === '{"type":"attack"}');
const gameIn = (page) => page.sent.filter((text) => !/"(ping|ack)"/.test(text));

// Both in the upper left, in reach of each other.
const meet = () => Promise.all([
  walkTo(ann, annId, { x: 20, y: 20 }), walkTo(bob, bobId, { x: 20, y: 20 }),
]);

// The scores as rows of text.
const scoresOf = (page) => page.$$eval("#rows tr", (rows) =>
  rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join(" ")));

test("keys move by five and stop at the edge, and the other tab sees it", async () => {
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

test("a fight until one player dies, as three pages see it", async () => {
  const cat = await openPage(browser, pageOf("Cat"));
  const catId = await inGame(cat, 3);
  await walkTo(cat, catId, { x: 80, y: 80 });
  await meet();

  await attack(ann);
  await Promise.all([ann, bob, cat].map((page) => hpIs(page, bobId, 90)));
  await shows(bob, "#health", "^90$");

  const [received, textsOfAnn, textsOfCat] = await Promise.all([
    listen(bob, "feed", "dead-by", "dead-for", "news", "canvas"), listen(ann, "feed", "news"),
    listen(cat, "feed"),
  ]);
  await ann.keyboard.down("Space");
  // The feed marks the own name, and drops lines after some time.
  const herself = ann.waitForFunction(() => document.querySelector("#feed .me")?.textContent);
  await bob.waitForSelector("#dead:not([hidden])");
  // A dead player cannot move or attack.
  const sent = gameIn(bob);
  await bob.keyboard.press("ArrowRight");
  await bob.keyboard.press("Space");
  await ann.keyboard.up("Space");
  assert.equal(await (await herself).jsonValue(), "Ann");
  await Promise.all([ann, bob, cat].map((page) => shows(page, "#rows", "^1Ann10")));
  await eventually(() => scoresOf(ann), ["1 Ann 1 0", "2 Cat 0 0", "3 Bob 0 1"]);
  assert.equal(await bob.textContent("#rows .me th"), "Bob");

  await bob.waitForSelector("#dead", { state: "hidden" });
  assert.deepEqual(gameIn(bob), sent);
  for (const by of [received, textsOfAnn, textsOfCat]) {
    assert.equal((await by("feed"))[0], "Ann killed Bob");
  }
  assert.deepEqual(await textsOfAnn("news"), ["You killed Bob."]);
  assert.deepEqual(await received("dead-by"), ["Ann killed you"]);
  assertCountdown(await received("dead-for"));
  assert.ok((await received("canvas")).some((label) => label.includes("You are dead")));
  assert.deepEqual(await received("news"), ["Ann killed you.", "You are back."]);
  await hpIs(cat, bobId, 100);
  await shows(bob, "#health", "^100$");
  const from = await walkTo(bob, bobId, { x: 50, y: 50 });
  await bob.keyboard.press("ArrowRight");
  await sawMove(ann, bobId, from, [1, 0]);
  // The feed drops the kill; the scores keep it.
  await ann.waitForFunction(() => document.querySelector("#feed").children.length === 0);
  assert.equal((await scoresOf(cat))[0], "1 Ann 1 0");
  await closePage(cat);
});

test("a held Space attacks once per cooldown", async () => {
  await meet();
  await ann.evaluate(() => {
    window.swings = [];
    // The time is the page's last reading of the clock: a delay may come between that and the attack.
    let now = 0;
    const look = performance.now.bind(performance);
    performance.now = () => (now = look());
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      if (text.includes("attack")) window.swings.push(now);
      return send.call(this, text);
    };
  });
  await ann.keyboard.down("Space");
  await bob.waitForFunction((id) =>
    window.Skirmish.game.snapshot().players.find((one) => one.id === id).hp <= 40, bobId);
  await ann.keyboard.up("Space");
  const swings = await ann.evaluate(() => window.swings);
  const gaps = swings.slice(1).map((at, i) => at - swings[i]);
  const least = Math.min(...gaps);
  assert.ok(least >= 250 && least < 500, gaps.join(" "));
  await settled(ann, annId);
  const { length } = attacksIn(ann);
  await settled(ann, annId);
  assert.equal(attacksIn(ann).length, length, "nothing is held any more");
  // How many of them hit depends on the network: after a delayed one the next comes too early.
  const { hp } = await placeOf(ann, bobId);
  assert.ok(100 - 10 * length <= hp, `${hp} after ${length}`);
});

test("a press during the cooldown counts after it", async () => {
  // In one call: a key that is released late would count as held.
  await ann.evaluate(() => {
    for (const kind of ["keydown", "keyup", "keydown", "keyup"]) {
      window.dispatchEvent(new KeyboardEvent(kind, { code: "Space" }));
    }
  });
  await until(() => attacksIn(ann).length >= 2, "the second one");
  for (let rest = 0; rest < 2; rest++) await settled(ann, annId);
  assert.equal(attacksIn(ann).length, 2);
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

test("Space in a form does not attack, and a blur releases it", async () => {
  await ann.focus("#choose-room");
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
  await settled(ann, annId);
  const { length } = attacksIn(ann);
  for (let rest = 0; rest < 2; rest++) await settled(ann, annId);
  assert.equal(attacksIn(ann).length, length);
});

test("two thumbs: one moves while the other attacks", async () => {
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
  const sent = gameIn(cat);
  await settled(cat, catId);
  assert.deepEqual(gameIn(cat), sent);
  await closePage(cat);
});

test("the numbers are filled in, and all requests go to the server", async () => {
  await shows(ann, "#ping", "^(<1|\\d+) ms$");
  assert.equal(await ann.textContent("#via"), "websocket");
  assert.equal(await ann.textContent("#my-id"), "Ann");
  assert.equal(await ann.textContent("#room"), room);
  await shows(ann, "#players", "^2 players$");
  await eventually(() => ann.title(), `Skirmish: ${room}, 2 players`);
  assert.deepEqual([...ann.hosts], [new URL(server.base).host]);
});

test("joins and leaves are announced, also those of bots", async (t) => {
  const bot = await joinBot(`${server.ws}?room=${room}&rules=battle&name=Bot`);
  t.after(bot.leave);
  await shows(ann, "#news", "Bot joined\\.$");
  await eventually(() => scoresOf(ann), ["1 Ann 0 0", "2 Bob 0 0", "3 Bot 0 0"]);
  await bot.leave();
  await shows(ann, "#news", "Bot left\\.$");
});
