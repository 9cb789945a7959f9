// WebKitGTK for a test, over WebDriver (W3C, without BiDi), with the browser that its driver starts.
// A page has the functions of a Playwright page that the helpers of harness.mjs use.
import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { startDisplay } from "./display.mjs";
import { until } from "./harness.mjs";

const driverPath = process.env.WEBKIT_DRIVER || "/usr/bin/WebKitWebDriver";
const TIMEOUT_MS = 60_000;
const POLL_MS = 50;

// Code points for keys without a character (W3C WebDriver, 17.4.2).
const KEYS = {
  ArrowLeft: "\uE012", ArrowUp: "\uE013", ArrowRight: "\uE014", ArrowDown: "\uE015", Space: " ",
};

// The driver does not print a port that it has chosen itself.
async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// A driver with its address. It exits if another process has taken the port in the meantime.
async function startDriver(env) {
  for (let attempts = 5; ; attempts--) {
    const port = await freePort();
    const child = spawn(driverPath, [`--port=${port}`], { env, stdio: "ignore" });
    const exited = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", resolve);
    });
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    const base = `http://127.0.0.1:${port}`;
    const answers = () => fetch(`${base}/status`).then(({ ok }) => ok, () => false);
    const ready = until(async () => child.exitCode !== null || await answers(), "the WebKit driver");
    await Promise.race([ready, exited]);
    if (child.exitCode === null) {
      const stop = async () => {
        child.kill("SIGTERM");
        await exited;
        process.removeListener("exit", kill);
      };
      return { base, stop };
    }
    process.removeListener("exit", kill);
    if (attempts === 1) throw new Error(`${driverPath} ended with ${child.exitCode}`);
  }
}

// Calls a command of the driver and returns its value.
async function command(url, method, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) throw new Error(`${method} ${url}: ${value.error}: ${value.message}`);
  return value;
}

// Collects the errors of a page from the time that it has loaded: WebDriver has no console.
function collectErrors() {
  const errors = (window.collectedErrors = []);
  const collect = (kind) => (event) =>
    errors.push(`${kind}: ${event.message ?? event.reason ?? event.violatedDirective}`);
  window.addEventListener("error", collect("page error"));
  window.addEventListener("unhandledrejection", collect("page error"));
  document.addEventListener("securitypolicyviolation", collect("policy"));
  const log = console.error;
  console.error = (...texts) => {
    errors.push(`console: ${texts.join(" ")}`);
    log.apply(console, texts);
  };
}

export async function startWebKit() {
  const display = await startDisplay();
  // The pages are our own, and a container may not allow the sandbox.
  const env = { ...display.env, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" };
  const driver = await startDriver(env);
  const { sessionId } = await command(`${driver.base}/session`, "POST", { capabilities: {} })
    .catch(async (error) => {
      await driver.stop();
      throw error;
    });
  const session = `${driver.base}/session/${sessionId}`;
  const post = (path, body) => command(`${session}/${path}`, "POST", body);

  // Playwright's names. The result of `run` is JSON.
  const evaluate = (run, arg = null) =>
    post("execute/sync", { script: `return (${run}).apply(null, arguments)`, args: [arg] });
  const act = (...actions) =>
    post("actions", { actions: [{ type: "key", id: "keyboard", actions }] });
  const keyAction = (type) => (key) => ({ type, value: KEYS[key] });
  const [down, up] = [keyAction("keyDown"), keyAction("keyUp")];

  const page = {
    evaluate,
    async waitForFunction(run, arg) {
      const end = Date.now() + TIMEOUT_MS;
      for (;;) {
        const value = await evaluate(run, arg);
        if (value) return { jsonValue: async () => value };
        if (Date.now() > end) throw new Error(`timed out: ${run}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    keyboard: {
      down: (key) => act(down(key)),
      up: (key) => act(up(key)),
      press: (key) => act(down(key), up(key)),
    },
    errors: () => evaluate(() => window.collectedErrors),
    close: () => post("url", { url: "about:blank" }),
  };
  return {
    async open(url) {
      await post("url", { url });
      await evaluate(collectErrors);
      return page;
    },
    async close() {
      await command(session, "DELETE");
      await driver.stop();
      display.stop();
    },
  };
}
