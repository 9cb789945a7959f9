// Joins a room over one transport, with a token or without, and prints its id, its token, and the
// milliseconds from the first packet until it has the state with its player.
// tests/hardening/round_trips.py runs it, and ends it.
import http from "node:http";
import https from "node:https";
import { io } from "socket.io-client";
import WebSocket from "ws";

const [transport, url, token] = process.argv.slice(2);
const resume = token ?? "1";
let known = {};

function back() {
  console.log(JSON.stringify({ ...known, ms: performance.now() - began }));
}

function overWebSocket(protocols) {
  const query = new URLSearchParams({ room: "battle", resume });
  return new WebSocket(`${url.replace(/^http/, "ws")}ws?${query}`, protocols,
    { rejectUnauthorized: false });
}

function json() {
  const socket = overWebSocket([]);
  socket.on("message", (data) => {
    const { type, id, token, players } = JSON.parse(data);
    if (type === "init") known = { id, token };
    if (players?.some((player) => player.id === known.id)) {
      socket.removeAllListeners("message");
      back();
    }
  });
}

function v1() {
  const socket = overWebSocket(["skirmish.v1"]);
  socket.on("message", (data) => {
    if (data[0] === 0xb0) {
      const { id, token } = JSON.parse(data.subarray(1));
      known = { id, token };
      return;
    }
    // The first one is a keyframe.
    socket.removeAllListeners("message");
    back();
  });
}

function socketIo() {
  // As in a browser, a connection takes one request after another.
  const { Agent } = url.startsWith("https:") ? https : http;
  const socket = io(url, {
    agent: new Agent({ keepAlive: true, rejectUnauthorized: false }),
    transports: [transport], auth: { room: "battle", resume: token ?? true }, reconnection: false,
    rejectUnauthorized: false,
  });
  socket.on("token", ({ token }) => { known = { id: socket.id, token }; });
  socket.on("player_moved", ({ id }) => {
    if (id !== socket.id) return;
    socket.off("player_moved");
    back();
  });
}

const began = performance.now();
({ json, v1, websocket: socketIo, polling: socketIo })[transport]();
