// Interpolation: where the players are between two snapshots. They are drawn a little behind the
// server, so that there is always a next place to move to. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * All players at one moment.
 * @template {Player} P
 * @typedef {object} Snapshot
 * @property {number} at when it was received, without the jitter of the network
 * @property {number | null} tick null if the server does not send it
 * @property {number} receivedAt
 * @property {P[]} players
 * @property {Map<string, P>} byId
 * @property {boolean} isChanged whether anything differs from the one before
 */

{
  const BEHIND_TICKS = 2;
  const BEHIND_MAX_MS = 1000;
  // After a stall of the network the missed time is played this much faster.
  const CATCH_UP = 4;
  // After a longer stall it is skipped.
  const CATCH_UP_MAX_MS = 1500;
  // A player that moved further than this between two snapshots was teleported, and is not
  // interpolated.
  const SNAP_STEPS = 6;
  const KEPT_MAX = 40;
  // An early snapshot proves that the latency is lower than assumed. A late one proves little,
  // since anything can be late.
  const EARLY_WEIGHT = 0.3;
  const LATE_WEIGHT = 0.05;

  /**
   * @template {Player & { alive?: boolean }} P
   * @param {Pick<Rules, "step" | "tickMs">} rules
   */
  Skirmish.createMotion = function ({ step, tickMs }) {
    const behindLeast = BEHIND_TICKS * tickMs;
    /**
     * Oldest first.
     * @type {Snapshot<P>[]}
     */
    let kept = [];
    let interval = tickMs;
    let behind = behindLeast;
    let drawnAt = -Infinity;
    let sampledAt = -Infinity;

    /**
     * Returns whether anything differs from the last one.
     * @param {P[]} players
     * @param {number | null} tick
     * @param {number} receivedAt
     */
    function push(players, tick, receivedAt) {
      const last = newest();
      const differs = last === null || differ(last, players);
      const state = differs
        ? { players, byId: new Map(players.map((player) => [player.id, player])) }
        : { players: last.players, byId: last.byId };
      let at = receivedAt;
      if (last !== null) {
        if (tick !== null && tick === last.tick) {
          const isChanged = last.isChanged || differs;
          Object.assign(last, state, { isChanged });
          return isChanged;
        }
        const ticks = tick === null || last.tick === null ? null : tick - last.tick;
        const measured = ticks === null ? receivedAt - last.receivedAt : ticks * tickMs;
        const due = last.at + (ticks === null ? interval : measured);
        const late = receivedAt - due;
        // With ticks it is known how long ago a late snapshot was; without, it counts as new.
        const lateMax = ticks === null ? 4 * interval + 100 : CATCH_UP_MAX_MS;
        if (measured < 0 || Math.abs(late) > lateMax) {
          clear();
        } else {
          at = Math.max(due + late * (late < 0 ? EARLY_WEIGHT : LATE_WEIGHT), last.at + 1);
          interval += (measured - interval) * 0.1;
        }
      }
      const isChanged = kept.length === 0 || differs;
      if (last !== null && !last.isChanged && !isChanged) {
        // Nothing has changed in between either.
        Object.assign(last, { at, tick, receivedAt });
      } else {
        kept.push({ at, tick, receivedAt, ...state, isChanged });
        if (kept.length > KEPT_MAX) kept.shift();
      }
      const wanted = Math.min(BEHIND_MAX_MS, Math.max(behindLeast, interval * 1.5 + 25));
      behind += (wanted - behind) * 0.1;
      return isChanged;
    }

    /**
     * The players as pushed, with x and y between two snapshots.
     * @param {number} now
     * @returns {P[]}
     */
    function sample(now) {
      if (kept.length === 0) return [];
      // The estimates above change, and snapshots may come late and all at once: the drawn time
      // neither runs backward nor jumps.
      const elapsed = now - sampledAt;
      sampledAt = now;
      const due = Math.min(now - behind, /** @type {Snapshot<P>} */ (newest()).at);
      const isFollowing = due - drawnAt < CATCH_UP_MAX_MS;
      drawnAt = Math.max(drawnAt, isFollowing ? Math.min(due, drawnAt + CATCH_UP * elapsed) : due);
      while (kept.length > 1 && kept[1].at <= drawnAt) kept.shift();
      const [from, to] = kept;
      if (to === undefined || drawnAt <= from.at) return from.players;
      const part = (drawnAt - from.at) / (to.at - from.at);
      return to.players.map((player) => between(from.byId.get(player.id), player, part));
    }

    /**
     * @param {P | undefined} before
     * @param {P} after
     * @param {number} part from 0 to 1
     * @returns {P}
     */
    function between(before, after, part) {
      // A player that respawns does not walk to the new place.
      if (before === undefined || before.alive !== after.alive) return after;
      const dx = after.x - before.x;
      const dy = after.y - before.y;
      if (Math.hypot(dx, dy) > SNAP_STEPS * step) return after;
      return { ...after, x: before.x + dx * part, y: before.y + dy * part };
    }

    /**
     * Whether samples change although nothing more is pushed.
     */
    function isMoving() {
      return kept.some(({ isChanged }, index) => index > 0 && isChanged);
    }

    function newest() {
      return kept.length === 0 ? null : kept[kept.length - 1];
    }

    /** After a pause only the newest snapshot counts. */
    function skip() {
      kept = kept.slice(-1);
      drawnAt = -Infinity;
    }

    function clear() {
      kept = [];
      drawnAt = -Infinity;
    }

    return { push, sample, isMoving, newest, skip };
  };

  /**
   * @template {Player} P
   * @param {Snapshot<P>} before
   * @param {P[]} after
   */
  function differ({ players }, after) {
    return players !== after && (players.length !== after.length || players.some((one, index) => {
      const other = after[index];
      if (one === other) return false;
      const keys = /** @type {(keyof P)[]} */ (Object.keys(other));
      return keys.some((key) => one[key] !== other[key]);
    }));
  }
}
