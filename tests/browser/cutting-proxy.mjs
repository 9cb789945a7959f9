// A TCP proxy that can lose its connections, or delay them until the client connects again.
import net from "node:net";
import { once } from "node:events";

export async function startCuttingProxy(port) {
  const pairs = new Set();
  const delayed = new Set();

  // Passes on what delayed clients have sent, before anything of a newer connection.
  async function release() {
    const waiting = [...delayed];
    delayed.clear();
    await Promise.all(waiting.map(({ client, upstream }) => {
      const passed = Promise.race([once(client, "data"), once(client, "close")]);
      client.resume();
      upstream.resume();
      return passed;
    }));
  }

  const server = net.createServer(async (client) => {
    client.on("error", () => client.destroy());
    client.pause();
    await release();
    const upstream = net.connect(port, "127.0.0.1");
    const pair = { client, upstream, isWebSocket: false };
    pairs.add(pair);
    client.once("data", (head) => (pair.isWebSocket = /^upgrade: websocket\r$/im.test(head)));
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      from.setNoDelay();
      from.on("data", (chunk) => to.write(chunk));
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => pairs.delete(pair));
    }
    client.resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    base: `http://127.0.0.1:${server.address().port}/`,
    // Resets every connection, at both ends.
    cut() {
      for (const { client, upstream } of pairs) {
        client.resetAndDestroy();
        upstream.resetAndDestroy();
      }
    },
    // Nothing passes over the WebSockets there are, until there is another connection.
    delay() {
      for (const pair of pairs) {
        if (!pair.isWebSocket) continue;
        pair.client.pause();
        pair.upstream.pause();
        delayed.add(pair);
      }
    },
    close() {
      server.close();
      for (const { client, upstream } of pairs) {
        client.destroy();
        upstream.destroy();
      }
    },
  };
}
