// The pages over skirmish.v1 in a browser, beside players of the other dialects.
import { test } from "node:test";
import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import { WebSocketServer } from "ws";
import {
  REFUSED, startServer, serverAndBrowser, openPage, closePage, inGame, inState, shows, placeOf,
  sawMove, settled, toTheMiddle, walkTo, attack, hpIs, until, joinBot, DOTS_RULES,
} from "./harness.mjs";
import { record, neverJumped } from "./frames.mjs";
import { startSlowNetwork } from "./slow-network.mjs";

const shared = serverAndBrowser();
let rooms = 0;

const network = (page, row) => page.textContent(`#net-${row}`);

// Ann over skirmish.v1 and Bob over JSON in a room of their own.
async function annAndBob(game) {
  const room = `${game}-v1-${rooms++}`;
  const url = (name, dialect) =>
    `${shared.server[game]}?room=${room}&name=${name}&dialect=${dialect}&net=1`;
  const [ann, bob] = await Promise.all([
    openPage(shared.browser, url("Ann", "v1")), openPage(shared.browser, url("Bob", "json")),
  ]);
  const [annId, bobId] = await Promise.all([inGame(ann, 2), inGame(bob, 2)]);
  await shows(ann, "#net-dialect", /^skirmish\.v1$/);
  await shows(bob, "#net-dialect", /^JSON$/);
  return { ann, bob, annId, bobId, close: () => Promise.all([closePage(ann), closePage(bob)]) };
}

test("a page over skirmish.v1 and one over JSON see each other", async () => {
  const { ann, bob, annId, bobId, close } = await annAndBob("dots");
  for (const [page, id, other] of [[ann, annId, bob], [bob, bobId, ann]]) {
    for (const [key, way] of [
      ["ArrowUp", [0, -1]], ["KeyS", [0, 1]], ["ArrowLeft", [-1, 0]], ["KeyD", [1, 0]],
    ]) {
      const from = await toTheMiddle(page, id);
      await page.keyboard.down(key);
      await sawMove(other, id, from, way);
      await page.keyboard.up(key);
      await settled(page, id);
    }
  }
  const [first, second] = await Promise.all([ann, bob].map((page) =>
    page.evaluate(() => window.Skirmish.game.snapshot().players)));
  assert.deepEqual(first, second, "with the same names, colours and places");
  await close();
});

test("a short press, and a click of an assistive tool, make one step", async () => {
  const { ann, bob, annId, close } = await annAndBob("dots");
  const from = await toTheMiddle(ann, annId);
  await ann.keyboard.press("ArrowUp");
  await sawMove(bob, annId, from, [0, -1]);
  assert.equal((await settled(bob, annId)).y, from.y - 10);
  await ann.evaluate(() => document.querySelector('[data-direction="UP"]').click());
  await sawMove(bob, annId, { ...from, y: from.y - 10 }, [0, -1]);
  assert.equal((await settled(bob, annId)).y, from.y - 20);
  await close();
});

for (const [game, rttMs] of [["dots", 0], ["dots", 100], ["dots", 200], ["battle", 200]]) {
  test(`no frame jumps, ${game} over skirmish.v1 at ${rttMs} ms with stalls`, async (t) => {
    const slow = await startSlowNetwork(shared.server.port, rttMs);
    t.after(slow.close);
    const url = `http://127.0.0.1:${slow.port}/${game === "dots" ? "client" : "battle"}.html`;
    const page = await openPage(shared.browser,
      `${url}?dialect=v1&net=1&room=${game}-v1-${rooms++}`);
    const id = await inGame(page, 1);
    await shows(page, "#net-dialect", /^skirmish\.v1$/);
    await shows(page, "#net-rtt", /\d ms/);
    await record(page);
    const steps = game === "dots" ? 26 : 14;
    for (const [key, axis, sign, stallMs] of [
      ["ArrowRight", "x", 1, 400], ["ArrowLeft", "x", -1, 800], ["ArrowDown", "y", 1, 200],
      ["ArrowUp", "y", -1, 800],
    ]) {
      await page.keyboard.down(key);
      slow.stall(stallMs);
      // To the wall, or as far as these steps lead.
      const from = await placeOf(page, id);
      await page.waitForFunction(({ id, from, axis, sign, steps }) => {
        const { snapshot, rules } = window.Skirmish.game;
        const { walls, step } = rules();
        const limit = walls[axis === "x" ? (sign > 0 ? "right" : "left") : sign > 0 ? "bottom" : "top"];
        const here = snapshot().players.find((one) => one.id === id)[axis];
        return here === limit || (here - from[axis]) * sign >= steps * step;
      }, { id, from, axis, sign, steps });
      await page.keyboard.up(key);
    }
    await neverJumped(page, id, 40);
    await closePage(page);
  });
}

test("a page reconnects to a server that restarts, over skirmish.v1", async () => {
  let server = await startServer();
  const page = await openPage(shared.browser, `${server.dots}?dialect=v1&net=1`,
    { expected: REFUSED });
  await inGame(page, 1);
  await server.stop();
  await inState(page, "waiting");
  server = await startServer({ port: server.port });
  const id = await inGame(page, 1);
  await shows(page, "#net-dialect", /^skirmish\.v1$/);
  const from = await toTheMiddle(page, id);
  await page.keyboard.down("ArrowLeft");
  await sawMove(page, id, from, [-1, 0]);
  await page.keyboard.up("ArrowLeft");
  await closePage(page);
  assert.equal(await server.stop(), 0);
});

test("a server without skirmish.v1 is played over JSON", async (t) => {
  const refused = [];
  const server = http.createServer();
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (request.headers["sec-websocket-protocol"] !== undefined) {
      refused.push(request.headers["sec-websocket-protocol"]);
      socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.send(JSON.stringify({ type: "init", id: "1", rules_data: DOTS_RULES }));
      const send = () => client.send(JSON.stringify({ type: "state_update",
        players: [{ id: "1", x: 100, y: 100, color: "#112233" }] }));
      send();
      client.on("message", send);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    sockets.clients.forEach((client) => client.terminate());
    server.close();
  });
  const page = await openPage(shared.browser,
    `${shared.server.dots}?dialect=v1&net=1&server=127.0.0.1:${server.address().port}`,
    { expected: REFUSED });
  await inGame(page, 1);
  await shows(page, "#net-dialect", /^JSON$/);
  assert.deepEqual(refused, ["skirmish.v1"]);
  await page.keyboard.press("ArrowUp");
  await until(() => page.sent.some((text) => text.includes('"move"')), "a move");
  await closePage(page);
});

test("a battle over skirmish.v1 against a player over JSON", async () => {
  const { ann, bob, annId, bobId, close } = await annAndBob("battle");
  const place = await settled(ann, bobId);
  await walkTo(ann, annId, place, 5);
  // An attack within the cooldown of the last one is none, and health returns after a while.
  await until(async () => {
    await attack(ann);
    return (await placeOf(bob, bobId)).hp === 0;
  }, "a kill");
  await hpIs(ann, bobId, 0);
  await shows(ann, "#feed", /You.*Bob|Ann.*Bob/);
  await hpIs(ann, bobId, 100);
  await hpIs(bob, bobId, 100);
  await attack(bob);
  await close();
});

test("N shows and hides the numbers of the network", async () => {
  const bot = await joinBot(`${shared.server.ws}?room=dots-n`);
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-n&dialect=v1`);
  await inGame(page, 2);
  assert.equal(await page.isVisible("#net"), false);
  await page.keyboard.press("n");
  assert.equal(await page.isVisible("#net"), true);
  await shows(page, "#net-rtt", /^\d+ ms$/);
  await shows(page, "#net-bytes", /B\/s$/);
  await shows(page, "#net-error", /^0$/);
  assert.equal(await network(page, "compression"), "off");
  await page.click("#choose-room");
  await page.keyboard.press("n");
  await page.keyboard.press("Escape");
  assert.equal(await page.isVisible("#net"), true, "a key in a field is text");
  await page.keyboard.press("n");
  assert.equal(await page.isVisible("#net"), false);
  await closePage(page);
  await bot.leave();
});

for (const dialect of ["json", "v1"]) {
  test(`the page simulates a slow network, ${dialect}`, async () => {
    const page = await openPage(shared.browser,
      `${shared.server.dots}?room=dots-lag-${dialect}&dialect=${dialect}&net=1&lag=300&jitter=20`);
    await inGame(page, 1);
    await page.waitForFunction(() =>
      parseInt(document.querySelector("#net-rtt").textContent) >= 300);
    await closePage(page);
  });
}
