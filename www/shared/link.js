// The connection to the server and how it is restored: one state machine for every dialect. A
// driver for each dialect opens connections: shared/websocket.js for JSON, battle/socketio.js.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {"connecting" | "open" | "waiting" | "stopped"} LinkState */

/**
 * The state of the connection, as the player sees it.
 * @typedef {object} Status
 * @property {LinkState} state
 * @property {string} sentence why it is not open, or ""
 * @property {number | null} until when the next attempt is due (performance.now())
 * @property {boolean} button whether the player may reconnect
 * @property {number | null} code the close code that led here
 * @property {string | null} [out] a page to go to instead
 * @property {string} [outLabel] the text of the link to it
 */

/**
 * What a connection reports to the link.
 * @typedef {object} LinkEvents
 * @property {() => void} opened the server has let the player in
 * @property {(terms: ResumeTerms) => void} welcomed what it said then about a resume
 * @property {(at: number) => void} received anything was received
 * @property {(at: number) => void} updated news of the game was received
 * @property {(ms: number) => void} rtt a ping was answered
 * @property {(sentAt: number, tick: number | null) => void} answered the same: when the ping was
 *   sent, and the last tick that the server had run; null if it counts none
 * @property {(text: string) => void} announced the operator has sent a text
 * @property {(code: number, reason: string) => void} closed
 * @property {(sentence: string) => void} refused this page cannot play here
 */

/**
 * One connection. A dialect adds its commands.
 * @typedef {object} Connection
 * @property {() => void} close does not wait for the server, and reports nothing afterwards
 * @property {() => () => void} [abandon] as `close`, but the transport stays open until the result
 *   is called: to the server a close means that the player leaves
 * @property {() => void} ping
 * @property {() => string} transport "websocket" or "polling"
 * @property {() => number} silenceMaxMs after this long without a message the connection is lost
 * @property {(direction: Direction | null) => void} [hold] holds a direction; a connection with it
 *   makes its own steps
 * @property {() => NetworkNumbers} [network]
 */

/**
 * Opens connections of one dialect.
 * @template {Connection} C
 * @typedef {object} Driver
 * @property {(events: LinkEvents, token: string | null) => C} connect presents the token, or asks
 *   for one; returns before it reports anything; throws if the browser refuses to connect
 */

{
  // A timer that is late by this many intervals was blocked.
  const BLOCKED_INTERVALS = 3;
  const CONNECT_MAX_MS = 10000;
  // After a silence the network may be down, and a browser reports its return only if its own link
  // was down. Systems send the first packet of a connection again after 1 s, and then after 2 s or
  // more, so each attempt gets two, and a new one begins. Every third is longer, for slow networks.
  const AFTER_SILENCE_MS = [2000, 2000, 4000];
  const PING_EVERY_MS = 1000;
  // When the network returns, an attempt that is older may be waiting for what was lost before.
  const FRESH_MS = 1000;

  /**
   * Calls `run` every `ms`. `wasBlocked` means that the page could not run its timers for a while.
   * Messages may have been received since: Firefox delivers them after the overdue timers.
   * @param {number} ms
   * @param {(wasBlocked: boolean) => void} run
   */
  Skirmish.every = function (ms, run) {
    let ranAt = performance.now();
    setInterval(() => {
      const now = performance.now();
      const wasBlocked = now - ranAt > BLOCKED_INTERVALS * ms;
      ranAt = now;
      run(wasBlocked);
    }, ms);
  };

  /**
   * Connects at once.
   * @template {Connection} C
   * @param {{ driver: Driver<C>, shown: string, onState: (status: Status) => void,
   *   onAnswer: LinkEvents["answered"], onAnnounced: LinkEvents["announced"] }} options `shown` is
   *   the server, as the player sees it
   */
  Skirmish.createLink = function ({ driver, shown, onState, onAnswer, onAnnounced }) {
    const waits = Skirmish.createWaits(shown);
    const rtts = Skirmish.createRtts();
    const resume = Skirmish.createResume();
    /** @type {LinkState} */
    let state = "connecting";
    /** @type {C | null} */
    let connection = null;
    /**
     * Closes the transport of a silent connection.
     * @type {(() => void) | null}
     */
    let closeSilent = null;
    let attempts = 0;
    let startedAt = 0;
    let receivedAt = 0;
    let updatedAt = 0;
    let retryTimer = 0;
    // How many attempts got no answer since the server was last heard; null if the last one ended
    // in another way.
    /** @type {number | null} */
    let unanswered = null;
    // Whether the server asked to wait this long.
    let isHinted = false;
    let connectsOnPress = false;

    /**
     * @param {LinkState} next
     * @param {Partial<Status>} [more]
     */
    function enter(next, more) {
      state = next;
      onState({ state: next, sentence: "", until: null, button: false, code: null, ...more });
    }

    function connect() {
      clearTimeout(retryTimer);
      drop();
      connectsOnPress = false;
      rtts.clear();
      startedAt = receivedAt = updatedAt = performance.now();
      enter("connecting");
      const token = resume.token(startedAt);
      if (token === null) dropSilent();
      if (unanswered !== null) {
        const ms = AFTER_SILENCE_MS[unanswered++ % AFTER_SILENCE_MS.length];
        retryTimer = setTimeout(connectAgain, ms);
      }
      try {
        connection = driver.connect(eventsOf(attempts), token);
      } catch {
        // For example a page loaded over https that names a server without TLS.
        stop({ sentence: `The browser refuses to connect to ${shown}.`, button: true });
      }
    }

    /** A hidden page waits for longer, and so does one that has heard of the server. */
    function connectAgain() {
      const isAnswered = receivedAt > startedAt;
      if (state === "connecting" && !isAnswered && !document.hidden) connect();
    }

    /** Gives up the current attempt or connection. */
    function drop() {
      attempts++;
      connection?.close();
      connection = null;
    }

    function dropSilent() {
      closeSilent?.();
      closeSilent = null;
    }

    /**
     * What attempt number `attempt` may report, for as long as it is the current one.
     * @param {number} attempt
     * @returns {LinkEvents}
     */
    function eventsOf(attempt) {
      /**
       * @template {unknown[]} A
       * @param {(...args: A) => void} action
       * @returns {(...args: A) => void}
       */
      const current = (action) => (...args) => {
        if (attempt === attempts) action(...args);
      };
      return {
        opened: current(opened),
        welcomed: current(resume.take),
        received: current((at) => void (receivedAt = at)),
        updated: current((at) => void (receivedAt = updatedAt = Math.max(at, updatedAt))),
        rtt: current(rtts.add),
        answered: current(onAnswer),
        announced: current(onAnnounced),
        closed: current(closed),
        refused: current((sentence) => stop({ sentence, button: true })),
      };
    }

    function opened() {
      receivedAt = updatedAt = performance.now();
      waits.opened(receivedAt);
      clearTimeout(retryTimer);
      unanswered = null;
      dropSilent();
      enter("open");
      connection?.ping();
    }

    /**
     * @param {number} code
     * @param {string} reason
     */
    function closed(code, reason) {
      const now = performance.now();
      const wasOpen = state === "open";
      unanswered = null;
      waits.closed(now, code);
      const { back, hintMs, sentence } = Skirmish.verdict(code, reason);
      if (back !== "wait") {
        stop({ sentence, button: true, code });
        connectsOnPress = back === "press";
        return;
      }
      resume.lost(now);
      const hadNoAnswer = !wasOpen && code === 1006;
      isHinted = hintMs !== undefined;
      wait(hintMs ?? waits.next(Math.random()), hadNoAnswer ? waits.noAnswer(now) : sentence, code);
    }

    /**
     * @param {number} ms
     * @param {string} sentence
     * @param {number | null} [code]
     */
    function wait(ms, sentence, code = null) {
      clearTimeout(retryTimer);
      drop();
      retryTimer = setTimeout(connect, ms);
      enter("waiting", { sentence, until: performance.now() + ms, button: true, code });
    }

    /** Finds dead connections, which report nothing. */
    function watch() {
      const now = performance.now();
      const silenceMaxMs = connection?.silenceMaxMs() ?? Infinity;
      const isSilent = state === "open" && now - receivedAt > silenceMaxMs;
      const isStuck = state === "connecting" && now - startedAt > CONNECT_MAX_MS;
      if (!isSilent && !isStuck) return;
      waits.closed(now);
      resume.lost(now);
      if (isSilent && resume.token(now) !== null) abandon();
      unanswered = 0;
      isHinted = false;
      wait(0, isSilent ? "The server stopped responding." : waits.noAnswer(now));
    }

    /** A close that arrives before the next connection would end the player. */
    function abandon() {
      dropSilent();
      closeSilent = connection?.abandon?.() ?? null;
      if (closeSilent !== null) connection = null;
    }

    /**
     * Ends the connection until the player reconnects. `more` gives the reason.
     * @param {Partial<Status>} more
     */
    function stop(more) {
      clearTimeout(retryTimer);
      unanswered = null;
      drop();
      dropSilent();
      resume.forget();
      connectsOnPress = false;
      enter("stopped", more);
    }

    function retryNow() {
      if (state !== "open") connect();
    }

    Skirmish.every(PING_EVERY_MS, (wasBlocked) => {
      // A hidden page may be suspended, so silence means nothing.
      if (document.hidden) return;
      if (!wasBlocked) watch();
      if (state === "open") connection?.ping();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      // A hidden page sends no pings, so its silence means nothing.
      receivedAt = updatedAt = performance.now();
      // The player can see the page: try now, unless the server said when.
      const isOld = unanswered !== null && performance.now() - startedAt > FRESH_MS;
      if (state === "waiting" ? !isHinted : state === "connecting" && isOld) connect();
    });
    addEventListener("online", () => {
      waits.restart();
      const isOld = performance.now() - startedAt > FRESH_MS;
      if (state === "waiting" || (state === "connecting" && isOld)) connect();
    });
    // No connection survives in the back/forward cache.
    addEventListener("pageshow", (event) => event.persisted && state !== "stopped" && connect());
    connect();

    return {
      stop,
      retryNow,
      /** The connection while it is open, else null. */
      connection: () => (state === "open" ? connection : null),
      /** The player pressed a key, which reconnects an idle player. */
      pressed: () => void (connectsOnPress && connect()),
      rttMs: rtts.median,
      /** When news of the game was last received. */
      updatedAt: () => updatedAt,
    };
  };
}

/**
 * @template {Connection} C
 * @typedef {ReturnType<typeof Skirmish.createLink<C>>} Link
 */
