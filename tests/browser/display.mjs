// A display in memory for browsers that have no headless mode, or lack WebGL in theirs.
import { spawn } from "node:child_process";

// A display that exists for the test only. Its number is one that is free.
export async function startDisplay() {
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
  // A browser that does not start must not keep the test running.
  child.stdout.unref();
  child.unref();
  const stop = () => {
    process.removeListener("exit", kill);
    kill();
  };
  const env = { ...process.env, DISPLAY: name, LIBGL_ALWAYS_SOFTWARE: "1" };
  return { env, stop };
}
