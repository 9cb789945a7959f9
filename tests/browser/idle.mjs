// Prints how busy the main thread of an idle page is, in percent:
//   node idle.mjs [seconds, default 5]
// Two players stand still in a room; nothing is pressed.
import path from "node:path";
import { startServer, startBrowser, openPage, closePage, inGame, repository } from "./harness.mjs";

const [seconds = 5] = process.argv.slice(2).map(Number);
const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");

const server = await startServer({ args: ["--socketio-client", CLIENT] });
const browser = await startBrowser();
for (const [what, page] of [
  ["dots", "client.html?room=dots-idle"],
  ["dots, v1", "client.html?room=dots-idle-v1&dialect=v1"],
  ["battle, JSON", "battle.html?room=battle-idle&dialect=json"],
  ["battle, Socket.IO", "battle.html?room=battle-idle&dialect=socketio"],
  ["world", "world.html?room=world-idle"],
]) {
  const pages = [await openPage(browser, server.base + page)];
  pages.push(await openPage(browser, server.base + page));
  await Promise.all(pages.map((page) => inGame(page, 2)));
  const client = await pages[1].context().newCDPSession(pages[1]);
  await client.send("Performance.enable", { timeDomain: "threadTicks" });
  const busy = async () => {
    const { metrics } = await client.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value;
  };
  // What the start costs is not idle.
  await pages[1].waitForTimeout(3000);
  const [before, at] = [await busy(), performance.now()];
  await pages[1].waitForTimeout(seconds * 1000);
  const share = (await busy() - before) / ((performance.now() - at) / 1000);
  console.log(`${what.padEnd(18)} main thread ${(share * 100).toFixed(1)} %`);
  await Promise.all(pages.map(closePage));
}
await browser.close();
await server.stop();
