// How many requests each page takes until it plays.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  repository, startServer, startBrowser, openPage, closePage, inGame, shows,
} from "./harness.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const REQUESTS_MAX = 6;

for (const [name, args, page] of [
  ["the first page", [], "index.html"],
  ["dots", [], "client.html"],
  ["the battle in JSON", [], "battle.html"],
  ["the world", [], "world.html"],
  ["the battle in Socket.IO", ["--socketio-client", CLIENT], "battle.html"],
]) {
  test(`${name} takes at most ${REQUESTS_MAX} requests`, async (t) => {
    const server = await startServer({ args });
    t.after(server.stop);
    const browser = await startBrowser();
    t.after(() => browser.close());
    const requests = [];
    const add = (request) => requests.push(request.url());
    const opened = await openPage(browser, server.base + page, {
      prepare: (page) => page.on("request", add).on("websocket", add),
    });
    if (page === "index.html") await shows(opened, ".count", "players");
    else await inGame(opened, 1);
    assert.ok(requests.length <= REQUESTS_MAX, requests.join("\n"));
    // The names contain a hash of the contents, so a browser that has a file never asks again.
    const scripts = requests.filter((url) => /\/\w+\.[0-9a-f]{16}\.(js|css)$/.test(url));
    assert.equal(scripts.length, 2, requests.join("\n"));
    await closePage(opened);
  });
}
