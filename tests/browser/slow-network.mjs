// A TCP proxy for a slow network: it takes half a round trip each way, and a whole one to connect.
import net from "node:net";
import { once } from "node:events";

// `stall(ms)` holds back everything in both directions for that long, as a network does that loses
// packets, and then delivers all of it at once. `hold()` does the same until `release()`.
export async function startSlowNetwork(port, rttMs) {
  let isHeld = false;
  let stalledUntil = 0;
  const pumps = [];
  const delay = (from, to, firstAt) => {
    const waiting = [];
    let lastAt = firstAt;
    const pump = () => {
      while (waiting.length > 0 && !isHeld && waiting[0].at <= performance.now()) {
        waiting.shift().action();
      }
    };
    pumps.push(pump);
    const later = (action) => {
      const now = performance.now();
      lastAt = Math.max(lastAt, now + rttMs / 2, stalledUntil);
      waiting.push({ at: lastAt, action });
      // A timer may fire a moment early.
      setTimeout(pump, Math.ceil(lastAt - now) + 1);
    };
    from.on("data", (chunk) => later(() => to.write(chunk)));
    from.on("end", () => later(() => to.end()));
    from.on("error", () => to.destroy());
  };
  const server = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    for (const socket of [client, upstream]) socket.setNoDelay();
    delay(client, upstream, performance.now() + 1.5 * rttMs);
    delay(upstream, client, 0);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: server.address().port,
    stall: (ms) => (stalledUntil = performance.now() + rttMs / 2 + ms),
    hold: () => (isHeld = true),
    release() {
      isHeld = false;
      pumps.forEach((pump) => pump());
    },
    close: () => server.close(),
  };
}
