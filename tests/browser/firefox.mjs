// Firefox for a test, over WebDriver BiDi, with software WebGL: without a display it has none.
import { spawn } from "node:child_process";
import puppeteer from "puppeteer-core";

const firefoxPath = process.env.FIREFOX || "/usr/bin/firefox-esr";

// A display that exists for the test only. Its number is one that is free.
async function startDisplay() {
  const child = spawn("Xvfb", ["-displayfd", "1", "-screen", "0", "1024x768x24", "-nolisten", "tcp"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const name = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`Xvfb ended with ${code}`)));
    child.stdout.once("data", (number) => resolve(`:${String(number).trim()}`));
  });
  const stop = () => {
    process.removeListener("exit", kill);
    kill();
  };
  return { name, stop };
}

export async function startFirefox() {
  const display = await startDisplay();
  const browser = await puppeteer.launch({
    browser: "firefox", executablePath: firefoxPath, headless: false,
    timeout: 60_000, env: { ...process.env, DISPLAY: display.name, LIBGL_ALWAYS_SOFTWARE: "1" },
    extraPrefsFirefox: { "webgl.force-enabled": true },
  });
  return {
    newPage: () => browser.newPage(),
    async close() {
      await browser.close();
      display.stop();
    },
  };
}
