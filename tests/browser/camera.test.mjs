// The camera, the minimap and the discs of large maps, without a browser.
import { test } from "node:test";
import assert from "node:assert/strict";
import { loadParts } from "./harness.mjs";

const { createCamera, minimapFit, drawMinimap, createDiscs } = loadParts(
  "shared/camera.js", "shared/minimap.js", "shared/discs.js");
const WORLD = { left: 0, top: 0, right: 16_000, bottom: 16_000 };

const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-6, `${one}, expected ${other}`);

test("the camera follows, and stops at the edges of the map", () => {
  const camera = createCamera({ map: WORLD, view: [1024, 768] });
  camera.resize(2048, 1536);
  camera.follow(8000, 4000);
  const { area } = camera;
  assert.deepEqual({ ...area }, { left: 7488, top: 3616, right: 8512, bottom: 4384 });
  near(camera.toX(8000), 1024);
  near(camera.toY(4000), 768);
  near(camera.lengthPx(10), 20);
  for (const [x, y, left, top] of [
    [0, 0, 0, 0], [100, 15_990, 0, 15_232], [16_000, 16_000, 14_976, 15_232],
  ]) {
    camera.follow(x, y);
    assert.deepEqual([area.left, area.top], [left, top]);
  }
  camera.follow(8000, 4000);
  camera.resize(1024, 768);
  near((area.left + area.right) / 2, 8000);
});

test("a margin around the map can be seen", () => {
  const camera = createCamera({ map: WORLD, view: [1000, 1000], margin: 20 });
  camera.resize(500, 500);
  camera.follow(0, 16_000);
  assert.deepEqual([camera.area.left, camera.area.bottom], [-20, 16_020]);
});

test("no canvas shows more than the player may see", () => {
  const camera = createCamera({ map: WORLD, view: [1024, 768] });
  for (const [width, height] of [[1024, 768], [300, 900], [900, 300], [1, 1], [0, 0]]) {
    camera.resize(width, height);
    camera.follow(8000, 8000);
    const { left, top, right, bottom } = camera.area;
    assert.ok(right - left <= 1024 + 1e-6 && bottom - top <= 768 + 1e-6);
    assert.ok(Math.abs(right - left - 1024) < 1e-6 || Math.abs(bottom - top - 768) < 1e-6);
  }
});

test("a map that is smaller than the canvas is in its middle", () => {
  const camera = createCamera({
    map: { left: 0, top: 0, right: 500, bottom: 500 }, view: [1024, 768],
  });
  camera.resize(1024, 768);
  camera.follow(10, 490);
  near(camera.toX(250), 512);
  near(camera.toY(250), 384);
});

test("what is partly on the canvas is seen", () => {
  const camera = createCamera({ map: WORLD, view: [1000, 1000] });
  camera.resize(1000, 1000);
  camera.follow(8000, 8000);
  assert.equal(camera.sees(7495, 8000, 10), true);
  assert.equal(camera.sees(7485, 8000, 10), false);
  assert.equal(camera.sees(8000, 8505, 10), true);
  assert.equal(camera.sees(8000, 8515, 10), false);
});

// A canvas that records what is drawn.
function createContext() {
  const calls = [];
  const handler = {
    get: (_, name) => (...args) => calls.push([name, ...args]),
    set: () => true,
  };
  return { context: new Proxy({}, handler), calls, count: (name) =>
    calls.filter(([one]) => one === name).length };
}

const drawnOf = (places) => ({
  count: places.length,
  x: Float32Array.from(places, ([x]) => x), y: Float32Array.from(places, ([, y]) => y),
});

test("only bodies on the canvas are drawn, and each colour is painted once", () => {
  const { context, calls, count } = createContext();
  let pictures = 0;
  const discs = createDiscs(context, (side) => {
    assert.ok(side >= 20);
    pictures++;
    return { canvas: pictures, context: createContext().context };
  });
  const camera = createCamera({ map: WORLD, view: [1000, 1000] });
  camera.resize(2000, 2000);
  camera.follow(8000, 8000);
  const places = Array.from({ length: 10_000 }, (_, n) => [(n % 100) * 160, Math.floor(n / 100) * 160]);
  const visible = places.filter(([x, y]) => Math.abs(x - 8000) <= 510 && Math.abs(y - 8000) <= 510);
  const style = { radius: 10, rim: "#000000", colorOf: (index) => (index % 2 ? "#112233" : "#445566") };
  for (let frame = 0; frame < 3; frame++) {
    assert.equal(discs(drawnOf(places), camera, style), visible.length);
  }
  assert.equal(count("drawImage"), 3 * visible.length);
  assert.equal(pictures, 2);
  const [, , x, y] = calls[0];
  // The picture has some room around the disc.
  assert.ok(x < camera.toX(visible[0][0]) - 20 && y < camera.toY(visible[0][1]) - 20);
  assert.equal(discs(drawnOf(places), camera, { ...style, colorOf: () => null }), 0);
  camera.resize(1000, 1000);
  discs(drawnOf(places), camera, style);
  assert.equal(pictures, 4, "another size needs other pictures");
});

test("the minimap has the whole map, the visible part and the bodies", () => {
  const wide = { left: 100, top: 0, right: 2100, bottom: 1000 };
  const { scale, x, y } = minimapFit(wide, 100);
  near(scale, 0.05);
  near(wide.left * scale + x, 0);
  near(wide.right * scale + x, 100);
  near(wide.top * scale + y, 25);
  near(wide.bottom * scale + y, 75);
  const { context, calls, count } = createContext();
  drawMinimap(context, { atX: 10, atY: 20, side: 100, dpr: 2 }, {
    map: wide, area: { left: 200, top: 0, right: 700, bottom: 400 }, own: { x: 600, y: 200 },
    drawn: drawnOf([[600, 200], [900, 300]]),
    colors: { field: "#000000", edge: "#111111", body: "#222222", me: "#333333" },
  });
  assert.equal(count("fillRect"), 3, "the field and two bodies");
  assert.deepEqual(calls.find(([name]) => name === "arc").slice(1, 3), [30, 10]);
  assert.deepEqual(calls.find(([name]) => name === "strokeRect").slice(1), [10, 0, 25, 20]);
});
