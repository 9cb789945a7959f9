// Prints how the world is drawn with many bodies in view, from Chromium's own trace:
//   node crowd-frames.mjs [players, default 1000] [seconds, default 10]
// The players are those of the load test, on a map that is as large as the view.
import path from "node:path";
import { spawn } from "node:child_process";
import { startServer, startBrowser, openPage, closePage, inGame, repository } from "./harness.mjs";

const CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline", "toplevel"];
const [players = 1000, seconds = 10] = process.argv.slice(2).map(Number);
const server = await startServer({ args: ["--map", "1024x768"] });
const browser = await startBrowser();
const load = spawn(path.join(repository, "target", "debug", "skirmish"), [
  "load", server.ws, "--dialect", "v1", "--clients", String(players), "--pattern", "straight",
  "--moves-hz", "0.5", "--probes", "1", "--seconds", String(seconds + 60),
], { stdio: "ignore" });
const page = await openPage(browser, server.world, { viewport: { width: 1400, height: 800 } });
await inGame(page, players + 1);
// What the start costs is not a frame.
await page.waitForTimeout(3000);
await browser.startTracing(page, { categories: CATEGORIES });
await page.waitForTimeout(seconds * 1000);
const { traceEvents } = JSON.parse(String(await browser.stopTracing()));
const { bodies } = await page.evaluate(() => window.Skirmish.world.drawn());

const ms = (us) => `${(us / 1000).toFixed(1)} ms`;
const at = (list, part) => list[Math.floor(part * (list.length - 1))];
// The main thread of the page is where its frames are requested.
const fired = traceEvents.filter(({ name }) => name === "FireAnimationFrame")
  .sort((a, b) => a.ts - b.ts);
const isMain = ({ pid, tid }) => pid === fired[0].pid && tid === fired[0].tid;
const gaps = fired.slice(1).map(({ ts }, n) => ts - fired[n].ts).sort((a, b) => a - b);
const frames = fired.map(({ dur = 0 }) => dur).sort((a, b) => a - b);
const tasks = traceEvents.filter((event) => event.name.endsWith("RunTask") && isMain(event))
  .map(({ dur = 0 }) => dur).sort((a, b) => a - b);
console.log(`${bodies} bodies in view`);
console.log(`frames: every ${ms(at(gaps, 0.5))} (95 %: ${ms(at(gaps, 0.95))}), ` +
  `drawn in ${ms(at(frames, 0.5))} (95 %: ${ms(at(frames, 0.95))})`);
console.log(`longest task: ${tasks.length === 0 ? "unknown" : ms(tasks.at(-1))}`);
load.kill("SIGINT");
await closePage(page);
await browser.close();
await server.stop();
