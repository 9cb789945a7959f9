// When to reconnect after a connection has ended, and the sentence for the player. Time is an
// argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a close means.
 * @typedef {object} Verdict
 * @property {"wait" | "press" | "never"} back reconnect by itself, when the player presses a key,
 *   or only by the button
 * @property {string} sentence for the player
 * @property {number} [hintMs] how long the server asks to wait
 */

{
  const FIRST_MS = 500;
  const MAX_MS = 10000;
  // A connection that lasted this long resets the backoff.
  const STEADY_MS = 5000;
  // A server that announced a restart may take this long before it counts as down.
  const RESTART_MAX_MS = 10000;
  const HINT_MIN_MS = 100;
  const HINT_MAX_MS = 60000;

  /**
   * The wait before attempt 0, 1, 2, ...: it doubles, with enough jitter that a thousand players of
   * one server do not reconnect at once.
   * @param {number} attempt
   * @param {number} random from 0 to 1
   */
  Skirmish.backoffMs = function (attempt, random) {
    const most = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
    return Math.round(most * (0.2 + 0.8 * random));
  };

  /**
   * The waits of one link. Its methods take times and return waits in milliseconds.
   * @param {string} shown the server, as the player sees it
   */
  Skirmish.createWaits = function (shown) {
    let attempt = 0;
    let openedAt = Infinity;
    let restartAt = -Infinity;
    return {
      /** @param {number} now */
      opened: (now) => void (openedAt = now),
      /**
       * @param {number} now
       * @param {number} [code]
       */
      closed(now, code) {
        if (now - openedAt >= STEADY_MS) attempt = 0;
        openedAt = Infinity;
        if (code === 4012 || code === 1012) restartAt = now;
      },
      /** The next wait is as short as the first one. */
      restart: () => void (attempt = 0),
      /** @param {number} random */
      next: (random) => Skirmish.backoffMs(attempt++, random),
      /**
       * The sentence for an attempt that got no answer.
       * @param {number} now
       */
      noAnswer(now) {
        const restarts = now - restartAt < RESTART_MAX_MS;
        return restarts ? Skirmish.RESTARTING : `${shown} does not answer.`;
      },
    };
  };

  Skirmish.RESTARTING = "The server is restarting.";

  /**
   * @param {number} code
   * @param {string} reason
   * @returns {Verdict}
   */
  Skirmish.verdict = function (code, reason) {
    switch (code) {
      case 4000:
        return {
          back: "press",
          sentence: "You were away for a while. Press any direction to come back.",
        };
      case 4003:
        return { back: "never", sentence: "The operator of this server has removed you." };
      case 4009:
        return { back: "never", sentence: "You are now playing in another window." };
      case 4029:
        return {
          back: "never",
          sentence: said(reason) ?? "The server closed the connection: too many messages.",
        };
      case 1002:
      case 1007:
      case 1008:
      case 1009:
        return { back: "never", sentence: said(reason) ?? "The server does not accept this page." };
      default:
        return { back: "wait", hintMs: hint(reason), sentence: lost(code) };
    }
  };

  /**
   * Why the connection ended, for a player who comes back. Over Socket.IO a WebSocket has the codes
   * of RFC 6455 for a restart and a full room.
   * @param {number} code
   */
  function lost(code) {
    switch (code) {
      case 4012:
      case 1012:
        return Skirmish.RESTARTING;
      case 4013:
      case 1013:
        return "The room is full right now.";
      case 4008:
        return "Your connection could not keep up.";
      case 1011:
        return "Something went wrong on the server.";
      default:
        return "The connection was lost.";
    }
  }

  /**
   * The reason from the server, unless it is JSON.
   * @param {string} reason
   */
  function said(reason) {
    const text = reason.trim();
    if (text === "" || text.startsWith("{")) return undefined;
    return `The server says: ${text}${/[.!?]$/.test(text) ? "" : "."}`;
  }

  /**
   * The reason is {"retry_ms":N}, which is clamped.
   * @param {string} reason
   */
  function hint(reason) {
    try {
      const ms = JSON.parse(reason).retry_ms;
      if (typeof ms !== "number" || !Number.isFinite(ms)) return undefined;
      return Math.min(HINT_MAX_MS, Math.max(HINT_MIN_MS, ms));
    } catch {
      return undefined;
    }
  }
}
