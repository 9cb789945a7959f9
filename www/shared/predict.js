// Prediction and reconciliation of the own player: its last confirmed place, and the steps sent
// since. For games that move in steps. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};
{
  /** @type {Record<Direction, [number, number]>} */
  const VECTORS = { UP: [0, -1], DOWN: [0, 1], LEFT: [-1, 0], RIGHT: [1, 0] };
  const UNKNOWN_RTT_MS = 300;
  // A step that is not confirmed within a round trip and this time may have been dropped.
  const GRACE_MS = 150;
  // A longer distance than this is a teleport.
  const SNAP_STEPS = 20;
  // While the player walks, it is drawn up to this far behind the predicted place.
  const WALK_STEPS = 1.5;
  // A correction is 95 % done after three times this.
  const EASE_MS = 40;

  /** @param {Pick<Rules, "walls" | "step" | "tickMs" | "movesSaved">} rules */
  Skirmish.createPrediction = function ({ walls, step, tickMs, movesSaved }) {
    /** @type {Place | null} */
    let base = null;
    /** @type {{ direction: Direction, at: number }[]} */
    let pending = [];
    /**
     * The last ping that was answered: what was sent before it is settled once the server has sent
     * what it did up to the tick `after`; null if the server counts no ticks.
     * @type {{ sentAt: number, after: number | null } | null}
     */
    let answer = null;
    /** @type {Place | null} */
    let drawn = null;
    let drawnAt = 0;
    // Whether the last frame has drawn it at the goal.
    let hasReached = false;

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
     * Whether the server might drop one more step: if the connection has stalled, it receives all
     * that are unconfirmed at once, and they use up the saved moves.
     * @param {number | null} rttMs
     */
    function isFull(rttMs) {
      return pending.length >= Math.max((rttMs ?? UNKNOWN_RTT_MS) / tickMs + 2, movesSaved);
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
     * this one count as done. If none do, some were dropped: those that were probably still on
     * their way stay.
     * @param {Place} place
     * @param {{ tick: number | null, now: number, rttMs: number | null }} received
     */
    function confirm({ x, y }, { tick, now, rttMs }) {
      const confirmed = { x, y };
      if (base !== null && !same(base, confirmed)) {
        let at = base;
        const done = pending.findIndex((move) => same((at = after(at, move.direction)), confirmed));
        const unseen = now - (rttMs ?? UNKNOWN_RTT_MS) - tickMs;
        pending = done < 0 ? pending.filter(({ at }) => at > unseen) : pending.slice(done + 1);
      }
      base = confirmed;
      if (tick !== null && answer !== null && answer.after !== null && tick > answer.after) settle();
    }

    /**
     * The server answered a ping, which it handles in order with the steps.
     * @param {number} sentAt when the ping was sent
     * @param {number | null} tick the last one that the server had run; null if it counts none
     */
    function answered(sentAt, tick) {
      // What the server sent before its last answer has been received by now.
      const isNext = answer !== null && (answer.after === null || tick === null ||
        tick > answer.after + 1);
      if (isNext) settle();
      answer ??= { sentAt, after: tick };
    }

    /** Steps sent before the answered ping are in the confirmed place, or were dropped. */
    function settle() {
      const { sentAt } = /** @type {{ sentAt: number }} */ (answer);
      pending = pending.filter((move) => move.at > sentAt);
      answer = null;
    }

    /**
     * Whether a step should have been confirmed by now. A ping finds out.
     * @param {number} now
     * @param {number | null} rttMs
     */
    function isOverdue(now, rttMs) {
      return pending.length > 0 && now - pending[0].at > (rttMs ?? UNKNOWN_RTT_MS) + GRACE_MS;
    }

    /**
     * Where to draw the player: on the way to the predicted place at walking pace, or faster if
     * that is far away. A frame moves it by one step at most, unless the frames are too slow for
     * walking pace.
     * @param {number} now
     */
    function glide(now) {
      if (base === null) return null;
      const goal = predicted(base);
      // While it stands no frames are drawn, so the last one may be long ago.
      const elapsed = Math.min(Math.max(0, now - drawnAt), hasReached ? tickMs : Infinity);
      drawnAt = now;
      hasReached = true;
      if (drawn === null) return (drawn = goal);
      const [dx, dy] = [goal.x - drawn.x, goal.y - drawn.y];
      const distance = Math.hypot(dx, dy);
      // A held key makes a step each tick, so at this pace the player glides.
      const walk = (elapsed / tickMs) * step;
      const far = Math.max(0, distance - WALK_STEPS * step);
      const reach = Math.min(walk + far * (1 - Math.exp(-elapsed / EASE_MS)), Math.max(step, walk));
      if (distance > SNAP_STEPS * step || distance <= reach) return (drawn = goal);
      hasReached = false;
      const part = reach / distance;
      return (drawn = { x: drawn.x + dx * part, y: drawn.y + dy * part });
    }

    /** Whether the next frame shows the player elsewhere. */
    function isGliding() {
      return base !== null && (drawn === null || !same(drawn, predicted(base)));
    }

    /** The next glide starts at the predicted place. */
    function skip() {
      drawn = null;
    }

    /** The steps that the server has not confirmed are lost, and its next place counts. */
    function restart() {
      answer = null;
      pending = [];
    }

    function clear() {
      base = drawn = answer = null;
      pending = [];
    }

    return {
      ahead, isFull, sent, confirm, answered, isOverdue, glide, isGliding, skip, restart, clear,
    };
  };

  /**
   * @param {Place} a
   * @param {Place} b
   */
  function same(a, b) {
    return a.x === b.x && a.y === b.y;
  }
}
