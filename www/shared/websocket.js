// The driver of the JSON dialect: one WebSocket with JSON in text messages. It does not depend on the game.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Sending returns whether it was done. A connection that makes its own steps sends no messages, and
 * has `press` for an attack.
 * @typedef {Connection & { send: (message: object) => boolean, press?: () => boolean
 *   }} JsonConnection
 */

{
  // The server sends a state on each tick. A newer server sends in `init` how long it waits itself.
  const SILENCE_MAX_MS = 5000;
  // For the numbers of the network.
  const TICK_MS = 50;
  const BYTES_OVER_MS = 2000;
  // After this many ticks the page says up to which it has processed the states.
  const ACK_TICKS = 5;
  // A server that has answered none of this many pings does not support them.
  const PINGS_UNANSWERED_MAX = 5;

  /**
   * `onMessage` gets each message and when it was received, and has processed it when it returns.
   * @param {{ url: string, onMessage: (message: any, now: number) => void }} options
   * @returns {Driver<JsonConnection>}
   */
  Skirmish.createJsonDriver = function ({ url, onMessage }) {
    return {
      connect: (events, token) => connect(Skirmish.resumeUrl(url, token), onMessage, events),
    };
  };

  /**
   * @param {string} url
   * @param {(message: any, now: number) => void} onMessage
   * @param {LinkEvents} events
   * @returns {JsonConnection}
   */
  function connect(url, onMessage, events) {
    const socket = Skirmish.openSocket(url, null, { message: receive, closed: events.closed });
    const bytes = Skirmish.createRate(BYTES_OVER_MS);
    const clock = Skirmish.createV1Clock(TICK_MS);
    let skipped = 0;
    let isOpen = false;
    const parse = Skirmish.createJsonParser();
    let silenceMaxMs = SILENCE_MAX_MS;
    let acknowledged = -Infinity;
    let pinged = 0;
    let answered = 0;
    /**
     * When each ping was sent, by its `t`. The first one is not measured, because it waits for the
     * page to start.
     * @type {Map<number, { sentAt: number, isFirst: boolean }>}
     */
    const pings = new Map();

    /**
     * @param {any} data
     * @param {number} at
     */
    function receive(data, at) {
      events.received(at);
      let message;
      try {
        message = parse(data);
      } catch {
        return;
      }
      if (message === null || typeof message !== "object") return;
      if (message.type === "pong") return pong(message);
      if (message.type === "notice") return events.announced(String(message.text));
      if (message.type === "init") welcomed(message);
      events.updated(at);
      if (Number.isFinite(message.tick)) count(message.tick, at);
      onMessage(message, at);
      if (message.type === "state_update") acknowledge(message.tick);
    }

    /**
     * A full room accepts the WebSocket and then closes it, so only this means success.
     * @param {ResumeTerms & { silence_ms?: any }} init
     */
    function welcomed(init) {
      if (init.silence_ms > 0) silenceMaxMs = init.silence_ms;
      events.welcomed(init);
      if (!isOpen) events.opened();
      isOpen = true;
    }

    /**
     * The page has processed a state. The server stays within a second of the last one that the
     * page acknowledges: a proxy would keep many more for a page that has stalled.
     * @param {unknown} tick
     */
    function acknowledge(tick) {
      // Ticks wrap.
      if (!Number.isInteger(tick) || Math.abs(Number(tick) - acknowledged) < ACK_TICKS) return;
      if (send({ type: "ack", tick })) acknowledged = Number(tick);
    }

    /**
     * @param {number} tick
     * @param {number} at
     */
    function count(tick, at) {
      const before = clock.newest();
      skipped += Math.max(0, clock.receive(tick, at) - before - 1);
      bytes.add(at, socket.received().bytes);
    }

    /** @returns {NetworkNumbers} */
    function network() {
      return {
        dialect: "JSON", jitterMs: clock.jitterMs(), delayMs: null,
        bytesPerSecond: bytes.perSecond(performance.now()),
        isCompressed: socket.isCompressed(), skipped, error: null, unconfirmed: null,
      };
    }

    /** @param {object} message */
    function send(message) {
      return socket.send(JSON.stringify(message));
    }

    function ping() {
      if (answered === 0 && pinged >= PINGS_UNANSWERED_MAX) return;
      const now = performance.now();
      // `t` is an integer; the exact time stays here.
      const t = Math.round(now);
      if (!send({ type: "ping", t })) return;
      pinged++;
      pings.set(t, { sentAt: now, isFirst: pinged === 1 });
      if (pings.size > 10) pings.delete(/** @type {number} */ (pings.keys().next().value));
    }

    /** @param {{ t: number, tick?: unknown }} message */
    function pong({ t, tick }) {
      const ping = pings.get(t);
      if (ping === undefined) return;
      pings.delete(t);
      answered++;
      if (!ping.isFirst) events.rtt(performance.now() - ping.sentAt);
      events.answered(ping.sentAt, Number.isFinite(tick) ? Number(tick) : null);
    }

    return {
      send, ping, close: socket.close, abandon: socket.abandon, transport: () => "websocket",
      silenceMaxMs: () => silenceMaxMs, network,
    };
  }

  /**
   * Parses messages like JSON.parse. Most states differ from the last one only in what follows
   * `players`: then only that is parsed, and `players` is the same array as before.
   */
  Skirmish.createJsonParser = function () {
    const AFTER_PLAYERS = '],"tick":';
    let start = "";
    let parsedStart = {};

    /**
     * @param {string} text
     * @returns {any}
     */
    return function parse(text) {
      const end = text.lastIndexOf(AFTER_PLAYERS);
      if (end < 0) return JSON.parse(text);
      try {
        if (end !== start.length || !text.startsWith(start)) {
          parsedStart = JSON.parse(`${text.slice(0, end)}]}`);
          start = text.slice(0, end);
        }
        return { ...parsedStart, ...JSON.parse(`{${text.slice(end + 2)}`) };
      } catch {
        // The text is somewhere else in the message.
        return JSON.parse(text);
      }
    };
  };
}
