// Writes a picture of the game with players moving about:
//   node screenshot.mjs docs/dots.png [light|dark]
import path from "node:path";
import { mkdir } from "node:fs/promises";
import {
  startServer, startBrowser, openPage, closePage, inGame, joinBot, toTheMiddle,
} from "./harness.mjs";

const [file, colorScheme = "light"] = process.argv.slice(2);
if (file === undefined) {
  console.error("usage: node screenshot.mjs FILE.png [light|dark]");
  process.exit(2);
}

const NAMES = ["Ann", "Bashir", "Chidi", "Dana", "Émile", "Farida", "Goro", "Hana"];
// Each bot walks a square of its own, so that it turns up nowhere twice and never at a wall.
const WAYS = ["UP", "RIGHT", "DOWN", "LEFT"];

const server = await startServer();
const browser = await startBrowser();
const page = await openPage(browser, `${server.dots}?name=Zoe`, {
  viewport: { width: 1100, height: 720 }, deviceScaleFactor: 2, colorScheme,
});
const id = await inGame(page, 1);
const bots = [];
for (const name of NAMES) bots.push(await joinBot(`${server.ws}?name=${encodeURIComponent(name)}`));

let step = 0;
const walk = setInterval(() => {
  step++;
  bots.forEach((bot, n) => bot.move(WAYS[(Math.floor(step / (9 + n)) + n) % 4]));
}, 50);

await toTheMiddle(page, id);
// Until the numbers are filled in and the last newcomer was told.
await page.waitForFunction(() => document.querySelector("#news").textContent.includes("joined"));
await page.keyboard.down("ArrowRight");
await page.waitForFunction((id) => {
  const player = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
  window.startX ??= player.x;
  return player.x - window.startX >= 80 && document.querySelector("#rate").textContent === "20/s";
}, id);
await mkdir(path.dirname(path.resolve(file)), { recursive: true });
await page.screenshot({ path: file });

clearInterval(walk);
await closePage(page);
await Promise.all(bots.map((bot) => bot.leave()));
await browser.close();
await server.stop();
