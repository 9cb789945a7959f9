// A tab in the background that is really hidden. Playwright reports every page as visible, so this
// test speaks to the browser itself.
import { test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import WebSocket from "ws";
import { browserPath, browserArgs, startServer, joinBot, until } from "./harness.mjs";

async function startPlainBrowser() {
  const profile = await mkdtemp(path.join(os.tmpdir(), "skirmish-browser-"));
  const child = spawn(browserPath, [
    "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`, ...browserArgs,
    "about:blank",
  ], { stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let said = "";
  const address = await new Promise((resolve, reject) => {
    child.once("exit", () => reject(new Error(said)));
    child.stderr.on("data", (chunk) => {
      said += chunk;
      const match = /ws:\/\/\S+/.exec(said);
      if (match !== null) resolve(match[0]);
    });
  });
  const socket = new WebSocket(address);
  await once(socket, "open");

  const waiting = new Map();
  const errors = [];
  const loaded = new Set();
  let calls = 0;
  socket.on("message", (data) => {
    const { id, method, params, result, error } = JSON.parse(data);
    if (method === "Runtime.exceptionThrown") errors.push(params.exceptionDetails.text);
    if (method === "Page.lifecycleEvent" && params.name === "load") loaded.add(params.loaderId);
    if (id === undefined) return;
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  });
  const call = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    waiting.set(++calls, { resolve, reject });
    socket.send(JSON.stringify({ id: calls, method, params, sessionId }));
  });

  async function tab(url) {
    const { targetId } = await call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
    await call("Runtime.enable", {}, sessionId);
    await call("Page.enable", {}, sessionId);
    await call("Page.setLifecycleEventsEnabled", { enabled: true }, sessionId);
    // Between two documents a tab cannot evaluate expressions.
    const { loaderId } = await call("Page.navigate", { url }, sessionId);
    await until(() => loaded.has(loaderId), `${url} is loaded`);
    const evaluate = async (expression) => {
      const params = { expression, returnByValue: true };
      return (await call("Runtime.evaluate", params, sessionId)).result.value;
    };
    return {
      evaluate,
      show: () => call("Target.activateTarget", { targetId }),
      send: (method, params) => call(method, params, sessionId),
      // Waits until an expression is true in the page.
      becomes: (expression) =>
        until(async () => (await evaluate(expression)) === true, expression),
    };
  }

  return {
    tab,
    errors,
    async stop() {
      child.removeAllListeners("exit");
      const gone = once(child, "exit");
      await call("Browser.close");
      await gone;
      process.removeListener("exit", kill);
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

test("a hidden tab stays in the game, draws nothing, and then draws the current state", async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const browser = await startPlainBrowser();
  t.after(browser.stop);
  const page = await browser.tab(server.dots);
  await page.becomes("document.body?.dataset.state === 'open'");
  const bot = await joinBot(server.ws);
  t.after(bot.leave);
  const botPlace = `window.Skirmish.game.snapshot().players.find((p) => p.id === "${bot.id}")`;
  await page.becomes(`${botPlace} !== undefined`);
  const id = await page.evaluate("window.Skirmish.game.snapshot().id");

  // From here on, counts the frames and records where the dots were drawn.
  await page.evaluate(`{
    window.frames = 0;
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    const arc = CanvasRenderingContext2D.prototype.arc;
    CanvasRenderingContext2D.prototype.drawImage = function (...rest) {
      window.frames++;
      window.places = [];
      return draw.apply(this, rest);
    };
    CanvasRenderingContext2D.prototype.arc = function (x, y, ...rest) {
      window.places.push([x, y]);
      return arc.call(this, x, y, ...rest);
    };
  } undefined`);
  const steps = setInterval(() => bot.move("UP"), 50);
  await page.becomes("window.frames > 5");
  clearInterval(steps);

  const other = await browser.tab("about:blank");
  await other.show();
  await page.becomes("document.visibilityState === 'hidden'");
  const frames = await page.evaluate("window.frames");
  const at = await page.evaluate(botPlace);
  const direction = at.x > 250 ? "LEFT" : "RIGHT";
  const walked = () => Math.abs(bot.players.find((p) => p.id === bot.id).x - at.x);
  const timer = setInterval(() => bot.move(direction), 50);
  await until(() => walked() >= 150, "the bot walks");
  clearInterval(timer);
  await page.becomes(`Math.abs(${botPlace}.x - ${at.x}) >= 150`);
  assert.equal(await page.evaluate("window.frames"), frames, "nothing was drawn while hidden");
  assert.equal(await page.evaluate("document.body.dataset.state"), "open");
  const place = await page.evaluate(botPlace);

  // The first frame shows the newest place. The wall is 8 pixels wide.
  await page.evaluate(`document.addEventListener("visibilitychange", () => {
    window.firstPlaces = window.places;
  }, { once: true }); undefined`);
  await page.show();
  await page.becomes("document.visibilityState === 'visible' && !!window.firstPlaces");
  const near = await page.evaluate(`(() => {
    const scale = (document.querySelector("canvas").width - 16) / 500;
    const [x, y] = [8 + ${place.x} * scale, 8 + ${place.y} * scale];
    return window.firstPlaces.some((p) => Math.hypot(p[0] - x, p[1] - y) < 10.5 * scale);
  })()`);
  assert.equal(near, true, "the first frame shows where the bot is now");
  const still = await page.evaluate("window.Skirmish.game.snapshot().id");
  assert.equal(still, id, "still the same player");

  // A frozen page runs nothing, and the browser ends its connection. The page rejoins the game as
  // soon as it is visible.
  await other.show();
  await page.becomes("document.visibilityState === 'hidden'");
  await page.send("Page.setWebLifecycleState", { state: "frozen" });
  const back = setInterval(() => bot.move(direction === "LEFT" ? "RIGHT" : "LEFT"), 50);
  await until(() => walked() <= 50, "the bot walks back");
  clearInterval(back);
  await page.send("Page.setWebLifecycleState", { state: "active" });
  await page.show();
  await page.becomes("document.body.dataset.state === 'open'");
  await page.becomes(`Math.abs(${botPlace}?.x - ${at.x}) <= 50`);

  assert.deepEqual(browser.errors, []);
});
