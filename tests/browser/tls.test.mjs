// The pages over https: they connect with wss, to their own server only.
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  certificateFlags, closePage, freeWay, inGame, openPage, repository, sawMove, serverAndBrowser,
  settled, shows,
} from "./harness.mjs";

const folder = mkdtempSync(path.join(os.tmpdir(), "skirmish-tls-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
const shared = serverAndBrowser({
  args: [...certificateFlags(folder), "--socketio-client", CLIENT, "--map", "1200x1000"],
});
const options = { ignoreHTTPSErrors: true };

for (const [game, dialects] of [
  ["dots", ["json", "v1"]], ["battle", ["json", "v1", "socketio"]],
  ["world", ["json", "v1", "socketio"]],
]) {
  for (const dialect of dialects) {
    test(`${game} over ${dialect} is played over https`, async () => {
      const url = `${shared.server[game]}?room=${game}-${dialect}&rules=${game}&dialect=${dialect}`;
      const page = await openPage(shared.browser, url, options);
      const id = await inGame(page, 1);
      const place = await settled(page, id);
      const [key, way] = freeWay(place);
      await page.keyboard.down(key);
      await sawMove(page, id, place, [way, 0]);
      await page.keyboard.up(key);
      assert.deepEqual([...page.hosts], [new URL(shared.server.base).host]);
      await closePage(page);
    });
  }
}

test("the first page is served over https, and lists the rooms", async () => {
  const player = await openPage(shared.browser, `${shared.server.dots}?room=listed`, options);
  await inGame(player, 1);
  const page = await openPage(shared.browser, shared.server.base, options);
  await shows(page, "body", "listed");
  await closePage(page);
  await closePage(player);
});
