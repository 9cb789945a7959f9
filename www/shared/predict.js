// Prediction and reconciliation of the own player: its last confirmed place, and the steps sent
// since. For games that move in steps. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};
{
  /** @type {Record<Direction, [number, number]>} */
  const VECTORS = { UP: [0, -1], DOWN: [0, 1], LEFT: [-1, 0], RIGHT: [1, 0] };
  // A step that is not confirmed within a round trip and this time was dropped.
  const GRACE_MS = 200;
  const UNKNOWN_RTT_MS = 300;
  // A longer distance than this is a teleport.
  const SNAP_STEPS = 6;

  /** @param {Pick<Rules, "walls" | "step" | "tickMs">} rules */
  Skirmish.createPrediction = function ({ walls, step, tickMs }) {
    /** @type {Place | null} */
    let base = null;
    /** @type {{ direction: Direction, at: number }[]} */
    let pending = [];
    /** @type {Place | null} */
    let drawn = null;
    let drawnAt = 0;

    /**
     * @param {Place} place
     * @param {Direction} direction
     */
    function after(place, direction) {
      const [dx, dy] = VECTORS[direction];
      return {
        x: Math.min(walls.right, Math.max(walls.left, place.x + dx * step)),
        y: Math.min(walls.bottom, Math.max(walls.top, place.y + dy * step)),
      };
    }

    /**
     * `from` after all pending steps.
     * @param {Place} from
     */
    function predicted(from) {
      return pending.reduce((at, move) => after(at, move.direction), from);
    }

    /**
     * The place after all steps sent and one more; null before the server has sent a place.
     * @param {Direction} direction
     */
    function ahead(direction) {
      return base && after(predicted(base), direction);
    }

    /**
     * @param {Direction} direction
     * @param {number} now
     */
    function sent(direction, now) {
      if (base === null) return;
      const here = predicted(base);
      // A step into the wall changes nothing, so the server would never confirm it.
      if (!same(after(here, direction), here)) pending.push({ direction, at: now });
    }

    /**
     * The server sent a place. It acknowledges no steps, so those that lead from the last place to
     * this one count as done. If none do, the prediction was wrong.
     * @param {number} x
     * @param {number} y
     * @param {number} now
     * @param {number | null} rttMs
     */
    function confirm(x, y, now, rttMs) {
      const confirmed = { x, y };
      if (base !== null && !same(base, confirmed)) {
        let at = base;
        const done = pending.findIndex((move) => same((at = after(at, move.direction)), confirmed));
        pending = done < 0 ? [] : pending.slice(done + 1);
      }
      base = confirmed;
      const oldest = now - (rttMs ?? UNKNOWN_RTT_MS) - GRACE_MS;
      if (pending.length > 0 && pending[0].at < oldest) pending = [];
    }

    /**
     * Where to draw the player: on the way to the predicted place at walking pace, or faster if
     * that is far away.
     * @param {number} now
     */
    function glide(now) {
      if (base === null) return null;
      const goal = predicted(base);
      const elapsed = Math.max(0, now - drawnAt);
      drawnAt = now;
      if (drawn === null) return (drawn = goal);
      const [dx, dy] = [goal.x - drawn.x, goal.y - drawn.y];
      const distance = Math.hypot(dx, dy);
      // A held key makes a step each tick, so at this pace the player glides.
      const reach = (elapsed / tickMs) * Math.max(step, distance / 2);
      if (distance > SNAP_STEPS * step || distance <= reach) return (drawn = goal);
      const part = reach / distance;
      return (drawn = { x: drawn.x + dx * part, y: drawn.y + dy * part });
    }

    /** The next glide starts at the predicted place. */
    function skip() {
      drawn = null;
    }

    function clear() {
      base = drawn = null;
      pending = [];
    }

    return { ahead, sent, confirm, glide, skip, clear };
  };

  /**
   * @param {Place} a
   * @param {Place} b
   */
  function same(a, b) {
    return a.x === b.x && a.y === b.y;
  }
}
