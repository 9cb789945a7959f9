// Which moment of the game is drawn in skirmish.v1. It is a little behind the server, by the jitter of
// the network in the last seconds, so that there is nearly always a next tick to move to. Ticks are
// counted on from the first one and do not wrap. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};
{
  // The ticks received last, from which the jitter is measured, if they are not older than this.
  // A busy server skips ticks, so its clock may be slow for a while.
  const MEASURED = 64;
  const MEASURED_MS = 5000;
  // This part of them is in time.
  const IN_TIME = 0.95;
  // Ticks that are received within this part of a tick are a burst.
  const BURST = 0.2;
  const MARGIN_MS = 4;
  const DELAY_MAX_MS = 1000;
  // The delay follows an increase of the jitter within about this time, and a decrease at this speed.
  const RISE_MS = 300;
  const FALL_MS_PER_S = 15;
  // The drawn time runs up to this much faster or slower, to follow the delay.
  const SLEW = 0.1;
  // After a stall it runs this much faster, and it skips all but this many ticks of a longer one.
  const CATCH_UP = 4;
  const CATCH_UP_MAX = 10;
  // With this many ticks too much it waits, and with more it goes back.
  const WAIT_FROM = 2;
  const BACK_FROM = 20;
  // A server sends at least two ticks a second. Until the next one, courses lead on for this many.
  const AHEAD_MAX = 10;

  /** @param {number} tickMs */
  Skirmish.createV1Clock = function (tickMs) {
    // Of each tick that was received: the time minus that of the tick on the server's clock, which
    // begins at an unknown time; and the ticks since the one before.
    const offsets = new Float64Array(MEASURED);
    const gaps = new Float64Array(MEASURED);
    const receivedAts = new Float64Array(MEASURED);
    const sorted = new Float64Array(MEASURED);
    let count = 0;
    let newest = 0;
    let newestLow = 0;
    let receivedAt = NaN;
    // The least offset: that of the fastest tick.
    let base = 0;
    let jitterMs = 0;
    let delayMs = 0;
    // The drawn tick, with its fraction, and when it was drawn.
    let drawn = NaN;
    let drawnAt = 0;

    /**
     * A tick was received. Returns its number.
     * @param {number} tick its low 32 bits
     * @param {number} now
     */
    function receive(tick, now) {
      const gap = count === 0 ? 1 : (tick - newestLow) | 0;
      if (gap <= 0 || gap * tickMs > 10_000) clear();
      newest += count === 0 ? 1 : gap;
      newestLow = tick;
      const elapsed = count === 0 ? 0 : now - receivedAt;
      receivedAt = now;
      const offset = now - newest * tickMs;
      // What a stall has held back is received at once, and counts once.
      const isBurst = count > 0 && elapsed < BURST * tickMs;
      if (!isBurst) count++;
      const at = (count - 1) % MEASURED;
      offsets[at] = isBurst ? Math.max(offset, offsets[at]) : offset;
      gaps[at] = Math.max(1, gap);
      receivedAts[at] = now;
      measure(elapsed);
      return newest;
    }

    /** @param {number} elapsed */
    function measure(elapsed) {
      let measured = 0;
      let gap = Infinity;
      sorted.fill(Infinity);
      for (let at = 0; at < Math.min(count, MEASURED); at++) {
        if (receivedAt - receivedAts[at] > MEASURED_MS) continue;
        sorted[measured++] = offsets[at];
        gap = Math.min(gap, gaps[at]);
      }
      sorted.sort();
      base = sorted[0];
      jitterMs = sorted[Math.floor(IN_TIME * (measured - 1))] - base;
      const wanted = Math.min(DELAY_MAX_MS, gap * tickMs + jitterMs + MARGIN_MS);
      if (delayMs === 0) delayMs = wanted;
      else if (wanted > delayMs) delayMs += (wanted - delayMs) * Math.min(1, elapsed / RISE_MS);
      else delayMs = Math.max(wanted, delayMs - FALL_MS_PER_S * elapsed / 1000);
    }

    /**
     * The tick to draw, with its fraction; it may be later than the newest. NaN before the first.
     * @param {number} now
     */
    function sample(now) {
      if (count === 0) return NaN;
      const due = (now - base - delayMs) / tickMs;
      const passed = Math.max(0, now - drawnAt) / tickMs;
      drawnAt = now;
      const behind = due - (drawn + passed);
      if (!(behind > -BACK_FROM)) {
        drawn = due;
      } else if (behind > 1) {
        const kept = Math.max(drawn, due - CATCH_UP_MAX);
        drawn = Math.min(due, kept + CATCH_UP * passed);
      } else if (behind > -WAIT_FROM) {
        drawn += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, behind));
      }
      drawn = Math.min(drawn, newest + AHEAD_MAX);
      return drawn;
    }

    /** The next sample is drawn without a transition. */
    function skip() {
      drawn = NaN;
    }

    function clear() {
      count = 0;
      newest = 0;
      delayMs = 0;
      drawn = NaN;
    }

    return {
      receive, sample, skip, clear,
      newest: () => newest,
      receivedAt: () => receivedAt,
      /**
       * Whether the drawn time is before a tick.
       * @param {number} tick
       */
      isBefore: (tick) => count > 0 && !(drawn >= tick),
      /** Whether the drawn time goes on although nothing is received. */
      isRunning: () => count > 0 && !(drawn >= newest + AHEAD_MAX),
      /** How late a tick is in nearly the worst case, compared with the fastest one. */
      jitterMs: () => jitterMs,
      /** How far the drawn time is behind the fastest tick. */
      delayMs: () => delayMs,
      /** How far the drawn time is behind the newest tick, in ticks; 0 if it is later. */
      viewAge: () => (Number.isNaN(drawn) ? 0 : Math.max(0, newest - drawn)),
    };
  };
}
