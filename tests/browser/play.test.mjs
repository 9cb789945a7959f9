// Two players in real tabs see each other move, with every input of the page.
import { test, beforeEach } from "node:test";
import assert from "node:assert/strict";
import {
  annAndBob, openPage, closePage, inGame, placeOf, shows, sawMove, movesIn, toTheMiddle, settled,
  eventually, until, joinBot,
} from "./harness.mjs";

const shared = annAndBob("dots");
let server, browser, room, ann, bob, annId, bobId;
beforeEach(() => ({ server, browser, room, ann, bob, annId, bobId } = shared));

test("arrow keys and W, A, S, D move, and the other tab sees it", async () => {
  const cases = [
    ["ArrowUp", [0, -1]], ["ArrowDown", [0, 1]], ["ArrowLeft", [-1, 0]], ["ArrowRight", [1, 0]],
    ["KeyW", [0, -1]], ["KeyS", [0, 1]], ["KeyA", [-1, 0]], ["KeyD", [1, 0]],
  ];
  for (const [key, way] of cases) {
    const from = await toTheMiddle(ann, annId);
    await ann.keyboard.down(key);
    await sawMove(bob, annId, from, way);
    await ann.keyboard.up(key);
  }
  const from = await toTheMiddle(bob, bobId);
  await bob.keyboard.press("ArrowUp");
  await sawMove(ann, bobId, from, [0, -1]);
});

test("a held key moves one step per tick", async () => {
  const from = await toTheMiddle(ann, annId);
  const goal = from.x > 250 ? -1 : 1;
  await ann.keyboard.down(goal < 0 ? "ArrowLeft" : "ArrowRight");
  await bob.waitForFunction(({ id, from, goal }) => {
    const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
    return (player.x - from.x) * goal >= 100;
  }, { id: annId, from, goal });
  await ann.keyboard.up("ArrowLeft");
  await ann.keyboard.up("ArrowRight");
  assert.equal(movesIn(ann).at(-1), `{"type":"move","direction":"${goal < 0 ? "LEFT" : "RIGHT"}"}`);
});

test("the key pressed last counts, and after its release the one before", async () => {
  // Two in a row: the press sends the first, and the held key sends the second.
  const last = (direction) => until(() => {
    const moves = movesIn(ann).slice(-2);
    return moves.length === 2 && moves.every((text) => text.includes(`"${direction}"`));
  }, direction);
  await ann.keyboard.down("ArrowRight");
  await last("RIGHT");
  await ann.keyboard.down("KeyW");
  await last("UP");
  await ann.keyboard.down("ArrowLeft");
  await last("LEFT");
  await ann.keyboard.up("KeyW");
  await ann.keyboard.up("ArrowLeft");
  await last("RIGHT");
  await ann.keyboard.up("ArrowRight");
});

test("a window that loses focus releases its keys", async () => {
  await ann.keyboard.down("ArrowRight");
  await until(() => movesIn(ann).length >= 3, "moves");
  await ann.evaluate(() => window.dispatchEvent(new Event("blur")));
  await settled(ann, annId);
  const sent = movesIn(ann).length;
  await settled(ann, annId);
  assert.equal(movesIn(ann).length, sent);
});

test("keys with Ctrl, Alt or Meta are left to the browser", async () => {
  const from = await settled(ann, annId);
  for (const key of ["Control+KeyA", "Alt+KeyS", "Meta+KeyW"]) await ann.keyboard.press(key);
  assert.deepEqual(await settled(ann, annId), from);
  assert.deepEqual(movesIn(ann), []);
});

test("the pad moves by mouse, sliding included", async () => {
  const from = await toTheMiddle(ann, annId);
  const up = await ann.locator('[data-direction="UP"]').boundingBox();
  const left = await ann.locator('[data-direction="LEFT"]').boundingBox();
  await ann.mouse.move(up.x + up.width / 2, up.y + up.height / 2);
  await ann.mouse.down();
  await sawMove(bob, annId, from, [0, -1]);
  await ann.mouse.move(left.x + left.width / 2, left.y + left.height / 2, { steps: 4 });
  await sawMove(bob, annId, from, [-1, -1]);
  await ann.mouse.up();
  await settled(ann, annId);
});

test("the pad's buttons are held by Enter and by Space", async () => {
  const button = ann.locator('[data-direction="RIGHT"]');
  const steps = () => movesIn(ann).filter((text) => text.includes("RIGHT")).length;
  for (const key of ["Enter", "Space"]) {
    const from = await toTheMiddle(ann, annId);
    const before = steps();
    await button.focus();
    await ann.keyboard.down(key);
    await sawMove(bob, annId, from, [1, 0]);
    await until(() => steps() >= before + 4, `steps while ${key} is held`);
    assert.match(await button.getAttribute("class"), /held/);
    await ann.keyboard.up(key);
    await settled(ann, annId);
    const sent = steps();
    await settled(ann, annId);
    assert.equal(steps(), sent, `${key} is held no more`);
  }
});

test("a pad button that an assistive tool clicks is one step", async () => {
  const from = await toTheMiddle(ann, annId);
  await ann.evaluate(() => document.querySelector('[data-direction="RIGHT"]').click());
  await sawMove(bob, annId, from, [1, 0]);
  assert.deepEqual(await settled(ann, annId), { x: from.x + 10, y: from.y });
});

test("typing into the form does not move the player, and Play opens the room", async () => {
  await ann.click("#choose-room");
  await ann.waitForSelector("#rooms button");
  const listed = await ann.textContent("#rooms");
  assert.ok(listed.includes(`${room}2 players`), listed);
  assert.equal(await ann.inputValue("[name=name]"), "Ann");
  assert.equal(await ann.inputValue("[name=room]"), room);
  const from = await placeOf(ann, annId);
  await ann.fill("[name=name]", "");
  await ann.focus("[name=name]");
  await ann.keyboard.type("wasd & Co");
  await ann.keyboard.press("ArrowLeft");
  await ann.focus("#cancel");
  await ann.keyboard.press("ArrowLeft");
  assert.deepEqual(movesIn(ann), []);
  assert.deepEqual(await settled(ann, annId), { x: from.x, y: from.y });
  await ann.fill("[name=room]", " Dots-Of-Ann ");
  await ann.press("[name=room]", "Enter");
  await ann.waitForURL(`${server.dots}?room=dots-of-ann&name=wasd+%26+Co`);
  await inGame(ann, 1);
  await ann.waitForFunction(() => /^wasd & Co \(\d+\)$/.test(document.querySelector("#my-id").title));
  // The list has a link back.
  await ann.click("#choose-room");
  await ann.click(`#rooms button:has-text("${room}")`);
  await ann.waitForURL(`${server.dots}?room=${room}&name=wasd+%26+Co`);
  await inGame(ann, 2);
});

test("the pad moves by touch, with two fingers too", async () => {
  const cat = await openPage(browser, shared.pageOf("Cat"), {
    viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, deviceScaleFactor: 3,
  });
  const catId = await inGame(cat, 3);
  const from = await toTheMiddle(cat, catId);
  const cdp = await cat.context().newCDPSession(cat);
  const middle = async (direction, id) => {
    const box = await cat.locator(`[data-direction="${direction}"]`).boundingBox();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, id };
  };
  const touch = (type, touchPoints) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints });
  const right = await middle("RIGHT", 1);
  const down = await middle("DOWN", 2);

  await touch("touchStart", [right]);
  await sawMove(bob, catId, from, [1, 0]);
  await touch("touchStart", [right, down]);
  await sawMove(bob, catId, from, [1, 1]);
  await until(() => movesIn(cat).at(-1).includes("DOWN"), "the second finger");
  await touch("touchEnd", [down]);
  await until(() => movesIn(cat).at(-1).includes("RIGHT"), "the first finger again");
  const before = await placeOf(bob, catId);
  await touch("touchMove", [await middle("LEFT", 1)]);
  await bob.waitForFunction(({ id, x }) =>
    window.Skirmish.game.snapshot().players.find((one) => one.id === id).x < x - 20,
  { id: catId, x: before.x });
  await touch("touchEnd", []);
  await settled(cat, catId);
  const sent = movesIn(cat).length;
  await settled(cat, catId);
  assert.equal(movesIn(cat).length, sent, "nothing is held any more");
  await closePage(cat);
});

test("a player that leaves is removed for the others, also a bot", async (t) => {
  const bot = await joinBot(`${server.ws}?room=${room}&name=Bot`);
  t.after(bot.leave);
  await Promise.all([inGame(ann, 3), inGame(bob, 3)]);
  const from = await placeOf(ann, bot.id);
  bot.move(from.x > 250 ? "LEFT" : "RIGHT");
  await sawMove(ann, bot.id, from, [from.x > 250 ? -1 : 1, 0]);
  await until(() => bot.players.length === 3, "the bot sees both tabs");
  await bot.leave();
  await Promise.all([inGame(ann, 2), inGame(bob, 2)]);
  await bob.goto("about:blank");
  await inGame(ann, 1);
  await shows(ann, "#players", "^1$");
  await shows(ann, "#news", "\\bBob left\\.$");
});

test("the numbers around the board are filled in", async () => {
  await shows(ann, "#ping", "^(<1|\\d+) ms$");
  await shows(ann, "#rate", "^(19|20|21)/s$");
  await shows(ann, "#players", "^2$");
  assert.equal(await ann.textContent("#my-id"), `Ann (${annId})`);
  assert.equal(await ann.textContent("#room"), room);
  assert.equal(await ann.getAttribute("#room", "title"), room);
  await eventually(() => ann.title(), `Skirmish: ${room}, 2 players`);
  await ann.waitForFunction(() => new RegExp(
    `Players here: 2\\. You are \\d+ .* The nearest is Bob, (\\d+ away, |at the same place)`)
    .test(document.querySelector("#canvas").getAttribute("aria-label")));
});
