// The page of the battle as a page: small screens, light and dark, other dialects and rooms, text
// from other players, and a server that stops.
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  REFUSED, startServer, serverAndBrowser, openPage, closePage, inState, inGame, shows, walkTo,
  fakeServer, BATTLE_RULES,
} from "./harness.mjs";

const shared = serverAndBrowser();
const pageOf = (query) => `${shared.server.battle}?dialect=json${query}`;

const SCREENS = [
  [390, 844], [320, 568], [360, 740], [844, 390], [568, 320], [1280, 720], [600, 600], [820, 1180],
  [2560, 1440], [640, 400], [1024, 600], [320, 800], [360, 880],
];
for (const [width, height] of SCREENS) {
  test(`everything fits on ${width} x ${height}`, async () => {
    const phone = width < 1000;
    const page = await openPage(shared.browser, pageOf("&room=battle-fit&name=Wolfeschlegel123"), {
      viewport: { width, height }, hasTouch: phone, isMobile: phone,
    });
    await inGame(page);
    await page.waitForFunction(() => document.querySelector("#ping").textContent !== "–");
    // A phone zooms out if a page is too wide, and then reports a larger width of its own.
    const fits = await page.evaluate(([width, height]) => {
      const inside = (element) => {
        const box = element.getBoundingClientRect();
        return box.left >= 0 && box.top >= 0 &&
          box.right <= width && box.bottom <= height;
      };
      const apart = (a, b) => a.right <= b.left || b.right <= a.left ||
        a.bottom <= b.top || b.bottom <= a.top;
      const boxOf = (selector) => document.querySelector(selector).getBoundingClientRect();
      const thumbs = Array.from(document.querySelectorAll("#pad button, #attack"));
      const parts = ["#board", "#pad", "#attack", "dl", "#choose-room", "#mute", "#share"].map(boxOf);
      const board = boxOf("#board");
      // A long but usual value: half of the world is farther away than 99 ms.
      const readable = ([id, longest]) => {
        const element = document.getElementById(id);
        element.textContent = longest;
        return element.scrollWidth <= element.clientWidth;
      };
      return {
        noScroll: document.documentElement.scrollWidth <= width,
        thumbsInside: thumbs.every(inside),
        boardInside: inside(document.querySelector("#board")),
        apart: parts.every((a, i) => parts.slice(i + 1).every((b) => apart(a, b))),
        state: inside(document.querySelector("#state")),
        tools: ["#choose-room", "#mute", "#share"].map((one) => document.querySelector(one))
          .every((one) => inside(one) && one.offsetWidth >= 24 && one.scrollWidth <= one.clientWidth),
        numbers: [["health", "100"], ["ping", "1234 ms"], ["via", "websocket"]].every(readable),
        large: board.width >= Math.min(width, height) * 0.5,
        square: Math.abs(board.width - board.height) < 1,
        fingers: Math.min(...thumbs.flatMap((b) => [b.offsetWidth, b.offsetHeight])) >= 44,
      };
    }, [width, height]);
    assert.deepEqual(fits, Object.fromEntries(Object.keys(fits).map((key) => [key, true])));
    // The scores are visible, or shown by their button, and cover only the arena.
    if (await page.isVisible("#toggle")) {
      assert.equal(await page.isVisible("#scores"), false);
      await page.click("#toggle");
      const [scores, board] = await Promise.all(
        ["#scores", "#board"].map((selector) => page.locator(selector).boundingBox()));
      for (const key of ["x", "y", "width", "height"]) {
        assert.ok(Math.abs(scores[key] - board[key]) < 1.5, key);
      }
      assert.equal(await page.getAttribute("#toggle", "aria-pressed"), "true");
    }
    await page.waitForSelector("#rows .me");
    const [row, scores] = await Promise.all(
      ["#rows .me th", "#scores"].map((selector) => page.locator(selector).boundingBox()));
    assert.ok(row.y >= scores.y && row.y + row.height <= scores.y + scores.height + 1, "own row");
    await closePage(page);
  });
}

test("the title bar fits on a phone in every state", async () => {
  for (const width of [320, 360, 375, 390, 412, 430]) {
    for (const url of [pageOf("&room=battle-head"), `${shared.server.dots}?room=dots-head`]) {
      const viewport = { width, height: 800 };
      const page = await openPage(shared.browser, url, { viewport, hasTouch: true, isMobile: true });
      await inGame(page);
      const wrong = await page.evaluate((width) => {
        const [state, home] = ["#state", "#home"].map((one) => document.querySelector(one));
        const fits = (name, text, late) => {
          document.body.dataset.state = name;
          document.body.toggleAttribute("data-late", late);
          state.textContent = text;
          const [pill, link] = [state, home].map((element) => element.getBoundingClientRect());
          return pill.right <= width - 16 && link.right <= pill.left && link.left >= 16 &&
            link.bottom - link.top < 32;
        };
        return [
          ["open", "Connected", false], ["connecting", "Connecting", false],
          ["waiting", "Reconnecting", false], ["stopped", "Not connected", false],
          ["open", "Waiting for the server", true],
        ].filter((one) => !fits(...one));
      }, width);
      assert.deepEqual(wrong, [], `${width} wide: ${url}`);
      await closePage(page);
    }
  }
});

test("light and dark have enough contrast", async () => {
  // Contrast as WCAG 2 defines it.
  const light = (hex) => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  for (const colorScheme of ["light", "dark"]) {
    const page = await openPage(shared.browser, pageOf("&room=battle-look"), { colorScheme });
    await inGame(page);
    const color = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const names = ["panel", "page", "accent", "on-accent", "board-field", "board-tile",
        "board-text", "board-me", "board-bad"];
      return Object.fromEntries(names.map((name) =>
        [name, style.getPropertyValue(`--${name}`).trim()]));
    });
    for (const [text, ground, least] of [
      ["accent", "panel", 4.5], ["accent", "page", 4.5], ["on-accent", "accent", 4.5],
      ["board-text", "board-tile", 4.5], ["board-me", "board-tile", 4.5],
      ["board-bad", "board-tile", 3],
    ]) {
      const [high, low] = [light(color[text]), light(color[ground])].sort((a, b) => b - a);
      const ratio = (high + 0.05) / (low + 0.05);
      assert.ok(ratio >= least, `${colorScheme}: ${text} on ${ground} is ${ratio.toFixed(2)}`);
    }
    const corner = await page.evaluate(() =>
      document.querySelector("canvas").getContext("2d").getImageData(20, 20, 1, 1).data[0]);
    assert.ok(colorScheme === "light" ? corner > 200 : corner < 60, "the arena follows the scheme");
    await closePage(page);
  }
});

test("reduced motion shows a ring instead of a moving blade", async () => {
  for (const [reducedMotion, whirls] of [["no-preference", true], ["reduce", false]]) {
    const page = await openPage(shared.browser, pageOf("&room=battle-calm"), {
      reducedMotion,
      prepare: (page) => page.addInitScript(() => {
        window.fans = window.rings = 0;
        const { prototype } = CanvasRenderingContext2D;
        const { createConicGradient, stroke } = prototype;
        prototype.createConicGradient = function (...rest) {
          window.fans++;
          return createConicGradient.apply(this, rest);
        };
        prototype.stroke = function (...rest) {
          if (this.globalAlpha < 1) window.rings++;
          return stroke.apply(this, rest);
        };
      }),
    });
    await inGame(page);
    // Repeat until it is seen: on a busy machine a swing has few frames.
    await page.keyboard.down("Space");
    await page.waitForFunction(() => window.rings > 5);
    await page.keyboard.up("Space");
    assert.equal(await page.evaluate(() => window.fans > 0), whirls, reducedMotion);
    await closePage(page);
  }
});

const NO_CLIENT = /socket\.io\.js/;

test("without the client of Socket.IO the page speaks JSON, or says what is missing", async () => {
  const page = await openPage(shared.browser, shared.server.battle, { expected: NO_CLIENT });
  await inGame(page);
  assert.equal(await page.textContent("#room"), "battle");
  await closePage(page);
  const forced = await openPage(shared.browser, `${shared.server.battle}?dialect=socketio&name=Ann`, {
    expected: NO_CLIENT,
  });
  await inState(forced, "stopped");
  assert.match(await forced.textContent("#sentence"), /--socketio-client/);
  await forced.click("#out:has-text('Play in another dialect')");
  await inGame(forced);
  assert.equal(forced.url(), `${shared.server.battle}?name=Ann`);
  await closePage(forced);
});

test("a wrong address shows a sentence and a link to another page", async () => {
  for (const [query, sentence] of [
    ["?dialect=chess&room=battle-x", /“chess” is not a dialect/],
    ["?dialect=json&room=../Etc", /“..\/Etc” is not a room name/],
    ["?dialect=json&server=ftp://x", /is not a server address/],
  ]) {
    const page = await openPage(shared.browser, shared.server.battle + query, { expected: NO_CLIENT });
    await inState(page, "stopped");
    assert.match(await page.textContent("#sentence"), sentence);
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Space");
    await page.click("#out");
    await inGame(page);
    await closePage(page);
  }
});

test("a room that plays the other game links to its page, in both directions", async () => {
  const dots = await openPage(shared.browser, `${shared.server.dots}?room=dots-here&name=Ann`);
  await inGame(dots);
  const page = await openPage(shared.browser, pageOf("&room=dots-here&name=Bob"));
  await inState(page, "stopped");
  assert.equal(await page.textContent("#sentence"), "The room “dots-here” plays dots.");
  await page.click("#out:has-text('Play dots there')");
  await page.waitForURL(`${shared.server.dots}?room=dots-here&name=Bob`);
  await Promise.all([inGame(page, 2), inGame(dots, 2)]);

  const battle = await openPage(shared.browser, pageOf("&room=tea&name=Cat"));
  await inGame(battle, 1);
  await dots.goto(`${shared.server.dots}?room=tea&name=Ann`);
  await inState(dots, "stopped");
  await dots.click("#out:has-text('Play battle there')");
  await dots.waitForURL(`${shared.server.battle}?room=tea&name=Ann`);
  await closePage(battle);
  await page.close();
  await dots.context().close();
  assert.deepEqual(page.errors, []);
});

test("the form goes to another room in the same dialect, and the title leads to the first page", async () => {
  const page = await openPage(shared.browser, pageOf("&room=battle-form&name=Ann"));
  await inGame(page);
  await page.click("#choose-room");
  await page.waitForSelector("#rooms button");
  await page.fill("[name=room]", "Tea-2");
  await page.press("[name=room]", "Enter");
  await page.waitForURL(pageOf("").replace("?dialect=json", "?room=tea-2&name=Ann&dialect=json"));
  await inGame(page, 1);
  await page.click("#home");
  await page.waitForURL(`${shared.server.base}index.html?name=Ann`);
  await closePage(page);
});

test("without JavaScript the arena says so", async () => {
  const page = await openPage(shared.browser, shared.server.battle, { javaScriptEnabled: false });
  const [board, said] = await Promise.all(
    ["#board", "noscript p"].map((selector) => page.locator(selector).boundingBox()));
  assert.ok(said.y > board.y && said.y + said.height < board.y + board.height);
  assert.equal(await page.isVisible("#dead"), false);
  await closePage(page);
});

test("the server restarts: a countdown, and all pages reconnect", async (t) => {
  const first = await startServer();
  t.after(first.stop);
  const page = await openPage(shared.browser, `${first.battle}?dialect=json&name=Zoe`, {
    expected: REFUSED,
  });
  await inGame(page, 1);
  assert.equal(await first.stop(), 0);
  await shows(page, "#notice", "restarting[^]*Reconnecting in \\d+ s");
  const second = await startServer({ port: first.port });
  t.after(second.stop);
  const id = await inGame(page, 1);
  const from = await walkTo(page, id, { x: 50, y: 50 });
  await page.keyboard.press("ArrowUp");
  await page.waitForFunction(({ id, y }) =>
    window.Skirmish.game.snapshot().players.find((one) => one.id === id).y < y, { id, y: from.y });
  await closePage(page);
});

test("a kill between other players whose names are markup", async (t) => {
  const markup = "<img src=x onerror=alert(1)>";
  const player = (id, more) => ({ id, x: 20, y: 20, color: "red;x:y", name: markup, hp: 100, kills: 0,
    deaths: 0, respawn_ms: 0, ...more });
  const fake = await fakeServer(t, (socket) => {
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: "init", id: "1", room: markup, rules_data: BATTLE_RULES });
    let n = 0;
    const timer = setInterval(() => send({ type: "state_update", tick: n++, players: [
      player("1", { x: 90 }), player("2", n > 5 && { kills: 1 }),
      player(markup, n > 5 && { hp: 0, deaths: 1, respawn_ms: 3000 }), null, { id: 9 },
    ] }), 50);
    socket.on("close", () => clearInterval(timer));
  });
  const page = await openPage(shared.browser, `${shared.server.battle}?server=${fake.address}`);
  await page.waitForFunction((text) => document.querySelector("#feed").textContent === text,
    `${markup} killed ${markup}`);
  assert.equal(await page.locator("img").count(), 0);
  await page.waitForFunction(() => document.querySelector("#rows").rows.length === 3);
  await closePage(page);
});
