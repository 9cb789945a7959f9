#!/bin/sh
# A good guess: a Socket.IO client that has begun over polling and whose WebSocket breaks before the
# upgrade is complete goes on polling, as the upgrade is optional; or it connects again at once.
#
# What happens: if the WebSocket breaks while the client pauses its polling for the upgrade, between
# the answer to the probe and the upgrade packet, the client neither polls again nor reports a loss.
# It receives nothing and sends nothing until its own ping timeout, pingInterval + pingTimeout after
# the last ping: 45 s with the defaults of the official server.
#
# Why it matters: a player whose network changes while the page starts, or whose proxy accepts
# WebSockets and cuts them, stands still for 45 s although the page says that it is connected. The
# server sees a session without a poll, and may end it long before. A page should watch for silence
# itself, or use WebSockets only.
#
# Seen with Node 20, socket.io 4.8.3 and socket.io-client 4.8.4, with pings of 1 s + 2 s:
#   after the cut: 0 polls, 0 events, connected true
#   then: ping timeout
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund socket.io@4.8.3 socket.io-client@4.8.4
cat >client.mjs <<'JS'
import http from "node:http";
import net from "node:net";
import { once } from "node:events";
import { Server } from "socket.io";
import { io } from "socket.io-client";

const upstream = http.createServer();
const server = new Server(upstream, { pingInterval: 1000, pingTimeout: 2000 });
upstream.listen(0, "127.0.0.1");
await once(upstream, "listening");
let polls = 0;
let cutAt = Infinity;
upstream.on("request", (request) => {
  if (request.method === "GET" && Date.now() > cutAt + 200) polls++;
});
server.on("connection", (socket) => {
  const timer = setInterval(() => socket.emit("tick"), 50);
  socket.on("disconnect", () => clearInterval(timer));
});

// A proxy that loses each WebSocket once the server has answered the probe.
const proxy = net.createServer((client) => {
  const to = net.connect(upstream.address().port, "127.0.0.1");
  client.on("error", () => {}).on("close", () => to.destroy());
  to.on("error", () => {}).on("close", () => client.destroy());
  client.on("data", (bytes) => to.write(bytes));
  to.on("data", (bytes) => {
    const isAnswer = bytes.includes("3probe");
    client.write(bytes, () => {
      if (!isAnswer) return;
      cutAt = Date.now();
      client.destroy();
    });
  });
});
proxy.listen(0, "127.0.0.1");
await once(proxy, "listening");

const client = io(`http://127.0.0.1:${proxy.address().port}`, { reconnection: false });
let events = 0;
client.on("tick", () => {
  if (Date.now() > cutAt + 200) events++;
});
const reason = new Promise((resolve) => client.on("disconnect", resolve));
await once(client, "connect");
while (cutAt === Infinity) await new Promise((resolve) => setTimeout(resolve, 10));
// Before the ping timeout, and long after a poll that would follow.
await new Promise((resolve) => setTimeout(resolve, 1200));
console.log(`after the cut: ${polls} polls, ${events} events, connected ${client.connected}`);
console.log(`then: ${await reason}`);
process.exit();
JS
output=$(timeout 60 node client.mjs)
echo "$output"
expected='after the cut: 0 polls, 0 events, connected true
then: ping timeout'
[ "$output" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
