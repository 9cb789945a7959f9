// Pages say how far they are, so that a page that has stalled goes on with a new state.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  repository, serverAndBrowser, openPage, closePage, inGame, until, metric, joinBot, fakeServer,
  fakeSocketIo, BATTLE_RULES, DOTS_RULES,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.js");
const PLAYER = { id: "1", x: 60, y: 60, color: "#336699", hp: 100, kills: 0, deaths: 0 };
const SKIPPED = "skirmish_snapshots_without_credit_total";

const shared = serverAndBrowser({ args: ["--socketio-client", CLIENT] });

for (const [page, rules] of [["dots", DOTS_RULES], ["battle", BATTLE_RULES]]) {
  test(`${page} acknowledges every fifth state over JSON, once`, async (t) => {
    const init = { type: "init", id: "1", rules_data: rules, rules: rules.name };
    const state = (tick) =>
      JSON.stringify({ type: "state_update", players: [PLAYER], tick, room: {} });
    let send;
    const fake = await fakeServer(t, (socket) => {
      socket.send(JSON.stringify(init));
      send = (tick) => socket.send(tick === undefined ? '{"type":"pong","t":-1}' : state(tick));
      // Two states of one tick, a gap, and one without a tick.
      for (const tick of [100, 101, 102, 103, 104, 105, 105, 106, 130, 131, 134, undefined, 135]) {
        send(tick);
      }
    });
    const target = `${shared.server[page]}?server=${fake.address}&dialect=json`;
    const tab = await openPage(shared.browser, target);
    const acks = () => fake.received.map((text) => JSON.parse(text))
      .filter(({ type }) => type === "ack").map(({ tick }) => tick);
    await until(() => acks().includes(135), "the last state");
    assert.deepEqual(acks(), [100, 105, 130, 135]);
    // The number of the tick wraps.
    send(4294967295);
    send(3);
    await until(() => acks().includes(3), "a state after the wrap");
    assert.deepEqual(acks().slice(4), [4294967295, 3]);
    await closePage(tab);
  });
}

test("the battle answers over Socket.IO, and says before that it will", async (t) => {
  const received = [];
  const fake = await fakeServer(t, fakeSocketIo((socket) => {
    socket.on("message", (data) => received.push(String(data)));
    socket.send('4270["tick",{"tick":70}]');
    // A server that does not ask for an answer gets none.
    socket.send('42["tick",{"tick":71}]');
    socket.send('4272["tick",{"tick":72}]');
  }));
  const target = `${shared.server.battle}?server=${fake.address}&dialect=socketio&room=tea`;
  const tab = await openPage(shared.browser, target);
  await until(() => received.includes("4372[]"), "the answers");
  assert.deepEqual(received.filter((text) => text.startsWith("43")), ["4370[]", "4372[]"]);
  const connect = fake.received.find((text) => text.startsWith("40"));
  assert.deepEqual(JSON.parse(connect.slice(2)),
    { room: "tea", rules: "battle", acks: true, resume: true });
  await closePage(tab);
});

for (const dialect of ["json", "socketio"]) {
  test(`the server stops for a page that has stalled, and goes on: ${dialect}`, async (t) => {
    const room = `battle-stall-${dialect}`;
    const join = async () => {
      const bot = await joinBot(`${shared.server.ws}?room=${room}`);
      t.after(bot.leave);
      return bot;
    };
    const walker = await join();
    const directions = ["LEFT", "RIGHT"];
    const walk = setInterval(() => walker.move(directions.reverse()[0]), 50);
    t.after(() => clearInterval(walk));
    const target = `${shared.server.battle}?room=${room}&dialect=${dialect}`;
    const tab = await openPage(shared.browser, target);
    await inGame(tab, 2);
    const before = await metric(shared.server, SKIPPED);
    await tab.evaluate(() => {
      const until = performance.now() + 4000;
      while (performance.now() < until) { /* The page does nothing else. */ }
    });
    const skipped = await metric(shared.server, SKIPPED) - before;
    assert.ok(skipped >= 20, `${skipped} states were skipped`);
    // It goes on: a new player appears.
    await join();
    await inGame(tab, 3);
    await closePage(tab);
  });
}
