// The name that a page remembers, and the link that it copies.
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  serverAndBrowser, openPage, closePage, inState, inGame, loadParts, shows, fakeServer, DOTS_RULES,
} from "./harness.mjs";

const shared = serverAndBrowser();
const NO_CLIENT = /socket\.io\.js/;
const nameOf = (page) => page.evaluate(() => {
  const { id, players } = window.Skirmish.game.snapshot();
  return players.find((player) => player.id === id).name ?? "";
});


test("a chosen name is remembered on every page, and the address wins", async () => {
  for (const game of ["dots", "battle"]) {
    const url = `${shared.server[game]}?room=${game}-name&dialect=json`;
    const page = await openPage(shared.browser, url);
    await inGame(page, 1);
    assert.notEqual(await nameOf(page), "Ann");
    await page.click("#choose-room");
    await page.fill("[name=name]", "  Ann\u200b ");
    await Promise.all([page.waitForURL(/name=Ann/), page.press("[name=name]", "Enter")]);
    await inGame(page, 1);
    assert.equal(await nameOf(page), "Ann");

    await page.goto(url);
    await inGame(page, 1);
    assert.equal(await nameOf(page), "Ann", "remembered");
    await page.goto(`${url}&name=Zoe`);
    await inGame(page, 1);
    assert.equal(await nameOf(page), "Zoe", "the address wins");
    await page.goto(url);
    await inGame(page, 1);
    assert.equal(await nameOf(page), "Ann", "a name in an address is not remembered");

    await page.goto(shared.server.base);
    assert.equal(await page.inputValue("#name"), "Ann");
    await page.fill("#name", "Eve");
    await page.press("#name", "Enter");
    await page.goto(url);
    await inGame(page, 1);
    assert.equal(await nameOf(page), "Eve", "chosen on the first page");
    await page.click("#choose-room");
    assert.equal(await page.inputValue("[name=name]"), "Eve");
    await page.fill("[name=name]", "");
    await Promise.all([page.waitForNavigation(), page.press("[name=name]", "Enter")]);
    await inGame(page, 1);
    assert.equal(await page.evaluate(() => localStorage.length), 0, "an empty name is forgotten");
    await closePage(page);
  }
});

test("what is remembered is the name that was chosen, and not the one in the room", async (t) => {
  const fake = await fakeServer(t, (socket) => {
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: "init", id: "7", room: "dots", rules_data: DOTS_RULES });
    send({ type: "state_update", tick: 1, players: [{ id: "7", x: 50, y: 50, name: "Ann 2" }] });
  });
  const url = `${shared.server.dots}?server=${fake.address}`;
  const page = await openPage(shared.browser, url, {
    prepare: (page) => page.addInitScript(() => localStorage.setItem("skirmish.name", "Ann")),
  });
  await inGame(page, 1);
  await shows(page, "#my-id", "Ann 2");
  await page.click("#choose-room");
  assert.equal(await page.inputValue("[name=name]"), "Ann");
  await Promise.all([page.waitForNavigation(), page.press("[name=name]", "Enter")]);
  await inGame(page, 1);
  assert.equal(await page.evaluate(() => localStorage.getItem("skirmish.name")), "Ann");
  await closePage(page);
});

test("a page without storage plays, and its forms work", async () => {
  for (const broken of ["throws", "absent"]) {
    const page = await openPage(shared.browser, `${shared.server.battle}?dialect=json`, {
      prepare: (page) => page.addInitScript((broken) => {
        Object.defineProperty(window, "localStorage", { get() {
          if (broken === "throws") throw new DOMException("denied", "SecurityError");
          return null;
        } });
      }, broken),
    });
    await inGame(page);
    await page.click("#mute");
    assert.equal(await page.getAttribute("#mute", "aria-pressed"), "true");
    await page.click("#choose-room");
    await page.fill("[name=name]", "Ann");
    await Promise.all([page.waitForURL(/name=Ann/), page.press("[name=name]", "Enter")]);
    await inGame(page);
    assert.equal(await nameOf(page), "Ann");
    await closePage(page);
  }
});

test("names are cleaned as the server does it", () => {
  const { cleanName, rememberedName } = loadParts("shared/store.js");
  for (const [name, clean] of [
    ["Ann", "Ann"], ["  Ann \n\t Lee\0\x1b[2J ", "Ann Lee[2J"], ["\u202elive\u200b\u200f", "live"],
    ["\u200b \ufeff", ""], ["", ""], ["\u2800", ""], ["\u0301\u0302", ""], ["e\u0301", "e\u0301"],
    ["0123456789abcdefgh", "0123456789abcdef"], ["😀".repeat(20), "😀".repeat(16)],
    ["0123456789abcde fg", "0123456789abcde"], ["a\ud800b", "ab"], ["a\ufeffb", "ab"],
  ]) assert.equal(cleanName(name), clean, JSON.stringify(name));
  assert.equal(rememberedName(), "", "without storage");
});

test("a link for others has the room, and nothing of this player", () => {
  const { shareable } = loadParts("shared/store.js", "shared/address.js");
  for (const [page, room, link] of [
    ["http://a/b.html", "battle", "http://a/b.html?room=battle"],
    ["http://a/b.html?room=Tea&name=Ann&dialect=json&resume=x&token=y#z", "tea",
      "http://a/b.html?room=tea"],
    ["http://a/b.html?room=tea&rules=dots", "", "http://a/b.html?room=tea&rules=dots"],
    ["http://a/b.html?server=ws://b:1/ws%3Fresume%3Dx%26room%3Dq", "",
      "http://a/b.html?server=ws%3A%2F%2Fb%3A1%2Fws&room=q"],
    ["http://a/b.html?server=x@b", "", "http://a/b.html"],
    ["http://a/b.html", "", "http://a/b.html"],
  ]) assert.equal(shareable(page, room), link, page);
});

test("the link is copied, and a screen reader hears it", async () => {
  const url = `${shared.server.battle}?dialect=json&name=Ann&room=battle-link`;
  const page = await openPage(shared.browser, url, { permissions: ["clipboard-read", "clipboard-write"] });
  await inGame(page, 1);
  await page.click("#share");
  await shows(page, "#news[role=status]", "The link to this room was copied");
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()),
    `${shared.server.battle}?room=battle-link`);
  // By keyboard, too.
  await page.evaluate(() => navigator.clipboard.writeText(""));
  await page.focus("#share");
  await page.keyboard.press("Space");
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).includes("room="));
  assert.equal(page.sent.some((text) => text.includes('"attack"')), false, "Space did not attack");
  await closePage(page);
});

test("without access to the clipboard the link is copied from a field, or shown in it", async () => {
  const page = await openPage(shared.browser, shared.server.dots, {
    prepare: (page) => page.addInitScript(() => {
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      document.execCommand = (command) => {
        window.copied = `${command} ${getSelection()}`;
        return window.works;
      };
    }),
  });
  await inGame(page);
  const link = `${shared.server.dots}?room=dots`;
  await page.evaluate(() => (window.works = true));
  await page.click("#share");
  await shows(page, "#news", "was copied");
  assert.equal(await page.evaluate(() => window.copied), `copy ${link}`);
  assert.equal(await page.isVisible("#link"), false);

  await page.evaluate(() => (window.works = false));
  await page.click("#share");
  assert.equal(await page.isVisible("#link"), true);
  assert.equal(await page.evaluate(() => String(getSelection())), link, "the field is selected");
  const sent = page.sent.length;
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#link"), false);
  assert.equal(page.sent.slice(sent).some((text) => text.includes("move")), false);
  await closePage(page);
});

test("a page that is not connected copies the address as it is", async () => {
  const page = await openPage(shared.browser, `${shared.server.battle}?dialect=json&room=../x`, {
    expected: NO_CLIENT, permissions: ["clipboard-read", "clipboard-write"],
  });
  await inState(page, "stopped");
  await page.click("#share");
  await page.waitForFunction(async () => (await navigator.clipboard.readText()).includes("room="));
  await closePage(page);
});
