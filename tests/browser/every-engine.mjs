// The three engines: `ENGINES` has for each its name and what starts it. A browser opens pages with
// the functions of a Playwright page that the helpers of harness.mjs use.
import { startFirefox } from "./firefox.mjs";
import { startBrowser } from "./harness.mjs";
import { startWebKit } from "./webkit.mjs";

const TIMEOUT_MS = 60_000;

// The errors that a page of Playwright or Puppeteer has reported.
function listenForErrors(page) {
  const errors = [];
  page.on("pageerror", (error) => errors.push(`page error: ${error}`));
  page.on("console", (message) =>
    message.type() === "error" && errors.push(`console: ${message.text()}`));
  return async () => errors;
}

async function startChromium() {
  const browser = await startBrowser();
  return {
    async open(url) {
      const page = await browser.newPage();
      page.setDefaultTimeout(TIMEOUT_MS);
      const errors = listenForErrors(page);
      await page.goto(url);
      return Object.assign(page, { errors });
    },
    close: () => browser.close(),
  };
}

// Pages with the arguments and names of keys of Playwright.
async function startFirefoxPages() {
  const browser = await startFirefox();
  const named = (key) => key === "Space" ? " " : key;
  return {
    async open(url) {
      const page = await browser.newPage();
      const errors = listenForErrors(page);
      await page.goto(url);
      return {
        keyboard: {
          down: (key) => page.keyboard.down(named(key)),
          up: (key) => page.keyboard.up(named(key)),
          press: (key) => page.keyboard.press(named(key)),
        },
        errors,
        evaluate: (run, arg) => page.evaluate(run, arg),
        waitForFunction: (run, arg) => page.waitForFunction(run, { timeout: TIMEOUT_MS }, arg),
        close: () => page.close(),
      };
    },
    close: () => browser.close(),
  };
}

export const ENGINES = [
  ["Chromium", startChromium], ["Firefox", startFirefoxPages], ["WebKit", startWebKit],
];
