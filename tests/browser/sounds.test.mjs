// The sounds of the battle: which ones, when, how many, and the button that mutes them.
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  serverAndBrowser, openPage, closePage, inGame, fakeServer, loadParts, until, BATTLE_RULES,
} from "./harness.mjs";

const shared = serverAndBrowser();
const player = (id, more) => ({
  id, name: `P${id}`, x: 50, y: 50, color: "#2277cc", hp: 100, kills: 0, deaths: 0, respawn_ms: 0,
  attack_tick: 0, facing: "UP", ...more,
});

// A game with a fake server. `send(players, room)` sends a state, and `played()` waits until the
// page has it and returns the frequencies of the voices that began since the last call.
async function arena(t, { players = [player("1"), player("2", { x: 55 })], ...options } = {}) {
  let socket;
  let tick = 1;
  const server = await fakeServer(t, (opened) => {
    socket = opened;
    const init = { type: "init", id: "1", room: "battle", rules_data: BATTLE_RULES };
    socket.send(JSON.stringify(init));
    send(players);
  });
  function send(players, room = { round: 1, ends_ms: 9000, winner: 0 }) {
    socket.send(JSON.stringify({ type: "state_update", tick: ++tick, players, room }));
  }
  const page = await openPage(shared.browser, `${shared.server.battle}?server=${server.address}`, {
    ...options,
    prepare: (page) => page.addInitScript(() => {
      window.contexts = [];
      window.voices = [];
      const real = window.AudioContext;
      window.AudioContext = class extends real {
        constructor() {
          super();
          window.contexts.push(this);
        }
      };
      window.sounding = 0;
      for (const Source of [OscillatorNode, AudioBufferSourceNode]) {
        const begin = Source.prototype.start;
        Source.prototype.start = function (...rest) {
          window.sounding++;
          this.addEventListener("ended", () => window.sounding--);
          return begin.apply(this, rest);
        };
      }
      const { setValueAtTime } = AudioParam.prototype;
      AudioParam.prototype.setValueAtTime = function (value, at) {
        if (value > 1) window.voices.push(value);
        return setValueAtTime.call(this, value, at);
      };
    }),
  });
  await inGame(page, players.length);
  return {
    page, send,
    // After a key the sounds run.
    async begin() {
      await page.keyboard.press("Shift");
      await page.waitForFunction(() => window.contexts[0]?.state === "running");
    },
    async played() {
      const now = tick;
      // Voices that still sound would count for the bound.
      await page.waitForFunction((now) => window.Skirmish.game.snapshot().tick === now &&
        window.sounding === 0, now);
      return page.evaluate(() => window.voices.splice(0));
    },
  };
}

test("there is no audio before the first key, and then each event has its sound", async (t) => {
  const { page, send, begin, played } = await arena(t);
  send([player("1", { hp: 90 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), []);
  assert.equal(await page.evaluate(() => window.contexts.length), 0);
  await begin();
  const me = (more) => player("1", { hp: 90, ...more });
  const other = (more) => player("2", { x: 55, ...more });
  for (const [what, mine, others, room, voices] of [
    ["nothing", {}, {}, undefined, []],
    ["being hit", { hp: 80 }, { attack_tick: 9 }, undefined, [1800, 190, 700]],
    ["an attack of another", {}, { attack_tick: 20 }, undefined, [1800]],
    ["nothing", {}, { attack_tick: 20, x: 5000 }, undefined, []],
    ["an attack far away", {}, { attack_tick: 30, x: 5000 }, undefined, []],
    ["nothing", {}, { attack_tick: 30 }, undefined, []],
    ["a hit", { attack_tick: 31 }, { hp: 80, attack_tick: 30 }, undefined, [420, 2600]],
    ["a kill", { attack_tick: 40, kills: 1 }, { hp: 0, deaths: 1, respawn_ms: 3000, attack_tick: 30 },
      undefined, [420, 2600, 659, 988]],
    ["the respawn of another", { attack_tick: 40, kills: 1 }, { deaths: 1, attack_tick: 30 }, undefined, []],
    ["a death", { hp: 0, deaths: 1, respawn_ms: 9, attack_tick: 40, kills: 1 },
      { deaths: 1, kills: 1, attack_tick: 30 }, undefined, [190, 700, 330, 500]],
    ["a respawn", { hp: 100, deaths: 1, attack_tick: 40, kills: 1 },
      { deaths: 1, kills: 1, attack_tick: 30 }, undefined, [330]],
    ["a victory", { hp: 100, deaths: 0, attack_tick: 40, kills: 2 }, { deaths: 1, kills: 1, attack_tick: 30 },
      { round: 1, ends_ms: 5000, winner: 1 }, [523, 659, 784, 1047]],
    ["a new round", { hp: 100, attack_tick: 40 }, { attack_tick: 30 }, undefined, [523, 523, 784]],
    ["the victory of another", { hp: 100, attack_tick: 40 }, { attack_tick: 30, kills: 1 },
      { round: 2, ends_ms: 5000, winner: 2 }, [784, 659, 523]],
  ]) {
    const next = what === "a new round" ? { round: 2, ends_ms: 9000, winner: 0 } : room;
    send([me(mine), other(others)], next);
    assert.deepEqual(await played(), voices, what);
  }
  await page.keyboard.press("Space");
  await closePage(page);
});

test("a muted page makes no sound and remembers it; the button works by keyboard", async (t) => {
  const { page, send, begin, played } = await arena(t);
  const muted = () => page.getAttribute("#mute", "aria-pressed");
  await begin();
  assert.equal(await muted(), "false");
  await page.focus("#mute");
  await page.keyboard.press("Space");
  assert.equal(await muted(), "true");
  await page.waitForFunction(() => window.contexts[0].state === "suspended");
  send([player("1", { hp: 90 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), []);
  await page.reload();
  await inGame(page, 2);
  assert.equal(await muted(), "true", "remembered");
  await page.keyboard.press("Shift");
  send([player("1", { hp: 80 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), []);
  assert.equal(await page.evaluate(() => window.contexts.length), 0);
  await page.click("#mute");
  assert.equal(await muted(), "false");
  assert.equal(await page.evaluate(() => document.activeElement.id), "",
    "a click leaves the focus, so that Space attacks");
  await page.waitForFunction(() => window.contexts[0]?.state === "running");
  send([player("1", { hp: 70 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), [190, 700]);
  await closePage(page);
});

test("a hidden page makes no sound", async (t) => {
  const { page, send, begin, played } = await arena(t);
  await begin();
  const hide = (is) => page.evaluate((is) => {
    Object.defineProperty(document, "hidden", { value: is, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, is);
  await hide(true);
  await page.waitForFunction(() => window.contexts[0].state === "suspended");
  send([player("1", { hp: 90 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), []);
  await hide(false);
  await page.waitForFunction(() => window.contexts[0].state === "running");
  send([player("1", { hp: 80 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), [190, 700]);
  await closePage(page);
});

test("in a crowd only a few voices sound, and those of the own player among them", async (t) => {
  const crowd = (attack_tick, hp) => [player("1", { hp }),
    ...Array.from({ length: 200 }, (_, i) => player(String(i + 2), { x: 40 + i % 20, attack_tick }))];
  const { page, send, begin, played } = await arena(t, { players: crowd(0, 100) });
  await begin();
  send(crowd(5, 90));
  const voices = await played();
  assert.equal(voices.filter((one) => one === 1800).length, 6);
  assert.deepEqual(voices.slice(-2), [190, 700], "the own hit is heard");
  await closePage(page);
});

test("reduced motion does not mute", async (t) => {
  const { page, send, begin, played } = await arena(t, { reducedMotion: "reduce" });
  await begin();
  send([player("1", { hp: 90 }), player("2", { x: 55 })]);
  assert.deepEqual(await played(), [190, 700]);
  await closePage(page);
});

test("a browser without Web Audio has no button, and plays", async () => {
  const page = await openPage(shared.browser, `${shared.server.battle}?dialect=json`, {
    prepare: (page) => page.addInitScript(() => delete window.AudioContext),
  });
  await inGame(page);
  assert.equal(await page.isVisible("#mute"), false);
  await page.keyboard.press("Space");
  await until(() => page.sent.some((text) => text.includes("attack")), "an attack");
  await closePage(page);
});

test("others are quieter, by their distance", () => {
  const { loudness } = loadParts("battle/sounds.js");
  const gains = [0, 10, 20, 40, 100].map((distance) => loudness(distance, 10));
  assert.ok(gains[0] < 0.5);
  assert.ok(gains.every((gain, i) => i === 0 || gain < gains[i - 1]), gains.join());
  assert.equal(gains.at(-1), 0);
});
