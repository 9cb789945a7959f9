// How the own player moves over a slow network that stalls.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  repository, serverAndBrowser, openPage, closePage, inGame, movesIn, placeOf, toTheMiddle,
  until,
} from "./harness.mjs";
import { record, neverJumped } from "./frames.mjs";
import { startSlowNetwork } from "./slow-network.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const shared = serverAndBrowser({ args: ["--socketio-client", CLIENT] });

const GAMES = {
  "dots": "client.html?room=dots",
  "battle, JSON": "battle.html?dialect=json&room=battle",
  "battle, Socket.IO": "battle.html?dialect=socketio&room=battle",
};
let rooms = 0;

// A page over a network of that round trip. Returns the page, the own id and the network.
async function openSlowly(t, game, rttMs) {
  const network = await startSlowNetwork(shared.server.port, rttMs);
  t.after(network.close);
  const url = `http://127.0.0.1:${network.port}/${GAMES[game]}-feel-${rooms++}`;
  const page = await openPage(shared.browser, url);
  return { page, id: await inGame(page, 1), network };
}

for (const game of Object.keys(GAMES)) {
  for (const rttMs of [100, 200]) {
    test(`no frame jumps, ${game} at ${rttMs} ms with stalls`, async (t) => {
      const { page, id, network } = await openSlowly(t, game, rttMs);
      await record(page);
      // A way there and back between the walls, with a stall on each.
      for (const [key, stallMs] of [
        ["ArrowRight", 400], ["ArrowLeft", 800], ["ArrowDown", 200], ["ArrowUp", 800],
      ]) {
        const before = movesIn(page).length;
        const hasMade = (moves) =>
          until(() => movesIn(page).length >= before + moves, `${moves} moves`);
        await page.keyboard.down(key);
        await hasMade(4);
        network.stall(stallMs);
        await hasMade(game === "dots" ? 26 : 14);
        await page.keyboard.up(key);
      }
      await neverJumped(page, id, 60);
      await closePage(page);
    });
  }
}

test("a burst after a stall is played to the last step", async (t) => {
  const { page, id, network } = await openSlowly(t, "dots", 100);
  const from = await toTheMiddle(page, id);
  const key = from.x < 250 ? "ArrowRight" : "ArrowLeft";
  const before = movesIn(page).length;
  network.hold();
  await page.keyboard.down(key);
  // Fewer than a player may save, since a busy page may send some more at once.
  await until(() => movesIn(page).length >= before + 5, "5 moves");
  await page.keyboard.up(key);
  network.release();
  const steps = () => movesIn(page).length - before;
  const walked = async () => Math.abs((await placeOf(page, id)).x - from.x) / 10;
  await until(async () => await walked() === steps(), () => `${steps()} steps`);
  await closePage(page);
});
