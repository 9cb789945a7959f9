// axe finds nothing on any page in any state: light and dark, wide and on a phone.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import {
  REFUSED, serverAndBrowser, openPage, closePage, inGame, inState, fakeServer, joinBot, BATTLE_RULES,
} from "./harness.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const shared = serverAndBrowser();
const LOOKS = [
  { colorScheme: "light", viewport: { width: 1100, height: 760 } },
  { colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
];

// What axe finds on the page, a line each.
async function findings(page) {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    // Without these a colour could be measured while it fades.
    const fades = document.getAnimations()
      .filter((one) => one.effect.getComputedTiming().endTime < Infinity);
    await Promise.allSettled(fades.map((one) => one.finished));
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ target, any }) => `${id}: ${help}: ${target}: ${any.map(({ message }) => message)}`));
  });
}

// A battle between two players in this room and with this health.
async function battle(t, room, hp = 60) {
  const fake = await fakeServer(t, (socket) => {
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: "init", id: "1", room: "battle", rules_data: BATTLE_RULES });
    let tick = 1;
    const player = (id, more) => ({ id, name: `P${id}`, x: 20 * id, y: 30, color: "#2277cc", hp: 80,
      kills: 2, deaths: 1, respawn_ms: 0, attack_tick: 0, facing: "UP", ...more });
    const state = (mine) => send({ type: "state_update", tick: ++tick, room,
      players: [player("1", mine), player("2")] });
    state({});
    const timer = setInterval(state, 50, hp === 0 ? { hp, deaths: 2, respawn_ms: 3000 } : { hp });
    socket.on("close", () => clearInterval(timer));
  });
  return `${shared.server.battle}?server=${fake.address}`;
}
const running = { round: 3, ends_ms: 100_000, winner: 0 };

const STATES = {
  "the first page": async () => shared.server.base,
  "dots": async () => `${shared.server.dots}?name=Ann&room=dots-axe`,
  "dots over skirmish.v1 with the numbers of the network": async () =>
    `${shared.server.dots}?room=dots-axe&dialect=v1&net=1`,
  "an unknown dialect": async () => `${shared.server.dots}?room=dots-axe&dialect=morse`,
  "the dialog for name and room": async () => `${shared.server.dots}?room=dots-axe`,
  "the dialog with the link": async () => `${shared.server.dots}?room=dots-axe`,
  "a wrong address": async () => `${shared.server.dots}?room=../x`,
  "a room of the other game": async () => `${shared.server.battle}?room=dots-axe&dialect=json`,
  "a server that does not answer": async () => `${shared.server.dots}?server=127.0.0.1:9`,
  "world with the numbers of the network": async () =>
    `${shared.server.world}?name=Ann&room=world-axe&net=1`,
  "world over JSON": async () => `${shared.server.world}?room=world-axe&dialect=json`,
  "battle": (t) => battle(t, running),
  "battle with the numbers of the network": async (t) => `${await battle(t, running)}&net=1`,
  "battle on an old server": (t) => battle(t, undefined),
  "battle with muted sounds and scores": (t) => battle(t, running),
  "the last seconds of a round": (t) => battle(t, { ...running, ends_ms: 9000 }),
  "the result of a round": (t) => battle(t, { ...running, ends_ms: 5000, winner: 2 }),
  "a dead player": (t) => battle(t, running, 0),
};
// What leads from the page to the state.
const STEPS = {
  "the first page": (page) => page.waitForSelector(".play ~ section:not([hidden]) li"),
  "dots over skirmish.v1 with the numbers of the network": async () =>
    `${shared.server.dots}?room=dots-axe&dialect=v1&net=1`,
  "an unknown dialect": async () => `${shared.server.dots}?room=dots-axe&dialect=morse`,
  "the dialog for name and room": async (page) => {
    await page.click("#choose-room");
    await page.waitForSelector("#rooms li");
  },
  "the dialog with the link": async (page) => {
    await page.evaluate(() => {
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      document.execCommand = () => false;
    });
    await page.click("#share");
  },
  "battle with muted sounds and scores": async (page) => {
    await page.click("#mute");
    if (await page.isVisible("#toggle")) await page.click("#toggle");
  },
  "the last seconds of a round": (page) => page.waitForSelector("#round.soon"),
  "the result of a round": (page) => page.waitForSelector("#result:not([hidden])"),
  "a dead player": (page) => page.waitForSelector("#dead:not([hidden])"),
};
const CONNECTS = /^(dots|battle|world|the (dialog|last|result)|a dead)/;

for (const [state, url] of Object.entries(STATES)) {
  test(`axe finds nothing: ${state}`, async (t) => {
    const bot = await joinBot(`${shared.server.ws}?room=dots-axe`);
    t.after(bot.leave);
    const address = await url(t);
    for (const look of LOOKS) {
      const page = await openPage(shared.browser, address, { ...look, expected: REFUSED });
      if (CONNECTS.test(state)) await inGame(page);
      else if (/^an? /.test(state)) await page.waitForSelector("#notice:not([hidden])");
      await STEPS[state]?.(page);
      assert.deepEqual(await findings(page), [], `${look.colorScheme}: ${state}`);
      await closePage(page);
    }
  });
}

test("axe finds nothing: without JavaScript", async () => {
  const { base, dots, battle, world } = shared.server;
  for (const url of [base, dots, battle, world]) {
    // axe needs scripts, so it looks at the page as it is without those of the page.
    const page = await openPage(shared.browser, url, {
      prepare: (page) => page.route(/\.js$/, (route) => route.abort()), expected: REFUSED,
    });
    assert.deepEqual(await findings(page), [], url);
    await closePage(page);
  }
});
