#!/bin/sh
# A good guess: when pings of the server stop arriving, the official Socket.IO client gives the
# connection up as lost, and the server sees an abnormal end (1006), or only its own timeout.
#
# What happens: the client reports "ping timeout" to the page, and closes its WebSocket with a
# close frame without a code. The server gets a clean close (1005), without the Engine.IO packet 1
# and without the Socket.IO packet 41, although no player has left.
#
# Why it matters: a game server that keeps the players of lost connections for a while, and lets
# those leave that close cleanly, drops a player whose network has only stalled. A close without a
# code and without 41 before it must count as a loss. A page that is closed sends 1001.
#
# Seen with Node 20, socket.io-client 4.8.4 and ws 8.23.0:
#   client: ping timeout
#   server: 1005 after ["40"]
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund socket.io-client@4.8.4 ws@8.23.0
cat >client.mjs <<'JS'
import { io } from "socket.io-client";
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
await new Promise((resolve) => server.on("listening", resolve));
// A server whose pings never arrive.
const closed = new Promise((resolve) => {
  server.on("connection", (socket) => {
    const packets = [];
    const terms = { sid: "s", upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1e6 };
    socket.send("0" + JSON.stringify(terms));
    socket.on("message", (data) => {
      packets.push(String(data));
      if (String(data) === "40") socket.send('40{"sid":"p"}');
    });
    socket.on("close", (code) => resolve(`${code} after ${JSON.stringify(packets)}`));
  });
});
const url = `http://127.0.0.1:${server.address().port}`;
const client = io(url, { transports: ["websocket"], reconnection: false });
const reason = new Promise((resolve) => client.on("disconnect", resolve));
console.log(`client: ${await reason}`);
console.log(`server: ${await closed}`);
server.close();
JS
output=$(timeout 30 node client.mjs)
echo "$output"
expected='client: ping timeout
server: 1005 after ["40"]'
[ "$output" = "$expected" ] || { echo "the behaviour has changed" >&2; exit 1; }
