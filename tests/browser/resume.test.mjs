// Pages that are cut off, and come back to their players before the others see them leave.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import {
  REFUSED, repository, serverAndBrowser, openPage, closePage, inGame, inState, placeOf, settled,
  listen, sawMove, freeWay, walkTo, attack, metric, until, joinBot,
} from "./harness.mjs";
import { startCuttingProxy } from "./cutting-proxy.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
// On this map the players of the world are always near each other.
const shared = serverAndBrowser({ args: ["--map", "1200x1000", "--socketio-client", CLIENT] });

const resumes = () => metric(shared.server, "skirmish_resumes_total");

// Ann's page of a game, behind a proxy, and a player that is not: Bob. He misses nothing.
async function annAndBob(t, game, dialect) {
  const room = `${game}-${t.name.replace(/[^a-z0-9]+/gi, "-").slice(0, 20)}`.toLowerCase();
  const bob = await joinBot(`${shared.server.ws}?room=${room}&rules=${game}&name=Bob`);
  t.after(bob.leave);
  const proxy = await startCuttingProxy(shared.server.port);
  t.after(proxy.close);
  const file = path.posix.basename(shared.server[game]);
  const page = `${proxy.base}${file}?room=${room}&rules=${game}&name=Ann&dialect=${dialect}`;
  const ann = await openPage(shared.browser, page, { expected: REFUSED });
  t.after(() => closePage(ann));
  const annId = await inGame(ann, 2);
  const ofAnn = () => bob.players.find(({ id }) => String(id) === annId);
  await until(() => ofAnn() !== undefined, "Bob sees Ann");
  const missing = [];
  bob.socket.on("message", (data) => {
    const { type } = JSON.parse(data);
    if (type === "state_update" && ofAnn() === undefined) missing.push(bob.players);
  });
  await ann.evaluate(() => {
    window.states = [];
    const look = () => window.states.push(document.body.dataset.state);
    new MutationObserver(look).observe(document.body, { attributeFilter: ["data-state"] });
  });
  const isLost = () => ann.waitForFunction(() => window.states.includes("waiting"));
  return { ann, annId, bob, bobId: String(bob.id), proxy, ofAnn, missing, isLost };
}

// Ann kills Bob, who stands where he joined.
async function fight({ ann, annId, bob, bobId, ofAnn }, near) {
  const { x, y } = bob.players.find(({ id }) => String(id) === bobId);
  await walkTo(ann, annId, { x, y }, near);
  await until(async () => {
    await attack(ann);
    return ofAnn().kills > 0;
  }, "the death of Bob");
  await hasScore(ann);
}

const hasScore = (page) => page.waitForFunction(() =>
  document.querySelector("#rows .me")?.textContent === "1Ann10");

for (const [game, dialects] of [
  ["dots", ["json", "v1"]], ["battle", ["json", "v1", "socketio"]],
  ["world", ["json", "v1", "socketio"]],
]) {
  for (const dialect of dialects) {
    test(`${game} over ${dialect}: a page that was cut off has its player again`, async (t) => {
      const both = await annAndBob(t, game, dialect);
      const { ann, annId, proxy, ofAnn, missing, isLost } = both;
      if (game !== "dots") await fight(both, game === "world" ? 20 : 5);
      const place = await settled(ann, annId);
      await until(() => ofAnn().x === place.x && ofAnn().y === place.y, "Ann stands still");
      const { kills, hp } = ofAnn();
      const before = await resumes();
      const said = await listen(ann, "news");
      proxy.cut();
      await isLost();
      assert.equal(await inGame(ann, 2), annId);
      const { x, y } = await settled(ann, annId);
      assert.deepEqual({ x, y }, place);
      assert.equal(ofAnn().kills, kills);
      assert.equal(ofAnn().hp, hp);
      if (game !== "dots") {
        await hasScore(ann);
        assert.equal((await placeOf(ann, annId)).kills, 1);
      }
      assert.equal(await resumes(), before + 1);
      // It plays on.
      const [key, way] = freeWay(place);
      await ann.keyboard.down(key);
      await sawMove(ann, annId, place, [way, 0]);
      await ann.keyboard.up(key);
      await until(() => Math.sign(ofAnn().x - place.x) === way, "Bob sees Ann move");
      assert.deepEqual(missing, [], "Bob has always seen Ann");
      assert.doesNotMatch((await said("news")).join("\n"), /joined|left/);
    });
  }
}

test("a page that was cut off twice has its player again each time", async (t) => {
  const { ann, annId, proxy, missing, isLost } = await annAndBob(t, "dots", "json");
  for (let time = 0; time < 2; time++) {
    await ann.evaluate(() => void (window.states = []));
    proxy.cut();
    await isLost();
    assert.equal(await inGame(ann, 2), annId);
  }
  assert.deepEqual(missing, []);
});

test("a page whose connection stalled has its player again", async (t) => {
  const { ann, annId, proxy, missing, isLost } = await annAndBob(t, "dots", "v1");
  const place = await settled(ann, annId);
  // What it has sent since arrives before its next connection.
  proxy.delay();
  await isLost();
  assert.equal(await inGame(ann, 2), annId);
  assert.deepEqual(await settled(ann, annId), place);
  assert.deepEqual(missing, []);
});

test("a page that is loaded again is another player, and the first one has left", async (t) => {
  const { ann, annId, ofAnn } = await annAndBob(t, "dots", "json");
  const before = await resumes();
  await ann.reload();
  await inState(ann, "open");
  assert.notEqual(await inGame(ann, 2), annId);
  await until(() => ofAnn() === undefined, "Bob does not see the first Ann any more");
  assert.equal(await resumes(), before);
});
