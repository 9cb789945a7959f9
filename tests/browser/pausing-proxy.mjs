// A TCP proxy that records what passes through it, and can stop reading from the server, which then
// notices it after a few KiB.
import { spawn } from "node:child_process";
import net from "node:net";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const HEAD_END = "\r\n\r\n";
const RELAY = fileURLToPath(new URL("narrow_relay.py", import.meta.url));

// The value of a header field of a head, or null.
function fieldOf(head, name) {
  const line = head.split("\r\n").find((line) => line.toLowerCase().startsWith(`${name}:`));
  return line === undefined ? null : line.slice(name.length + 1).trim();
}

// Starts a relay with small buffers to `port`.
async function startRelay(port) {
  const child = spawn("python3", [RELAY, port], { stdio: ["pipe", "pipe", "inherit"] });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const [line] = await once(child.stdout, "data");
  return {
    port: Number(line),
    command: (text) => child.stdin.write(`${text}\n`),
    close() {
      process.removeListener("exit", kill);
      kill();
    },
  };
}

// Starts a proxy of `port`. Of a connection, `target` is that of its first request, `offered` and
// `agreed` are the WebSocket extensions of the two heads, and `received` counts the bytes from the
// server. Those whose target contains `narrow` have small buffers, and `hold()` and `release()`
// stop and resume reading from the server.
export async function startPausingProxy(port, narrow) {
  const relay = await startRelay(port);
  const connections = [];
  const accept = (client, request) => {
    const target = request.toString("latin1").split(" ")[1];
    const upstream = net.connect(target.includes(narrow) ? relay.port : port, "127.0.0.1");
    const heads = { request: "", response: "" };
    const keep = (key, chunk) => {
      if (!heads[key].includes(HEAD_END)) heads[key] += chunk.toString("latin1");
    };
    const connection = {
      target,
      received: 0,
      get offered() { return fieldOf(heads.request, "sec-websocket-extensions"); },
      get agreed() { return fieldOf(heads.response, "sec-websocket-extensions"); },
      hold: () => relay.command(`hold ${upstream.localPort}`),
      release: () => relay.command(`release ${upstream.localPort}`),
    };
    connections.push(connection);
    const send = (chunk) => {
      keep("request", chunk);
      upstream.write(chunk);
    };
    send(request);
    client.on("data", send);
    upstream.on("data", (chunk) => {
      keep("response", chunk);
      connection.received += chunk.length;
      client.write(chunk);
    });
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.setNoDelay();
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
    }
  };
  const server = net.createServer((client) => {
    client.on("error", () => client.destroy());
    client.once("data", (request) => accept(client, request));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: server.address().port,
    // The newest connection whose target contains `text`.
    find: (text) => connections.findLast(({ target }) => target.includes(text)),
    close() {
      server.close();
      relay.close();
    },
  };
}
