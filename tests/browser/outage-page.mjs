// Opens a page in Chromium, and prints when the state of its connection changes, in milliseconds of
// the wall clock. tests/hardening/page_outage.py runs it, and ends it.
import { startBrowser } from "./harness.mjs";

const [url] = process.argv.slice(2);
const browser = await startBrowser();
const page = await browser.newPage();
await page.exposeFunction("report", (what) => console.log(JSON.stringify(what)));
await page.addInitScript(() => {
  addEventListener("online", () => window.report({ event: "online" }));
  addEventListener("DOMContentLoaded", () => {
    let last;
    const changed = () => {
      const { state } = document.body.dataset;
      if (state !== last) window.report({ state: last = state, at: Date.now() });
    };
    new MutationObserver(changed)
      .observe(document.body, { attributes: true, attributeFilter: ["data-state"] });
    changed();
  });
});
await page.goto(url);
