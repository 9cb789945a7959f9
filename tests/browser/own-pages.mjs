// Games of the operator, served with --www: a Phaser game, a three.js scene and a WebAssembly module,
// in Chromium and in Firefox. They keep both cores busy, so they run after the other tests.
import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cp, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { startFirefox } from "./firefox.mjs";
import { repository, startBrowser, startServer } from "./harness.mjs";

const packages = path.join(repository, "tests", "browser", "node_modules");
const version = (name) =>
  JSON.parse(readFileSync(path.join(packages, name, "package.json"), "utf8")).version;

const RED_PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIA" +
  "X8jx0gAAAABJRU5ErkJggg==", "base64");
const RED = [255, 0, 0, 255];
const BLUE = [0, 0, 255, 255];
const SOUND_S = 60;
const TIMEOUT_MS = 60_000;

// A module with a function that adds the numbers from 1 to its argument.
const WASM = Buffer.from("0061736d0100000001060160017f017f030201000" + "70c010874726961" +
  "6e676c6500000a1b01" + "1901017f03402001" + "20006a21012000" + "41016b22000d000b20010b", "hex");

// A quiet tone, with 8,000 samples of 8 bits a second.
function tone() {
  const samples = Buffer.alloc(SOUND_S * 8000);
  samples.forEach((_, at) => (samples[at] = 128 + 8 * Math.sin(at / 4)));
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write("WAVEfmt ", 8);
  [[16, 16], [28, 8000], [24, 8000]].forEach(([at, value]) => head.writeUInt32LE(value, at));
  [[20, 1], [22, 1], [32, 1], [34, 8]].forEach(([at, value]) => head.writeUInt16LE(value, at));
  head.write("data", 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

// The folder of --www: the pages of this test, with the libraries and what they load.
async function makeFolder() {
  const folder = await mkdtemp(path.join(os.tmpdir(), "skirmish-own-pages-"));
  await cp(path.join(repository, "tests", "browser", "own-pages"), folder, { recursive: true });
  const at = (...names) => path.join(folder, ...names);
  await copyFile(path.join(packages, "phaser/dist/phaser.min.js"), at("phaser", "phaser.min.js"));
  for (const name of ["three.module.js", "three.core.js"]) {
    await copyFile(path.join(packages, "three/build", name), at("three", name));
  }
  for (const game of ["phaser", "three", "engine"]) {
    await writeFile(at(game, "red.png"), RED_PNG);
    await writeFile(at(game, "tone.wav"), tone());
  }
  await writeFile(at("phaser", "level.json"), JSON.stringify({ name: "first" }));
  await writeFile(at("engine", "game.wasm"), WASM);
  await writeFile(at("engine", "game.wasm.gz"), gzipSync(WASM));
  await writeFile(at("foreign.js"), "globalThis.foreignRan = true; export default 1;");
  return folder;
}

let folder;
let server;
// Another server, whose code must not run.
let other;
before(async () => {
  folder = await makeFolder();
  const args = ["--www", folder];
  const open = [...args, "--allow-origin", "*"];
  [server, other] = await Promise.all([startServer({ args }), startServer({ args: open })]);
});
after(async () => {
  await Promise.all([server.stop(), other.stop()]);
  await rm(folder, { recursive: true });
});

for (const [name, start] of [["Chromium", startBrowser], ["Firefox", startFirefox]]) {
  test(`in ${name}`, async (t) => {
    const browser = await start();
    t.after(() => browser.close());

    // What a page has found out, and its errors.
    async function play(url) {
      const page = await browser.newPage();
      page.setDefaultTimeout(TIMEOUT_MS);
      const errors = [];
      page.on("pageerror", (error) => errors.push(String(error)));
      page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
      try {
        await page.goto(url);
        await page.waitForFunction(() => window.result);
        const { result, blocked } = await page.evaluate(() => {
          const { result, blocked } = window;
          return { result, blocked };
        });
        return { ...result, blocked, errors };
      } catch (error) {
        throw new Error(`${url}: ${errors.join("; ")}`, { cause: error });
      } finally {
        await page.close();
      }
    }

    await t.test("a Phaser game plays", async () => {
      const { pixel, level, seconds, background, color, ...rest } =
        await play(`${server.base}phaser`);
      assert.deepEqual(pixel, RED, "the own player is drawn where the server says");
      assert.equal(level, "first");
      assert.equal(Math.round(seconds), SOUND_S);
      assert.deepEqual([background, color], ["rgb(18, 52, 86)", "rgb(171, 205, 239)"]);
      assert.equal(rest.version, version("phaser"));
      assert.deepEqual(rest.errors, []);
    });

    await t.test("a three.js scene is drawn", async () => {
      const { middle, corner, revision, errors } = await play(`${server.base}three/`);
      assert.deepEqual([middle, corner], [RED, BLUE]);
      assert.equal(revision, version("three").split(".")[1]);
      assert.deepEqual(errors, []);
    });

    await t.test("WebAssembly, workers and sounds work, and no foreign code", async () => {
      const { errors, blocked, ...result } =
        await play(`${server.base}engine/?foreign=${encodeURIComponent(other.base)}`);
      const { ranges, ...found } = result;
      assert.deepEqual(found, {
        answer: 42,
        wasm: "5050",
        sound: String(SOUND_S),
        audio: String(SOUND_S),
        worker: "42, no foreign code",
        blobWorker: "7",
        blobModule: 7,
        blobFetch: "text",
        dataFetch: "text",
        blobImage: "1",
        dataImage: "3",
        isolated: true,
        threads: "42",
        socket: "init",
        handled: "yes",
        wasInjected: false,
        eval: "failed: EvalError",
        foreignScript: "blocked",
        foreignRan: false,
        foreignFetch: "failed: TypeError",
        dataModule: "failed: TypeError",
      });
      const bytes = tone().length;
      assert.deepEqual(ranges,
        { status: 206, range: `bytes ${bytes - 2}-${bytes - 1}/${bytes}`, media: [206] });
      const isBlocked = (start) => blocked.some((one) => one.startsWith(start));
      for (const start of ["script-src-elem inline", "script-src eval", "connect-src http"]) {
        assert.ok(isBlocked(start), `${start} in ${blocked.join(", ")}`);
      }
    });
  });
}

test("a portal shows a game in a frame if it may", async (t) => {
  const csp = "frame-src *; script-src 'unsafe-inline'";
  const portal = await startServer({ args: ["--www", folder, "--csp", csp] });
  t.after(portal.stop);
  const { origin } = new URL(portal.base);
  const open = await startServer({ args: ["--www", folder, "--frame-ancestors", origin] });
  t.after(open.stop);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage();
  const show = ({ base }) =>
    page.goto(`${portal.base}frame/portal.html?game=${encodeURIComponent(`${base}frame/`)}`);
  await show(open);
  await page.waitForFunction(() => window.result === "The game runs.");
  const failed = page.waitForEvent("requestfailed");
  const [request] = await Promise.all([failed, show(server)]);
  assert.equal(request.failure().errorText, "net::ERR_BLOCKED_BY_RESPONSE");
});
