// The driver of the Socket.IO dialect, over the official client: facts, one event each. The link
// decides when to reconnect, so the client's own reconnection is off.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What the official client needs to connect.
 * @typedef {object} SocketIoAddress
 * @property {string} origin
 * @property {string} path
 * @property {boolean} isForeign whether the server is not the one that sent the page
 * @property {Record<string, string>} auth
 * @property {Record<string, string>} query the room, or the rules without one: by it a proxy chooses a process
 */

{
  // The facts of one tick are received one by one within this time; together they are a snapshot.
  const TICK_SPREAD_MS = 6;
  // After a longer pause, interpolation of the next step starts one tick before it.
  const QUIET_TICKS = 1.5;
  // Players that the server sends within this time after the own place were there before.
  const WELCOME_MS = 150;

  /**
   * From the address of the WebSocket to that of Socket.IO.
   * @param {string} url
   * @param {string} pageHref
   * @returns {SocketIoAddress}
   */
  Skirmish.socketIoAddress = function (url, pageHref) {
    const page = new URL(pageHref);
    const socket = new URL(url);
    const isForeign = Boolean(page.searchParams.get("server"));
    const origin = isForeign ? socket.origin.replace(/^ws/, "http") : page.origin;
    const path = isForeign ? "/socket.io/"
      : new URL("socket.io/", page.origin + page.pathname).pathname;
    const given = (/** @type {string[]} */ ...names) => Object.fromEntries(
      names.map((name) => [name, socket.searchParams.get(name) ?? ""])
        .filter(([, value]) => value !== ""));
    const { room } = given("room");
    // The server answers what is wrong in the query with 400, which no page can read.
    let query = given("rules");
    if (room !== undefined) query = Skirmish.isRoomName(room) ? { room } : {};
    return { origin, path, isForeign, auth: given("room", "rules", "name"), query };
  };

  /**
   * @param {typeof import("socket.io-client").io} io the official client
   * @param {SocketIoAddress} address
   * @param {BattleEvents} battleEvents
   * @returns {Driver<BattleConnection>}
   */
  Skirmish.createSocketIoDriver = function (io, address, battleEvents) {
    const { origin, path, isForeign, auth, query } = address;
    // WebSocket first saves round trips. In a network that blocks it, polling is first from the
    // second attempt on; clients that know `tryAllTransports` fall back at once. The policy of the
    // page allows polling to its own server only.
    let isPollingFirst = typeof WebSocket === "undefined";
    let attempts = 0;
    let wasOpen = false;

    function transports() {
      if (isForeign) return ["websocket"];
      return isPollingFirst ? ["polling", "websocket"] : ["websocket", "polling"];
    }

    return {
      connect(events, token) {
        if (attempts++ > 0 && !wasOpen) isPollingFirst = true;
        const options = {
          path, query, auth: { ...auth, acks: true, resume: token ?? true },
          transports: transports(), tryAllTransports: true,
        };
        const socket = io(origin, { ...options, forceNew: true, reconnection: false });
        socket.on("connect", () => (wasOpen = true));
        socket.on("connect_error", (error) => failed(socket, error, events));
        socket.on("disconnect", (reason, details) => disconnected(reason, details, events));
        const close = listen(socket, events, auth, battleEvents);
        return { ...commands(socket, events), close };
      },
    };
  };

  /**
   * @typedef {import("socket.io-client").Socket} Socket
   */

  /**
   * @param {Socket} socket
   * @param {Error & { data?: any }} error
   * @param {LinkEvents} events
   */
  function failed(socket, error, events) {
    // Without an answer the client stays active; a refusal ends that.
    if (socket.active) return events.closed(1006, "");
    const retryMs = error.data?.retry_ms;
    const isFull = error.message === "full" || Number.isFinite(retryMs);
    if (isFull) events.closed(4013, JSON.stringify({ retry_ms: retryMs }));
    else events.closed(1008, error.message);
  }

  /**
   * @param {string} reason
   * @param {any} details with the close event of the WebSocket; old clients give none
   * @param {LinkEvents} events
   */
  function disconnected(reason, details, events) {
    if (reason === "io server disconnect") {
      return events.refused("The server disconnected this page.");
    }
    const { code = 1006, reason: said = "" } = details?.context ?? {};
    events.closed(code, said);
  }

  /**
   * @param {Socket} socket
   * @param {LinkEvents} events
   */
  function commands(socket, events) {
    const answered = () => events.updated(performance.now());
    return {
      // This dialect sends a place and not a step.
      move: (/** @type {Direction} */ _, /** @type {Place} */ place) =>
        socket.emit("move", place).connected,
      attack: () => socket.emit("attack", {}, (/** @type {any} */ answer) => {
        answered();
        if (answer?.error === "no_combat") events.refused("This room does not allow fighting.");
      }).connected,
      ping() {
        const sentAt = performance.now();
        socket.emit("ping", (/** @type {any} */ answer) => {
          answered();
          events.rtt(performance.now() - sentAt);
          events.answered(sentAt, Number.isFinite(answer?.tick) ? answer.tick : null);
        });
      },
      transport: () => socket.io.engine?.transport?.name ?? "",
      // The heartbeat of Engine.IO finds dead connections.
      silenceMaxMs: () => Infinity,
    };
  }

  /**
   * Passes what the server sends to the battle. Returns how to close the connection.
   * @param {Socket} socket
   * @param {LinkEvents} events
   * @param {Record<string, string>} auth
   * @param {BattleEvents} battleEvents
   */
  function listen(socket, events, auth, { battle, rounds, onBegin, onSnapshot }) {
    let welcomeUntil = Infinity;
    let snapshotAt = 0;
    let snapshotTimer = 0;
    // Null before the server has sent the rules, which come first.
    let tickMs = /** @type {number | null} */ (null);

    // The one that was presented works no more, and the server may send no other.
    socket.on("connect", () => events.welcomed({}));
    socket.on("token", (terms) => events.welcomed(terms ?? {}));
    socket.on("rules", (data) => {
      snapshotAt = performance.now();
      // An older server sends a player its own name only when it respawns.
      const name = Skirmish.cleanName(auth.name ?? "");
      const rules = onBegin({ id: String(socket.id), name, rules_data: data });
      if (rules === null) return;
      tickMs = rules.tickMs;
      events.opened();
    });

    /**
     * @param {string} event
     * @param {(id: string, data: any, now: number) => void} take
     */
    const on = (event, take) => void socket.on(event, (data) => {
      if (tickMs === null || data?.id === undefined) return;
      const now = performance.now();
      events.updated(now);
      const wasQuiet = snapshotTimer === 0 && now - snapshotAt > QUIET_TICKS * tickMs;
      if (wasQuiet) onSnapshot(null, now - tickMs);
      take(String(data.id), data, now);
      if (snapshotTimer === 0) snapshotTimer = setTimeout(snapshot, TICK_SPREAD_MS);
    });
    on("new_player", (id, { position }, now) => {
      if (now < welcomeUntil) battle.put(id, position);
      else battle.joined(id, position, now);
    });
    on("player_moved", (id, { position }, now) => {
      battle.put(id, position);
      if (id === socket.id) welcomeUntil = Math.min(welcomeUntil, now + WELCOME_MS);
    });
    on("player_attack", (id, { direction }, now) => battle.attack(id, direction, now));
    on("player_attacked", (id, { hp }, now) => battle.hit(id, hp, now));
    on("player_killed", (id, { by, respawn_ms: ms }, now) => battle.killed(id, String(by), ms, now));
    on("player_respawned", (id, { position }, now) => battle.respawned(id, position, now));
    on("player_left", (id, _, now) => battle.left(id, now));

    // With `acks` the server asks how far the page is, and sends no more than a second beyond it.
    socket.on("tick", (_, answer) => answer?.());
    socket.on("notice", ({ text }) => events.announced(String(text)));
    for (const event of ["room", "round"]) {
      socket.on(event, (data) => {
        if (tickMs !== null) rounds.take(data, performance.now());
      });
    }

    function snapshot() {
      snapshotTimer = 0;
      snapshotAt = performance.now();
      onSnapshot(null, snapshotAt);
    }

    return function close() {
      clearTimeout(snapshotTimer);
      socket.off();
      socket.disconnect();
    };
  }
}
