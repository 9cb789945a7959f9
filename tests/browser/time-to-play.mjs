// Prints how long a page takes to load and to join a game, over a network with a long round trip:
//   node time-to-play.mjs [RTT in ms, default 200] [loads, default 5]
// The time runs from the start of the navigation to the first frame with the own player in it.
// Chromium does not delay a WebSocket when it emulates a network, so a TCP proxy does it here.
import path from "node:path";
import { startServer, startBrowser, openPage, closePage, repository } from "./harness.mjs";
import { startSlowNetwork } from "./slow-network.mjs";

const [rttMs = 200, loads = 5] = process.argv.slice(2).map(Number);
const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");

const plain = await startServer();
const withClient = await startServer({ args: ["--socketio-client", CLIENT] });
const browser = await startBrowser();
for (const [what, server, page] of [
  ["home", plain, "index.html"],
  ["dots", plain, "client.html?room=dots-load"],
  ["battle, JSON", plain, "battle.html?room=battle-load&dialect=json"],
  ["battle, Socket.IO", withClient, "battle.html?room=battle-load"],
  ["world", plain, "world.html?room=world-load"],
]) {
  const proxy = await startSlowNetwork(server.port, rttMs);
  const runs = [];
  for (let n = 0; n < loads; n++) runs.push(await load(`http://127.0.0.1:${proxy.port}/${page}`));
  const times = runs.map(({ ms }) => ms).sort((a, b) => a - b);
  const median = times[times.length >> 1];
  const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
  console.log(`${what.padEnd(18)} ${runs[0].requests} requests, ${seconds(median)} ` +
    `(${seconds(times[0])} to ${seconds(times.at(-1))}) at ${rttMs} ms RTT`);
  proxy.close();
}
await browser.close();
await Promise.all([plain.stop(), withClient.stop()]);

// Loads a page with an empty cache. `requests` counts those that were sent until then.
async function load(url) {
  let requests = 0;
  const page = await openPage(browser, url, {
    prepare: async (page) => {
      page.on("request", () => requests++);
      page.on("websocket", () => requests++);
      await page.addInitScript(() => {
        const isPlaying = () => {
          const { id, players } = window.Skirmish?.game?.snapshot() ?? { players: [] };
          const isHome = document.querySelector(".count")?.textContent;
          return isHome || players.some((player) => player.id === id);
        };
        const look = () => {
          if (!isPlaying()) requestAnimationFrame(look);
          else requestAnimationFrame(() => (window.playableAt = performance.now()));
        };
        look();
      });
    },
  });
  const handle = await page.waitForFunction(() => window.playableAt);
  const ms = await handle.jsonValue();
  await closePage(page);
  return { ms, requests };
}
