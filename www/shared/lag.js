// A simulator of a slow network in the page: `?lag=100&jitter=20&stall=400` delays what is sent and
// what is received over a WebSocket (docs/your-own-page.md). Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} Lag
 * @property {number} lagMs added to each round trip, half of it in each direction
 * @property {number} jitterMs each message takes up to this much longer
 * @property {number} stallMs every 5 s nothing is delivered for this long
 */

{
  const STALL_EVERY_MS = 5000;
  const MAX_MS = 4000;

  /**
   * The lag that the address of a page asks for; null for none.
   * @param {string} pageHref
   * @returns {Lag | null}
   */
  Skirmish.lagOf = function (pageHref) {
    const { searchParams } = new URL(pageHref);
    /** @param {string} key */
    const read = (key) => {
      const ms = Number(searchParams.get(key));
      return ms > 0 ? Math.min(MAX_MS, ms) : 0;
    };
    const lag = { lagMs: read("lag"), jitterMs: read("jitter"), stallMs: read("stall") };
    return Object.values(lag).some((ms) => ms > 0) ? lag : null;
  };

  /**
   * One direction of a slow network, which keeps the order of messages. Returns a function from the
   * time when a message is sent to the time when it is delivered.
   * @param {Lag} lag
   * @param {() => number} random from 0 to 1
   */
  Skirmish.createDelay = function ({ lagMs, jitterMs, stallMs }, random) {
    let lastAt = -Infinity;

    /** @param {number} now */
    return function delivered(now) {
      const at = Math.max(lastAt, now + lagMs / 2 + random() * jitterMs);
      // Both directions stall at the same time.
      const inStall = at % STALL_EVERY_MS;
      lastAt = inStall < stallMs ? at - inStall + stallMs : at;
      return lastAt;
    };
  };

  /**
   * Runs actions in order, each one after a delay.
   * @param {Lag} lag
   * @param {() => number} random
   */
  Skirmish.createDelayedQueue = function (lag, random) {
    const delivered = Skirmish.createDelay(lag, random);
    /** @type {{ at: number, run: () => void }[]} */
    const waiting = [];

    function deliver() {
      // A timer may fire a moment early.
      const now = performance.now() + 1;
      while (waiting.length > 0 && waiting[0].at <= now) waiting.shift()?.run();
    }

    /** @param {() => void} run */
    return function later(run) {
      const now = performance.now();
      const at = delivered(now);
      waiting.push({ at, run });
      setTimeout(deliver, at - now);
    };
  };
}
