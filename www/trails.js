// The way that each dot has just come: one shape that fades and thins toward its end.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const TRAIL_MS = 360;
  const TRAILS_MAX = 200;
  const ALPHA = "80";
  const JUMP_UNITS = 40;

  // createTrails(context, { jump }): in a smaller map, less is further than anybody walks.
  Skirmish.createTrails = function (context, { jump = JUMP_UNITS } = {}) {
    // From a player's id to its last places: { x, y, now } in map units, oldest first.
    let trails = new Map();

    // Dots are { player, radius, color }, a colour is #rrggbb; `toPx` makes map units pixels of
    // the canvas.
    function draw(dots, toPx, now) {
      if (dots.length > TRAILS_MAX) return trails.clear();
      const next = new Map();
      for (const dot of dots) {
        const trail = grown(trails.get(dot.player.id) || [], dot.player, now);
        next.set(dot.player.id, trail);
        if (trail.length > 1) drawOne(trail, dot, toPx, now);
      }
      trails = next;
    }

    function grown(trail, { x, y }, now) {
      const kept = trail.filter((place) => now - place.now < TRAIL_MS);
      const last = kept[kept.length - 1];
      if (last === undefined) return [{ x, y, now }];
      if (last.x === x && last.y === y) {
        last.now = now;
        return kept;
      }
      // Nobody walked from there to here: a trail between would be a lie.
      if (Math.hypot(last.x - x, last.y - y) > jump) return [{ x, y, now }];
      kept.push({ x, y, now });
      return kept;
    }

    // Discs and what lies between each two, filled in one go: nothing is darker where it turns.
    function drawOne(trail, { radius, color }, toPx, now) {
      const discs = trail.map((place) => ({
        x: toPx(place.x), y: toPx(place.y),
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
        if (i > 0) between(discs[i - 1], b);
      });
      context.fill();
    }

    // Around in the same sense as the discs, or what they share would count as outside.
    function between(a, b) {
      const far = Math.hypot(b.x - a.x, b.y - a.y) || 1;
      const [x, y] = [(b.y - a.y) / far, (a.x - b.x) / far];
      context.moveTo(a.x + x * a.half, a.y + y * a.half);
      context.lineTo(b.x + x * b.half, b.y + y * b.half);
      context.lineTo(b.x - x * b.half, b.y - y * b.half);
      context.lineTo(a.x - x * a.half, a.y - y * a.half);
      context.closePath();
    }

    return { draw, forget: () => trails.clear() };
  };
})();
