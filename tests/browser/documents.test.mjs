// The example pages in the documents work as they are.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import {
  repository, startServer, startBrowser, openPage, closePage, joinBot, until,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");

let folder, browser;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "skirmish-documents-"));
  browser = await startBrowser();
});
after(async () => {
  await browser.close();
  await rm(folder, { recursive: true });
});

// The first block in that language on a page of the documents.
async function block(page, language) {
  const text = await readFile(path.join(repository, page), "utf8");
  return new RegExp("^```" + language + "\\n([^]*?)^```$", "m").exec(text)[1];
}

// Presses a key as soon as the page has loaded, before any server can have answered.
const pressEarly = (page) => page.addInitScript(() => addEventListener("DOMContentLoaded", () =>
  dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }))));

test("the page of the README", async (t) => {
  const server = await startServer();
  t.after(server.stop);
  const html = await block("README.md", "html");
  assert.match(html, /localhost:8765/);
  const file = path.join(folder, "dots.html");
  await writeFile(file, html.replace("localhost:8765", `127.0.0.1:${server.port}`));
  const bot = await joinBot(`${server.ws}?room=lobby`);
  const page = await openPage(browser, pathToFileURL(file).href, { prepare: pressEarly });
  const ann = () => bot.players.find((one) => one.name === "Ann");
  await until(() => ann() !== undefined, "Ann is there");
  // Her own page receives her id a moment after the server has let her in.
  await page.waitForFunction(() => me !== undefined);
  const from = ann();
  // Towards the farther wall, so that the step is not blocked.
  await page.keyboard.press(from.x < 250 ? "ArrowRight" : "ArrowLeft");
  await until(() => Math.abs(ann().x - from.x) === 10, "one step");
  await closePage(page);
  await bot.leave();
});

test("the page of docs/socketio.md", async (t) => {
  await writeFile(path.join(folder, "index.html"), await block("docs/socketio.md", "html"));
  await writeFile(path.join(folder, "arena.js"), await block("docs/socketio.md", "js"));
  // Every browser requests it.
  await writeFile(path.join(folder, "favicon.ico"), "");
  const server = await startServer({ args: ["--www", folder, "--socketio-client", CLIENT] });
  t.after(server.stop);
  const open = () => openPage(browser, server.base, { prepare: pressEarly });
  const [ann, ben] = [await open(), await open()];
  const knows = (page, count) => page.waitForFunction(
    (count) => Object.keys(players).length === count && players[socket.id] !== undefined, count);
  await Promise.all([knows(ann, 2), knows(ben, 2)]);
  const me = await ann.evaluate(() => ({ id: socket.id, x: players[socket.id].x }));
  await ann.keyboard.press(me.x < 50 ? "ArrowRight" : "ArrowLeft");
  await ben.waitForFunction(({ id, x }) => Math.abs(players[id].x - x) === 5, me);
  const swing = ann.waitForEvent("console", (message) => message.text() === "swing");
  await ann.keyboard.press("Space");
  await swing;
  await closePage(ben);
  await knows(ann, 1);
  await closePage(ann);
});
