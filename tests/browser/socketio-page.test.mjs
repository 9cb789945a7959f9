// The official clients of Socket.IO in Chromium, over every transport, against `--echo`.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import {
  exchange, assertExchange, FLAGS, AUTH, CLIENTS, TIMEOUT, TRANSPORTS,
} from "./clients.mjs";
import { startServer, startBrowser, openPage, closePage } from "./harness.mjs";

const require = createRequire(import.meta.url);

let server;
let browser;
before(async () => {
  [server, browser] = await Promise.all([startServer({ args: FLAGS }), startBrowser()]);
});
after(async () => {
  await browser.close();
  assert.equal(await server.stop(), 0, "the server ends cleanly");
});

// Speaks from `page` of some server to the server of all tests. The client comes in without
// asking the policy of the page, which holds for what it does there.
async function speaks(page, client, transports, expected = null) {
  const path = require.resolve(`${client}/dist/socket.io.js`);
  const prepare = (page) => page.addInitScript({ path });
  const open = await openPage(browser, page, { prepare, expected });
  const said = { url: server.base, transports, auth: AUTH };
  const received = await open.evaluate(`(${exchange})(io, ${JSON.stringify(said)})`);
  assertExchange(received, transports);
  await closePage(open);
}

for (const client of CLIENTS) {
  const { version } = require(`${client}/package.json`);
  for (const transports of TRANSPORTS) {
    const over = `${version} over ${transports.join(" and then ")}`;
    // A page that is not there is one of the server, with its policy, and without the game.
    test(`every feature in a page: ${over}`, TIMEOUT, () =>
      speaks(`${server.base}no-such-page`, client, transports, /no-such-page/));
  }
}

test("a page of another origin may connect", TIMEOUT, async (t) => {
  const other = await startServer({ args: FLAGS });
  t.after(other.stop);
  for (const transports of TRANSPORTS) {
    await speaks(`${other.base}healthz`, CLIENTS[0], transports);
  }
});
