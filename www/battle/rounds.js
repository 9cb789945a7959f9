// The rounds of the battle: the clock of the current one, and the result for some seconds after it.
// Both dialects send the same three numbers. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} Round
 * @property {number} number from 1
 * @property {number} endsAt when it ends, or when its result does (performance.now())
 * @property {string | null} winner the id of the winner while the result is shown, else null
 */

{
  // A clock that differs by more was reset by the server; a smaller difference is network jitter.
  const CLOCK_MS = 1500;

  /**
   * @param {{ onEnd: (round: Round, now: number) => void,
   *   onBegin: (round: Round, now: number) => void }} options what changes while the page plays;
   *   the first round that the server sends is only shown
   */
  Skirmish.createRounds = function ({ onEnd, onBegin }) {
    /**
     * Null if the server sends no rounds.
     * @type {Round | null}
     */
    let current = null;

    /**
     * @param {any} raw
     * @param {number} now
     */
    function take(raw, now) {
      const next = read(raw, now);
      if (next === null) return;
      const last = current;
      if (last === null || last.number !== next.number || last.winner !== next.winner) {
        current = next;
        if (last === null) return;
        if (next.winner !== null) onEnd(next, now);
        else onBegin(next, now);
      } else if (Math.abs(next.endsAt - last.endsAt) > CLOCK_MS) {
        current = next;
      } else {
        // What is received late gives too late a time, so the earliest one counts.
        last.endsAt = Math.min(last.endsAt, next.endsAt);
      }
    }

    return {
      take,
      /**
       * Whether a state with these numbers is the first of another round.
       * @param {any} raw
       */
      begins: (raw) => current !== null && Number.isFinite(raw?.round) &&
        raw.round !== current.number && current.winner !== null,
      current: () => current,
      clear: () => void (current = null),
    };
  };

  /**
   * @param {any} raw
   * @param {number} now
   * @returns {Round | null}
   */
  function read(raw, now) {
    const { round: number, ends_ms: endsMs, winner } = raw ?? {};
    if (!Number.isFinite(number) || !Number.isFinite(endsMs)) return null;
    const hasWinner = winner !== 0 && winner !== null && winner !== undefined;
    return { number, endsAt: now + Math.max(0, endsMs), winner: hasWinner ? String(winner) : null };
  }
}

/** @typedef {ReturnType<typeof Skirmish.createRounds>} Rounds */
