// The trail of each dot: one shape that fades and gets thinner towards its end.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A player to draw, in pixels of the canvas.
 * @typedef {object} Dot
 * @property {Player} player
 * @property {number} x
 * @property {number} y
 * @property {number} radius
 * @property {string} color #rrggbb
 * @property {number} [above] height of what is drawn on top of the disc
 */

{
  const TRAIL_MS = 360;
  const TRAILS_MAX = 200;
  const ALPHA = "80";
  // A longer distance than this between two frames is a teleport.
  const JUMP_STEPS = 4;

  /** @typedef {Place & { now: number }} TrailPlace */

  /** @param {Board} board */
  Skirmish.createTrails = function (board) {
    const { context } = board;
    /**
     * The last places of each player in map units, oldest first.
     * @type {Map<string, TrailPlace[]>}
     */
    let trails = new Map();

    /**
     * Returns whether a trail fades.
     * @param {Dot[]} dots
     * @param {Rules} rules
     * @param {number} now
     */
    function draw(dots, { step }, now) {
      let isFading = false;
      const next = new Map();
      if (dots.length > TRAILS_MAX) dots = [];
      for (const dot of dots) {
        const trail = extended(trails.get(dot.player.id) || [], dot.player, JUMP_STEPS * step, now);
        next.set(dot.player.id, trail);
        if (trail.length < 2) continue;
        isFading = true;
        drawOne(trail, dot, now);
      }
      trails = next;
      return isFading;
    }

    /**
     * @param {TrailPlace[]} trail
     * @param {Place} place
     * @param {number} jump
     * @param {number} now
     */
    function extended(trail, { x, y }, jump, now) {
      const kept = trail.filter((place) => now - place.now < TRAIL_MS);
      const last = kept[kept.length - 1];
      if (last === undefined) return [{ x, y, now }];
      if (last.x === x && last.y === y) {
        last.now = now;
        return kept;
      }
      // A teleport leaves no trail.
      if (Math.hypot(last.x - x, last.y - y) > jump) return [{ x, y, now }];
      kept.push({ x, y, now });
      return kept;
    }

    /**
     * Fills the discs and the shapes between them in one path, so that overlaps are not darker.
     * @param {TrailPlace[]} trail
     * @param {Dot} dot
     * @param {number} now
     */
    function drawOne(trail, { radius, color }, now) {
      const discs = trail.map((place) => ({
        x: board.toX(place.x), y: board.toY(place.y),
        half: radius * 0.85 * (1 - (now - place.now) / TRAIL_MS),
      }));
      const [end, head] = [discs[0], discs[discs.length - 1]];
      const fading = context.createLinearGradient(end.x, end.y, head.x, head.y);
      fading.addColorStop(0, `${color}00`);
      fading.addColorStop(1, color + ALPHA);
      context.fillStyle = fading;
      context.beginPath();
      discs.forEach((b, i) => {
        context.moveTo(b.x + b.half, b.y);
        context.arc(b.x, b.y, b.half, 0, 2 * Math.PI);
        if (i > 0) addBetween(discs[i - 1], b);
      });
      context.fill();
    }

    /**
     * Runs clockwise like the discs, since a shape in the other sense would be a hole in them.
     * @param {Place & { half: number }} a
     * @param {Place & { half: number }} b
     */
    function addBetween(a, b) {
      const distance = Math.hypot(b.x - a.x, b.y - a.y) || 1;
      const [x, y] = [(b.y - a.y) / distance, (a.x - b.x) / distance];
      context.moveTo(a.x + x * a.half, a.y + y * a.half);
      context.lineTo(b.x + x * b.half, b.y + y * b.half);
      context.lineTo(b.x - x * b.half, b.y - y * b.half);
      context.lineTo(a.x - x * a.half, a.y - y * a.half);
      context.closePath();
    }

    function forget() {
      trails.clear();
    }

    return { draw, forget };
  };
}
