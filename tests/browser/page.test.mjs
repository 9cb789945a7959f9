// The page as a page: small screens, light and dark, and text from other players.
import { test } from "node:test";
import assert from "node:assert/strict";
import {
  serverAndBrowser, openPage, closePage, inGame, shows, placeOf, toTheMiddle, settled, fakeServer,
  DOTS_RULES,
} from "./harness.mjs";

const shared = serverAndBrowser();

const SCREENS = [
  [390, 844], [320, 568], [844, 390], [568, 320], [1280, 720],
  // The last is a laptop at a zoom of 200 %.
  [600, 600], [820, 1180], [2560, 1440], [640, 400],
];
for (const [width, height] of SCREENS) {
  test(`everything fits on ${width} x ${height}`, async () => {
    const phone = width < 1000;
    const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-fit`, {
      viewport: { width, height }, hasTouch: phone, isMobile: phone,
    });
    await inGame(page);
    const fits = await page.evaluate(() => {
      const inside = (element) => {
        const box = element.getBoundingClientRect();
        return box.left >= 0 && box.top >= 0 &&
          box.right <= innerWidth && box.bottom <= innerHeight;
      };
      const buttons = Array.from(document.querySelectorAll("#pad button"));
      const board = document.querySelector("#board").getBoundingClientRect();
      return {
        noScroll: document.documentElement.scrollWidth <= innerWidth,
        padInside: buttons.every(inside),
        boardInside: inside(document.querySelector("#board")),
        state: inside(document.querySelector("#state")),
        chooseRoom: inside(document.querySelector("#choose-room")),
        share: inside(document.querySelector("#share")),
        // At least half of the shorter side of the window.
        large: board.width >= Math.min(innerWidth, innerHeight) * 0.5,
        square: Math.abs(board.width - board.height) < 1,
        fingers: Math.min(...buttons.flatMap((b) => [b.offsetWidth, b.offsetHeight])) >= 44,
      };
    });
    const all = Object.fromEntries(Object.keys(fits).map((key) => [key, true]));
    assert.deepEqual(fits, all);
    await closePage(page);
  });
}

test("an idle page draws again after its canvas was lost, and in other colours", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-stale`, { colorScheme: "light" });
  await inGame(page);
  await page.waitForFunction(() => performance.now() - window.Skirmish.game.drew().at > 500);
  await page.evaluate(() => {
    window.context_ = document.querySelector("#canvas").getContext("2d");
    window.wall_ = () => String(window.context_.getImageData(0, 0, 1, 1).data);
  });
  const light = await page.evaluate(() => window.wall_());
  assert.match(light, /,255$/);
  // A browser that restores the context of a canvas has cleared it.
  assert.equal(await page.evaluate(() => {
    const { canvas } = window.context_;
    window.context_.clearRect(0, 0, canvas.width, canvas.height);
    canvas.dispatchEvent(new Event("contextrestored"));
    return window.wall_();
  }), light);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction((light) => window.wall_() !== light, light);
  await closePage(page);
});

test("the canvas has the pixels of the device", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-pixels`, { deviceScaleFactor: 2 });
  await inGame(page);
  const ratio = await page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    return canvas.width / canvas.getBoundingClientRect().width;
  });
  assert.ok(Math.abs(ratio - 2) < 0.02, `ratio ${ratio}`);
  await closePage(page);
});

test("arrow keys do not scroll a page that could scroll", async () => {
  const viewport = { width: 400, height: 300 };
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-scroll`, { viewport });
  await inGame(page);
  assert.ok(await page.evaluate(() => document.documentElement.scrollHeight > innerHeight));
  await page.evaluate(() => {
    window.kept = [];
    addEventListener("keydown", (event) => window.kept.push(event.defaultPrevented));
  });
  for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "PageDown"]) {
    await page.keyboard.press(key);
  }
  // Other keys scroll as usual.
  assert.deepEqual(await page.evaluate(() => window.kept), [true, true, true, true, false]);
  await page.waitForFunction(() => scrollY > 0);
  await closePage(page);
});

// Records the text that is drawn, since a canvas cannot be read.
const rememberText = (page) => page.addInitScript(() => {
  window.drawn = new Set();
  const fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    window.drawn.add(text);
    return fillText.call(this, text, ...rest);
  };
});

test("a name with HTML in it is drawn and not executed", async () => {
  const url = `${shared.server.dots}?room=dots-html&name=${encodeURIComponent("<b onclick=x>")}`;
  const page = await openPage(shared.browser, url, { prepare: rememberText });
  const id = await inGame(page, 1);
  const other = await openPage(shared.browser, url, { prepare: rememberText });
  await inGame(other, 2);
  // The name as the server cleaned it is drawn, and announced when the player joins.
  const { name } = await placeOf(other, id);
  assert.notEqual(name, "");
  await other.waitForFunction((name) => window.drawn.has(name), name);
  const isAnnounced = (name) => document.querySelector("#news").textContent.includes(name);
  await page.waitForFunction(isAnnounced, name);
  assert.equal(await page.locator("b").count(), 0);
  await closePage(other);
  await closePage(page);
});

test("text from a server is never executed", async (t) => {
  const markup = '<img src=x onerror="alert(1)">';
  let last;
  const fake = await fakeServer(t, (socket) => {
    last = socket;
    const one = { id: markup, x: 100, y: 100, color: 'red"><script>alert(2)</script>', name: markup };
    const send = (message) => socket.send(JSON.stringify(message));
    send({ type: "init", id: markup, room: markup, rules_data: DOTS_RULES });
    socket.send("this is not JSON");
    send(null);
    send({ type: "state_update", players: "none" });
    send({ type: "state_update", players: [one, null, { id: 2, x: "left" }] });
  });
  const url = `${shared.server.dots}?server=${fake.address}`;
  const page = await openPage(shared.browser, url, { prepare: rememberText });
  await page.waitForFunction(() => [...window.drawn].some((text) => text.startsWith("<img")));
  last.close(4012, markup);
  await shows(page, "#sentence", "restarting");
  assert.equal(await page.textContent("#room"), markup);
  assert.equal(await page.locator("img").count(), 0);
  await closePage(page);
});

// Contrast as WCAG 2 defines it.
function contrast(a, b) {
  const light = (hex) => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

test("light and dark have enough contrast", async () => {
  const shots = [];
  for (const colorScheme of ["light", "dark"]) {
    const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-look`, { colorScheme });
    await inGame(page);
    const color = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const names = ["page", "panel", "ink", "quiet", "good", "warn", "bad", "accent", "on-accent",
        "board-field", "board-text", "board-me"];
      const valueOf = (name) => style.getPropertyValue(`--${name}`).trim();
      return Object.fromEntries(names.map((name) => [name, valueOf(name)]));
    });
    for (const [text, ground] of [
      ["ink", "page"], ["ink", "panel"], ["quiet", "page"], ["quiet", "panel"], ["good", "panel"],
      ["warn", "panel"], ["bad", "panel"], ["on-accent", "accent"],
      ["board-text", "board-field"], ["board-me", "board-field"],
    ]) {
      const ratio = contrast(color[text], color[ground]);
      assert.ok(ratio >= 4.5, `${colorScheme}: ${text} on ${ground} is ${ratio.toFixed(2)}`);
    }
    const corner = await page.evaluate(() =>
      document.querySelector("canvas").getContext("2d").getImageData(2, 2, 1, 1).data[0]);
    shots.push({ corner, image: await page.screenshot() });
    await closePage(page);
  }
  assert.ok(shots[0].corner > 200 && shots[1].corner < 60, "the board follows the scheme");
  assert.notDeepEqual(shots[0].image, shots[1].image);
});

test("reduced motion draws no trails", async () => {
  for (const [reducedMotion, trails] of [["no-preference", true], ["reduce", false]]) {
    const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-calm`, {
      reducedMotion,
      prepare: (page) => page.addInitScript(() => {
        window.lines = 0;
        const lineTo = CanvasRenderingContext2D.prototype.lineTo;
        CanvasRenderingContext2D.prototype.lineTo = function (...rest) {
          window.lines++;
          return lineTo.apply(this, rest);
        };
      }),
    });
    const id = await inGame(page);
    await toTheMiddle(page, id);
    await page.keyboard.press("ArrowUp");
    await settled(page, id);
    await page.keyboard.press("ArrowDown");
    await settled(page, id);
    assert.equal(await page.evaluate(() => window.lines > 0), trails, reducedMotion);
    await closePage(page);
  }
});

test("the scheme may change while playing", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-change`, { colorScheme: "light" });
  await inGame(page);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForFunction(() =>
    document.querySelector("canvas").getContext("2d").getImageData(2, 2, 1, 1).data[0] < 60);
  await closePage(page);
});

test("the map ends at the walls, and its squares have the same size", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-walls`, {
    prepare: (page) => page.addInitScript(() => {
      window.lines = [];
      const fillRect = CanvasRenderingContext2D.prototype.fillRect;
      CanvasRenderingContext2D.prototype.fillRect = function (x, y, width, height) {
        window.lines.push([x, y, width, height]);
        return fillRect.call(this, x, y, width, height);
      };
      const arc = CanvasRenderingContext2D.prototype.arc;
      CanvasRenderingContext2D.prototype.arc = function (x, y, radius, ...rest) {
        window.dot = { left: x - radius, line: this.lineWidth };
        return arc.call(this, x, y, radius, ...rest);
      };
    }),
  });
  const id = await inGame(page, 1);
  // The last painting of the field: all of the canvas, the map, and its lines.
  const { side, map, upright } = await page.evaluate(() => {
    const { width } = document.querySelector("canvas");
    const [, map, ...lines] = window.lines.slice(
      window.lines.findLastIndex((rect) => rect[0] === 0 && rect[2] === width));
    return { side: width, map, upright: lines.filter((line) => line[1] === map[1] && line[2] < 4) };
  });
  const [from, to] = [map[0], map[0] + map[2]];
  assert.equal(from, side - to, "the walls are alike");
  const edges = [from, ...upright.map((line) => line[0] + line[2] / 2).sort((a, b) => a - b), to];
  const squares = edges.slice(1).map((edge, i) => edge - edges[i]);
  assert.equal(squares.length, 10);
  assert.ok(Math.max(...squares) - Math.min(...squares) <= 1.5, squares.join(" "));
  await page.keyboard.down("ArrowLeft");
  await page.waitForFunction((id) => window.Skirmish.game.snapshot().players
    .find((one) => one.id === id).x === 10, id);
  await page.keyboard.up("ArrowLeft");
  await settled(page, id);
  // The ring, drawn last, lies on the wall; the dot inside it touches the wall.
  const dot = await page.evaluate(() => window.dot.left + 3.5);
  assert.ok(Math.abs(dot - from) < 1.5, `the dot ends at ${dot}, the wall at ${from}`);
  await closePage(page);
});

test("the timers of a page run five times a second at most", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-timers`, {
    prepare: (page) => page.addInitScript(() => {
      window.perSecond = 0;
      const { setInterval } = window;
      window.setInterval = (run, ms) => {
        window.perSecond += 1000 / ms;
        return setInterval(run, ms);
      };
    }),
  });
  await inGame(page);
  assert.ok(await page.evaluate(() => window.perSecond > 0 && window.perSecond <= 5));
  await closePage(page);
});

test("without JavaScript the board says so, and no state of the connection is shown", async () => {
  const page = await openPage(shared.browser, shared.server.dots, { javaScriptEnabled: false });
  const [board, said] = await Promise.all(
    ["#board", "noscript p"].map((selector) => page.locator(selector).boundingBox()));
  assert.ok(said.y > board.y && said.y + said.height < board.y + board.height);
  assert.equal(await page.isVisible("#state"), false);
  assert.equal(await page.isVisible("#choose-room"), false);
  await closePage(page);
});

test("news fade, but stay for screen readers", async () => {
  const page = await openPage(shared.browser, `${shared.server.dots}?room=dots-news`, {
    prepare: (page) => page.clock.install(),
  });
  await inGame(page);
  const opacity = () => page.evaluate(() => getComputedStyle(document.querySelector("#news")).opacity);
  assert.equal(await opacity(), "1");
  await page.clock.fastForward(5000);
  await page.waitForFunction(() => getComputedStyle(document.querySelector("#news")).opacity === "0");
  assert.equal(await page.textContent("#news"), "Connected.");
  await closePage(page);
});
