// When to come back after a connection has ended, and what to tell the player.
// Shared by every game page. Pure: the clock and the socket are elsewhere.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const FIRST_MS = 500;
  const MOST_MS = 10000;
  // Only a connection that lasted this long makes the next waits short again.
  const STEADY_MS = 5000;
  // A server that said that it restarts may take so long before it counts as gone.
  const RESTART_MAX_MS = 10000;
  const HINT_LEAST_MS = 100;
  const HINT_MOST_MS = 60000;

  // The wait before attempt 0, 1, 2, ...: it doubles, and it is drawn from most of its range so
  // that a thousand players who lost the same server do not come back in the same moment.
  Skirmish.backoffMs = function (attempt, random) {
    const most = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
    return Math.round(most * (0.2 + 0.8 * random));
  };

  // The waits of one link to a server that is called `shown`: `next` is how long to wait before its
  // next attempt, and `noAnswer` what to say if that gets none. The link tells when it was let in
  // and when, and with what code if any, it was lost; in milliseconds.
  Skirmish.createWaits = function (shown) {
    let attempt = 0;
    let openedAt = Infinity;
    let restartAt = -Infinity;
    return {
      opened: (now) => (openedAt = now),
      closed(now, code) {
        if (now - openedAt >= STEADY_MS) attempt = 0;
        openedAt = Infinity;
        if (code === 1012) restartAt = now;
      },
      next: (random) => Skirmish.backoffMs(attempt++, random),
      noAnswer(now) {
        const restarts = now - restartAt < RESTART_MAX_MS;
        return restarts ? Skirmish.RESTARTING : `${shown} does not answer.`;
      },
    };
  };

  // What the server is doing while it answers nobody.
  Skirmish.RESTARTING = "The server is restarting.";

  // What a close means: `back` is "wait" (come back by itself, after `hintMs` if the server gave
  // one), "press" (come back when the player does something) or "never" (only by the button).
  Skirmish.verdict = function (code, reason) {
    switch (code) {
      case 1012:
        return { back: "wait", hintMs: hint(reason), sentence: Skirmish.RESTARTING };
      case 1013:
        return { back: "wait", hintMs: hint(reason), sentence: "The room is full just now." };
      case 4000:
        return {
          back: "press",
          sentence: "You were away for a while. Press any direction to come back.",
        };
      case 4008:
        return { back: "wait", sentence: "Your connection could not keep up." };
      case 4009:
        return { back: "never", sentence: "You are playing in another window now." };
      case 4029:
        return {
          back: "never",
          sentence: said(reason) ?? "The server closed this because too much was sent.",
        };
      case 1002:
      case 1007:
      case 1008:
      case 1009:
        return { back: "never", sentence: said(reason) ?? "The server does not accept this page." };
      case 1011:
        return { back: "wait", sentence: "Something went wrong on the server." };
      default:
        return { back: "wait", sentence: "The connection was lost." };
    }
  };

  // The server's own words, if the reason is words and no JSON.
  function said(reason) {
    const text = reason.trim();
    if (text === "" || text.startsWith("{")) return undefined;
    return `The server says: ${text}${/[.!?]$/.test(text) ? "" : "."}`;
  }

  // The close reason is {"retry_ms":N}. A hint out of all reason is brought back into reason.
  function hint(reason) {
    try {
      const ms = JSON.parse(reason).retry_ms;
      if (typeof ms !== "number" || !Number.isFinite(ms)) return undefined;
      return Math.min(HINT_MOST_MS, Math.max(HINT_LEAST_MS, ms));
    } catch {
      return undefined;
    }
  }
})();
