// One WebSocket that speaks JSON and is there again when it was lost.
// Shared by pages of the JSON dialect; it knows nothing of any game's rules.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const CONNECT_MAX_MS = 10000;
  const SILENCE_MAX_MS = 5000;
  const PING_EVERY_MS = 1000;
  // A server that has not answered so many pings does not know them, and is spared the rest.
  const PINGS_UNANSWERED_MAX = 5;

  // createLink({ url, shown, onMessage, onState }) connects at once.
  // onState gets { state, sentence, until, button, code }: state is connecting, open, waiting or
  // stopped; `until` is the moment of the next attempt in performance.now() milliseconds; `code`
  // is that of the close that led here, if one did.
  Skirmish.createLink = function ({ url, shown, onMessage, onState }) {
    let socket = null;
    let state = "";
    let wakesOnPress = false;
    let hinted = false;
    const waits = Skirmish.createWaits(shown);
    let startedAt = 0;
    let heardAt = 0;
    let retryTimer = 0;
    let pings = new Map();
    let pinged = 0;
    let answered = 0;
    const rtts = Skirmish.createRtts();

    function enter(next, more) {
      state = next;
      onState({ state: next, sentence: "", until: null, button: false, code: null, ...more });
    }

    function connect() {
      clearTimeout(retryTimer);
      forget();
      wakesOnPress = false;
      pings = new Map();
      pinged = answered = 0;
      rtts.clear();
      startedAt = heardAt = performance.now();
      enter("connecting");
      let fresh;
      try {
        fresh = new WebSocket(url);
      } catch {
        // For example a page that came by https and asks for a server without TLS.
        enter("stopped", { sentence: `The browser refuses to connect to ${shown}.`, button: true });
        return;
      }
      socket = fresh;
      // A socket that was given up may still have something to say; nobody listens to it then.
      fresh.onmessage = (event) => fresh === socket && heard(event.data);
      fresh.onclose = (event) => fresh === socket && lost(event.code, event.reason);
    }

    // Gives up the socket without waiting for the other side, which may be gone.
    function forget() {
      const old = socket;
      socket = null;
      if (old !== null) old.close();
    }

    function heard(data) {
      heardAt = performance.now();
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return;
      }
      if (message === null || typeof message !== "object") return;
      // A full room lets us in and closes at once, so only the first message means being in.
      if (state === "connecting") {
        waits.opened(heardAt);
        enter("open");
        ping();
      }
      if (message.type === "pong") ponged(message.t);
      else onMessage(message, heardAt);
    }

    function lost(code, reason) {
      const wasOpen = state === "open";
      socket = null;
      waits.closed(performance.now(), code);
      const verdict = Skirmish.verdict(code, reason);
      if (verdict.back !== "wait") {
        wakesOnPress = verdict.back === "press";
        enter("stopped", { sentence: verdict.sentence, button: true, code });
        return;
      }
      const neverIn = !wasOpen && code === 1006;
      wait(verdict.hintMs, neverIn ? waits.noAnswer(performance.now()) : verdict.sentence, code);
    }

    function wait(hintMs, sentence, code = null) {
      hinted = hintMs !== undefined;
      const ms = hintMs ?? waits.next(Math.random());
      retryTimer = setTimeout(connect, ms);
      enter("waiting", { sentence, until: performance.now() + ms, button: true, code });
    }

    function send(message) {
      if (state !== "open" || socket.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    }

    function ping() {
      if (answered === 0 && pinged >= PINGS_UNANSWERED_MAX) return;
      const now = performance.now();
      // The wire carries a whole number; the fraction of it stays here.
      const t = Math.round(now);
      if (!send({ type: "ping", t })) return;
      pinged++;
      // The first one waits for the page to start, and is not measured.
      pings.set(t, pinged === 1 ? null : now);
      if (pings.size > 10) pings.delete(pings.keys().next().value);
    }

    function ponged(t) {
      const sentAt = pings.get(t);
      if (sentAt === undefined) return;
      pings.delete(t);
      answered++;
      if (sentAt !== null) rtts.add(performance.now() - sentAt);
    }

    // A dead link says nothing, not even that it is dead. A hidden page may be asleep, so its
    // silence proves nothing.
    function watch() {
      if (socket === null || document.hidden) return;
      const now = performance.now();
      const silent = state === "open" && now - heardAt > SILENCE_MAX_MS;
      const stuck = state === "connecting" && now - startedAt > CONNECT_MAX_MS;
      if (!silent && !stuck) return;
      forget();
      waits.closed(now);
      wait(undefined, silent ? "The server went silent." : waits.noAnswer(now));
    }

    // Leaves by the page's own wish; `more` has the sentence that says why, and what onState gets
    // besides.
    function stop(more) {
      clearTimeout(retryTimer);
      forget();
      enter("stopped", more);
    }

    function retryNow() {
      if (state === "waiting" || state === "stopped") connect();
    }

    setInterval(watch, 500);
    setInterval(() => document.hidden || ping(), PING_EVERY_MS);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      heardAt = performance.now();
      // Somebody looks at the page: that is worth an attempt, unless the server said when.
      if (state === "waiting" && !hinted) connect();
    });
    addEventListener("online", () => state === "waiting" && connect());
    // Back from the browser's cache of pages, in which no connection survives.
    addEventListener("pageshow", (event) => event.persisted && state !== "stopped" && connect());
    connect();

    return {
      send,
      retryNow,
      stop,
      // The player did something: that ends the rest which the server gave an idle player.
      pressed: () => wakesOnPress && retryNow(),
      rttMs: rtts.middle,
    };
  };
})();
