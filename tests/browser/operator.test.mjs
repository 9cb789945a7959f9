// What pages show of the operator's actions: messages, and that a player was removed.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  closePage, inGame, inState, openPage, repository, shows, startBrowser, startServer,
} from "./harness.mjs";

const TOKEN = "a token of the operator";
const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const folder = mkdtempSync(path.join(os.tmpdir(), "skirmish-operator-"));
let server, browser;

before(async () => {
  const file = path.join(folder, "token");
  writeFileSync(file, TOKEN, { mode: 0o600 });
  server = await startServer({
    args: [
      "--admin-listen", "127.0.0.1:0", "--admin-token-file", file, "--socketio-client", CLIENT,
      "--map", "1200x1000",
    ],
  });
  browser = await startBrowser();
});
after(async () => {
  await browser.close();
  assert.equal(await server.stop(), 0);
  rmSync(folder, { recursive: true });
});

async function act(action, body) {
  const response = await fetch(`${server.admin}admin/${action}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, await response.text());
}

for (const [game, dialects] of [
  ["dots", ["json", "v1"]], ["battle", ["json", "v1", "socketio"]],
  ["world", ["json", "v1", "socketio"]],
]) {
  for (const dialect of dialects) {
    test(`${game} over ${dialect} shows a message of the operator, and a kick`, async () => {
      const room = `${game}-${dialect}`;
      const page = await openPage(
        browser, `${server[game]}?room=${room}&rules=${game}&dialect=${dialect}`);
      const id = await inGame(page, 1);
      assert.equal(await page.isVisible("#announcement"), false);
      const text = "Maintenance at 5 p.m. <b>Thanks</b>";
      await act("message", { text, room });
      await page.waitForSelector("#announcement", { state: "visible" });
      assert.equal(await page.textContent("#announced"), text);
      await page.click("#announced-close");
      await page.waitForSelector("#announcement", { state: "hidden" });
      await act("kick", { player: id });
      await inState(page, "stopped");
      // Over Socket.IO the disconnect comes first, which has no reason.
      const why = dialect === "socketio" ? "disconnected this page" : "operator .* removed you";
      await shows(page, "#sentence", why);
      await closePage(page);
    });
  }
}
