// The own player's place before the server has said it: the last one confirmed, and the steps
// sent since. Shared by every game page that walks in steps. Pure: time is an argument.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const VECTORS = { UP: [0, -1], DOWN: [0, 1], LEFT: [-1, 0], RIGHT: [1, 0] };
  // A step that is not confirmed in the way there and back and this, was not taken.
  const GRACE_MS = 200;
  const UNKNOWN_RTT_MS = 300;
  // A key held at one step in 50 ms looks like walking when the dot goes one step in 50 ms.
  const GLIDE_MS = 50;
  const SNAP_UNITS = 60;

  // createPrediction({ step, low, high, snap }): one step in map units, the walls, and how far
  // nobody walks at once.
  Skirmish.createPrediction = function ({ step, low, high, snap = SNAP_UNITS }) {
    let base = null;
    let pending = [];
    let drawn = null;
    let drawnAt = 0;

    function after(place, direction) {
      const [dx, dy] = VECTORS[direction];
      const clamp = (value) => Math.min(high, Math.max(low, value));
      return { x: clamp(place.x + dx * step), y: clamp(place.y + dy * step) };
    }

    function place() {
      return pending.reduce((at, move) => after(at, move.direction), base);
    }

    // Where the player will be when all that was sent has been done, and one step more; null before
    // the first word.
    function ahead(direction) {
      return base && after(place(), direction);
    }

    function sent(direction, now) {
      if (base === null) return;
      const here = place();
      // A step into the wall changes nothing and so would never be confirmed.
      if (!same(after(here, direction), here)) pending.push({ direction, at: now });
    }

    // The server's newest word. JSON carries no acknowledgement, so the steps that led from the
    // last word to this one are taken as done; if none lead here, our guess was wrong.
    function confirm(x, y, now, rttMs) {
      const said = { x, y };
      if (base !== null && !same(base, said)) {
        let at = base;
        const done = pending.findIndex((move) => same((at = after(at, move.direction)), said));
        pending = done < 0 ? [] : pending.slice(done + 1);
      }
      base = said;
      const oldest = now - (rttMs ?? UNKNOWN_RTT_MS) - GRACE_MS;
      if (pending.length > 0 && pending[0].at < oldest) pending = [];
    }

    // Where to draw it: on the way to the place, at walking pace, or faster when that is far.
    function glide(now) {
      if (base === null) return null;
      const goal = place();
      const elapsed = Math.max(0, now - drawnAt);
      drawnAt = now;
      const far = drawn === null ? Infinity : Math.hypot(goal.x - drawn.x, goal.y - drawn.y);
      const reach = (elapsed / GLIDE_MS) * Math.max(step, far / 2);
      if (far > snap || far <= reach) {
        drawn = goal;
      } else {
        const part = reach / far;
        drawn = { x: drawn.x + (goal.x - drawn.x) * part, y: drawn.y + (goal.y - drawn.y) * part };
      }
      return drawn;
    }

    // The next glide begins where the player is, not where it was last seen.
    function skip() {
      drawn = null;
    }

    function clear() {
      base = drawn = null;
      pending = [];
    }

    return { ahead, sent, confirm, glide, skip, clear };
  };

  function same(a, b) {
    return a.x === b.x && a.y === b.y;
  }
})();
