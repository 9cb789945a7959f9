// The world in the browser, on the real server: what two players see of each other, the fight, the camera and
// the minimap, each dialect, and what a frame draws and allocates.
import { test } from "node:test";
import assert from "node:assert/strict";
import path from "node:path";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  REFUSED, serverAndBrowser, startServer, openPage, closePage, inGame, inState, shows, placeOf, settled,
  attack, hpIs, walkTo, until, joinBot, repository,
} from "./harness.mjs";
import { record, neverJumped } from "./frames.mjs";

const CLIENT = path.join(
  repository, "tests/browser/node_modules/socket.io-client/dist/socket.io.min.js");
// A map on which players are always near each other.
const MAP = { width: 1200, height: 1000 };
const shared = serverAndBrowser({
  args: ["--map", `${MAP.width}x${MAP.height}`, "--socketio-client", CLIENT],
});
const pageOf = (query) => `${shared.server.world}?${query}`;
const drawn = (page) => page.evaluate(() => window.Skirmish.world.drawn());

// Ann and Bob in a room, with the id of each.
async function annAndBob(t, room, query = "") {
  const [ann, bob] = await Promise.all(["Ann", "Bob"].map((name) =>
    openPage(shared.browser, pageOf(`room=${room}&name=${name}${query}`))));
  t.after(() => Promise.all([closePage(ann), closePage(bob)]));
  const [annId, bobId] = await Promise.all([inGame(ann, 2), inGame(bob, 2)]);
  return { ann, bob, annId, bobId };
}

for (const [dialect, query, shown] of [
  ["skirmish.v1", "", "skirmish.v1"], ["JSON", "&dialect=json", "JSON"],
  ["Socket.IO", "&dialect=socketio", null],
]) {
  test(`over ${dialect}: places, hits, a death and a respawn`, async (t) => {
    const room = `world-fight-${dialect.replace(".", "").toLowerCase().slice(0, 4)}`;
    const { ann, bob, annId, bobId } = await annAndBob(t, room, `${query}&net=1`);
    if (shown !== null) await shows(ann, "#net-dialect", shown.replace(".", "\\."));
    // Each sees the other where it is.
    const place = await walkTo(ann, annId, await settled(bob, bobId), 20);
    await bob.waitForFunction(({ id, place }) => {
      const { x, y } = window.Skirmish.game.snapshot().players.find((one) => one.id === id);
      return x === place.x && y === place.y;
    }, { id: annId, place });
    assert.equal((await placeOf(bob, annId)).name, "Ann");

    await attack(ann);
    await Promise.all([hpIs(ann, bobId, 90), hpIs(bob, bobId, 90), shows(bob, "#health", "^90$")]);
    // The server ignores an attack that comes a moment before its time.
    await until(async () => {
      await attack(ann);
      return (await placeOf(bob, bobId)).hp === 0;
    }, "the death of Bob");
    await Promise.all([bob.waitForSelector("#dead:not([hidden])"), hpIs(ann, bobId, 0)]);
    assert.equal(await bob.textContent("#dead-by"), "Ann killed you");
    assert.match(await bob.textContent("#dead-for"), /^Back in [123]$/);
    await shows(ann, "#feed", "Ann killed Bob");
    await Promise.all([hpIs(bob, bobId, 100), hpIs(ann, bobId, 100)]);
    await bob.waitForSelector("#dead", { state: "hidden" });
    await shows(ann, "#rows .me", "^1Ann10$");
    await shows(bob, "#rows .me", "^2Bob01$");
    // Bob is drawn where he is now, and can walk.
    const back = await settled(bob, bobId);
    await walkTo(bob, bobId, { x: back.x < 600 ? back.x + 60 : back.x - 60, y: back.y });
  });
}

test("the camera follows and stops at the border, and the minimap shows the place", async (t) => {
  const page = await openPage(shared.browser, pageOf("room=world-camera"));
  t.after(() => closePage(page));
  const id = await inGame(page, 1);
  await record(page);
  for (const [to, area] of [
    [{ x: 600, y: 500 }, null], [{ x: 10, y: 10 }, { left: -40, top: -40 }],
    [{ x: 1190, y: 990 }, { right: 1240, bottom: 1040 }],
  ]) {
    await walkTo(page, id, to, 9);
    const here = await settled(page, id);
    await until(async () => {
      const { own } = (await drawn(page)).minimap;
      return own.x === here.x && own.y === here.y;
    }, "the own place");
    const seen = await drawn(page);
    for (const [side, at] of Object.entries(area ?? {})) {
      assert.ok(Math.abs(seen.area[side] - at) < 1e-6, `${side}: ${seen.area[side]}`);
    }
    if (area === null) assert.ok(Math.abs((seen.area.top + seen.area.bottom) / 2 - here.y) < 1e-6);
    assert.ok(seen.area.right - seen.area.left <= 1024 + 1e-6);
    const { minimap, size } = await page.evaluate(() => {
      const { width, height } = document.querySelector("canvas");
      return { minimap: window.Skirmish.world.drawn().minimap, size: { width, height } };
    });
    // The minimap is not over the own player.
    const scale = size.width / (seen.area.right - seen.area.left);
    const [x, y] = [(here.x - seen.area.left) * scale, (here.y - seen.area.top) * scale];
    assert.ok(x < minimap.atX || x > minimap.atX + minimap.side ||
      y < minimap.atY || y > minimap.atY + minimap.side, "not over the own player");
    // The pixel at its place has the colour of the own player.
    const pixel = await page.evaluate(({ here, map, minimap }) => {
      const scale = minimap.side / Math.max(map.width, map.height);
      const left = (minimap.side - map.width * scale) / 2;
      const top = (minimap.side - map.height * scale) / 2;
      const canvas = document.querySelector("canvas");
      const { data } = canvas.getContext("2d").getImageData(
        Math.min(minimap.side - 2, left + here.x * scale) + minimap.atX,
        Math.min(minimap.side - 2, top + here.y * scale) + minimap.atY, 1, 1);
      return data[1] - data[0];
    }, { here, map: MAP, minimap });
    assert.ok(pixel > 20, `green by ${pixel}`);
  }
  await neverJumped(page, id, 20);
});

test("a slow network does not make the own player jump", async (t) => {
  const page = await openPage(shared.browser, pageOf("room=world-slow&lag=150&jitter=40&stall=400"));
  t.after(() => closePage(page));
  const id = await inGame(page, 1);
  await record(page);
  const { x } = await placeOf(page, id);
  const key = x < MAP.width / 2 ? "ArrowRight" : "ArrowLeft";
  await page.keyboard.down(key);
  await until(async () => Math.abs((await placeOf(page, id)).x - x) > 300, "300 units");
  await page.keyboard.up(key);
  await settled(page, id);
  await neverJumped(page, id, 10);
});

// The load test on this server; `stop` ends it.
async function crowd(server, count) {
  const child = spawn(path.join(repository, "target", "debug", "skirmish"), [
    "load", `${server.ws}?room=world`, "--dialect", "v1", "--clients", String(count), "--ramp-hz", "200",
    "--pattern", "straight", "--moves-hz", "0.5", "--seconds", "120", "--probes", "1",
  ], { stdio: "ignore" });
  return async () => {
    child.kill("SIGINT");
    await once(child, "exit");
  };
}

test("a frame draws each visible body once, and builds no player for it", async (t) => {
  const server = await startServer({ args: ["--map", "1024x768"] });
  const stop = await crowd(server, 200);
  t.after(async () => {
    await stop();
    await server.stop();
  });
  const page = await openPage(shared.browser, `${server.world}?name=Ann`, {
    viewport: { width: 1400, height: 800 },
  });
  t.after(() => closePage(page));
  await inGame(page, 201);
  const visible = await page.waitForFunction(() => {
    const { bodies, area } = window.Skirmish.world.drawn();
    const inside = window.Skirmish.game.snapshot().players.filter(({ x, y }) =>
      x > area.left + 60 && x < area.right - 60 && y > area.top + 60 && y < area.bottom - 60);
    return bodies >= inside.length && bodies > 100 && { bodies, least: inside.length };
  });
  const { bodies } = await visible.jsonValue();
  assert.ok(bodies <= 201);

  const frames = (most) => page.evaluate((most) => new Promise((resolve) => {
    let drawn = 0;
    const look = () => (++drawn < most ? requestAnimationFrame(look) : resolve());
    requestAnimationFrame(look);
  }), most);
  await frames(300);
  // The bytes that the functions of a frame allocate while 100 frames are drawn.
  const client = await page.context().newCDPSession(page);
  await client.send("HeapProfiler.enable");
  await client.send("HeapProfiler.collectGarbage");
  await client.send("HeapProfiler.startSampling", {
    samplingInterval: 256, includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true,
  });
  await frames(100);
  const { profile } = await client.send("HeapProfiler.stopSampling");
  const IN_FRAME = ["drawFrame", "sample", "draw", "put", "walk", "drawHealth", "drawGround",
    "drawMinimap", "sees", "toX", "toY", "colorOf", "variantOf", "indexInCrowd"];
  let bytes = 0;
  const add = ({ callFrame, selfSize, children }) => {
    if (IN_FRAME.includes(callFrame.functionName)) bytes += selfSize;
    children.forEach(add);
  };
  add(profile.head);
  const perBody = bytes / 100 / bodies;
  // Until the browser has optimized the code, it makes an object of each number with a fraction: up
  // to 60 bytes for a body. A player with its fields takes more than this bound.
  assert.ok(perBody < 150, `${perBody} bytes for a body and frame, ${bodies} bodies`);
});

test("everything fits on a phone and on a small window", async () => {
  for (const [width, height] of [[320, 568], [390, 844], [844, 390], [820, 1180], [1280, 720],
    [2560, 1440]]) {
    const phone = width < 1000;
    const page = await openPage(shared.browser, pageOf("room=world-fit&name=Wolfeschlegel123"), {
      viewport: { width, height }, hasTouch: phone, isMobile: phone,
    });
    await inGame(page);
    const outside = await page.evaluate(([width, height]) =>
      ["#board", "#pad", "#attack", "dl", "#choose-room", "#mute", "#share", "#state"]
        .filter((selector) => {
          const box = document.querySelector(selector).getBoundingClientRect();
          return box.left < 0 || box.top < 0 || box.right > width || box.bottom > height;
        }), [width, height]);
    assert.deepEqual(outside, [], `${width} x ${height}`);
    const { canvas, area } = await page.evaluate(() => {
      const { width, height, clientWidth, clientHeight } = document.querySelector("canvas");
      return { canvas: { width, height, clientWidth, clientHeight },
        area: window.Skirmish.world.drawn().area };
    });
    const scales = [canvas.width / (area.right - area.left), canvas.height / (area.bottom - area.top)];
    assert.ok(Math.abs(scales[0] - scales[1]) < 1e-6, "the picture is not stretched");
    assert.ok(Math.abs(canvas.width / canvas.clientWidth - canvas.height / canvas.clientHeight) < 0.02);
    await closePage(page);
  }
});

test("a full room for dialects that send all players says so, and links to skirmish.v1", async (t) => {
  const server = await startServer({ args: ["--full-state-players-max", "1"] });
  t.after(server.stop);
  const bot = await joinBot(`${server.ws}?room=world&rules=world`);
  t.after(bot.leave);
  const page = await openPage(shared.browser, `${server.world}?dialect=json`, { expected: REFUSED });
  t.after(() => closePage(page));
  await inState(page, "waiting");
  assert.equal(await page.textContent("#sentence"),
    "This room has too many players for a dialect that sends all of them.");
  await page.click("#out");
  await page.waitForURL(server.world);
  await inGame(page);
});

test("the first page counts the players of the world, and lists its rooms", async (t) => {
  const { ann } = await annAndBob(t, "world-home");
  const page = await openPage(ann.context().browser(), shared.server.base);
  t.after(() => closePage(page));
  await page.waitForFunction(() =>
    document.querySelector('[data-rules="world"] ul')?.textContent.includes("world-home 2 players"));
  await page.click('[data-rules="world"] .play');
  await page.waitForURL(shared.server.world);
  await inGame(page);
});
