// The battle over Socket.IO: facts, by the official client, which the server has given us as the
// global `io`. It reconnects by itself; here it learns when, so that the page can count down.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const CONNECT_MAX_MS = 10000;
  const PING_EVERY_MS = 1000;
  // The facts of one tick come one by one within a moment; together they are a picture.
  const TICK_SPREAD_MS = 6;
  // After a longer rest, the next step does not begin where the last one ended, but a tick ago.
  const QUIET_MS = 75;
  const TICK_MS = 50;
  // Whoever was here before us is told of when we are: until this long after our own place.
  const WELCOME_MS = 150;
  // Characters of a name that the server keeps.
  const NAME_MAX = 16;

  // As createJsonDialect. `io` is the official client, `address` that of Skirmish.socketIoAddress.
  Skirmish.createSocketIoDialect = function (
    { io, address, battle, onBegin, onPicture, onState },
  ) {
    const rtts = Skirmish.createRtts();
    let state = "connecting";
    const waits = Skirmish.createWaits(address.shown);
    let hinted = false;
    let wakesOnPress = false;
    let welcomeUntil = Infinity;
    let toldAt = performance.now();
    let pictureAt = 0;
    let pictureTimer = 0;
    let comeBackTimer = 0;

    const { origin, path, isAbroad, auth } = address;
    const socket = io(origin, {
      path,
      auth,
      timeout: CONNECT_MAX_MS,
      randomizationFactor: 0,
      // The page's policy lets it poll at home alone.
      ...(isAbroad && { transports: ["websocket"] }),
    });
    const manager = socket.io;

    function enter(next, more) {
      state = next;
      onState({ state: next, sentence: "", until: null, button: false, code: null, ...more });
    }

    // Sets when the client tries again by itself, and says so.
    function wait(hintMs, sentence, code = null) {
      hinted = hintMs !== undefined;
      const ms = hintMs ?? waits.next(Math.random());
      manager.reconnectionDelayMax(ms);
      manager.reconnectionDelay(ms);
      enter("waiting", { sentence, until: performance.now() + ms, button: true, code });
      return ms;
    }

    function stop(more) {
      clearTimeout(comeBackTimer);
      wakesOnPress = false;
      socket.disconnect();
      enter("stopped", more);
    }

    socket.on("connect", () => {
      rtts.clear();
      welcomeUntil = Infinity;
      toldAt = pictureAt = performance.now();
      waits.opened(toldAt);
      // The server tells nobody its own name before the first return; it keeps so much of it.
      const name = Array.from(auth.name ?? "").slice(0, NAME_MAX).join("").trim();
      battle.begin(socket.id, { name });
      onBegin({ id: socket.id });
      enter("open");
      ping();
    });

    socket.on("disconnect", (reason, details) => {
      const { code = 1006, reason: said = "" } = details?.context ?? {};
      waits.closed(performance.now(), code);
      // This is ours: who left has said why.
      if (reason === "io client disconnect") return;
      if (reason === "io server disconnect") {
        enter("stopped", { sentence: "The server sent this page away.", button: true });
        return;
      }
      const verdict = Skirmish.verdict(code, said);
      if (verdict.back === "wait") {
        wait(verdict.hintMs, verdict.sentence, code);
        return;
      }
      stop({ sentence: verdict.sentence, button: true, code });
      wakesOnPress = verdict.back === "press";
    });

    // Nobody answers. The client tries again; this comes before it has chosen when.
    manager.on("error", () => {
      if (state === "open" || state === "stopped") return;
      wait(undefined, waits.noAnswer(performance.now()));
    });
    manager.on("reconnect_attempt", () => enter("connecting"));

    // The server answers, and lets us not in.
    socket.on("connect_error", (error) => {
      if (socket.active) return;
      const retryMs = error.data?.retry_ms;
      if (error.message !== "full" && !Number.isFinite(retryMs)) {
        const words = error.message.replace(/[.!?]?$/, ".");
        enter("stopped", { sentence: `The server says: ${words}`, button: true, code: 1008 });
        return;
      }
      const verdict = Skirmish.verdict(1013, JSON.stringify({ retry_ms: retryMs }));
      const ms = wait(verdict.hintMs, verdict.sentence, 1013);
      comeBackTimer = setTimeout(connect, ms);
    });

    function connect() {
      clearTimeout(comeBackTimer);
      wakesOnPress = false;
      // Without this it would wait for the moment that it has chosen.
      socket.disconnect();
      enter("connecting");
      socket.connect();
    }

    // Facts, each looked at by the battle. An id is text wherever it is used.
    const on = (event, take) => socket.on(event, (data) => {
      if (data === null || typeof data !== "object" || data.id === undefined) return;
      toldAt = performance.now();
      if (pictureTimer === 0 && toldAt - pictureAt > QUIET_MS) onPicture(null, toldAt - TICK_MS);
      take(String(data.id), data, toldAt);
      picture();
    });
    on("new_player", (id, { position }, now) => {
      if (now < welcomeUntil) battle.put(id, position);
      else battle.joined(id, position, now);
    });
    on("player_moved", (id, { position }, now) => {
      battle.put(id, position);
      if (id === socket.id) welcomeUntil = Math.min(welcomeUntil, now + WELCOME_MS);
    });
    on("player_attacked", (id, { hp }, now) => battle.hit(id, hp, now));
    on("player_killed", (id, { by, respawn_ms: ms }, now) => battle.killed(id, String(by), ms, now));
    on("player_respawned", (id, { position }, now) => battle.respawned(id, position, now));
    on("player_left", (id, _, now) => battle.left(id, now));

    function picture() {
      if (pictureTimer !== 0) return;
      pictureTimer = setTimeout(() => {
        pictureTimer = 0;
        pictureAt = performance.now();
        if (state === "open") onPicture(null, pictureAt);
      }, TICK_SPREAD_MS);
    }

    function ping() {
      if (state !== "open") return;
      const at = performance.now();
      socket.emit("ping", () => {
        toldAt = performance.now();
        rtts.add(toldAt - at);
      });
    }

    addEventListener("online", () => state === "waiting" && connect());
    setInterval(() => document.hidden || ping(), PING_EVERY_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      // A hidden page does not ask, so that it was told nothing proves nothing.
      toldAt = performance.now();
      // Somebody looks at the page: that is worth an attempt, unless the server said when.
      if (state === "waiting" && !hinted) connect();
    });
    enter("connecting");

    return {
      // A wish for a place, because places are what this dialect speaks of.
      move: (_, place) => state === "open" && (socket.emit("move", place), true),
      attack() {
        if (state !== "open") return false;
        socket.emit("attack", {}, (answer) => {
          toldAt = performance.now();
          if (answer?.error === "no_combat") stop({ sentence: "Nobody can fight in this room." });
        });
        return true;
      },
      pressed: () => wakesOnPress && connect(),
      retryNow: () => state !== "open" && connect(),
      stop,
      rttMs: rtts.middle,
      transport: () => manager.engine?.transport?.name ?? "",
      toldAt: () => toldAt,
    };
  };
})();
