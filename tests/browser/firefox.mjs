// Firefox for a test, over WebDriver BiDi, with software WebGL: without a display it has none.
import puppeteer from "puppeteer-core";
import { startDisplay } from "./display.mjs";

const firefoxPath = process.env.FIREFOX || "/usr/bin/firefox-esr";

export async function startFirefox() {
  const display = await startDisplay();
  const browser = await puppeteer.launch({
    browser: "firefox", executablePath: firefoxPath, headless: false,
    timeout: 60_000, env: display.env, extraPrefsFirefox: { "webgl.force-enabled": true },
  });
  return {
    newPage: () => browser.newPage(),
    async close() {
      await browser.close();
      display.stop();
    },
  };
}
