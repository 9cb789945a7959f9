// Draws the dots on their board.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // A dot is as large as its distance from the wall that it has run into...
  const DOT_UNITS = 10;
  // ... but on a small screen that would be too small to see its colour.
  const DOT_LEAST_PX = 7.5;

  // createView(canvas, { size, grid }): the side of the square map, and of its grid, in units.
  Skirmish.createView = function (canvas, { size, grid }) {
    const board = Skirmish.createBoard(canvas, {
      size, paintField, colors: ["field", "line", "strong", "wall", "rim", "text", "me"],
    });
    const { context, toPx } = board;
    const trails = Skirmish.createTrails(context);
    const labels = Skirmish.createLabels(context);

    function paintField(paint, { colors }, from, to) {
      const width = Math.max(1, Math.round(devicePixelRatio));
      // Every second line is the stronger one, drawn last: the eye counts in hundreds.
      for (const odd of [1, 0]) {
        paint.fillStyle = odd ? colors.line : colors.strong;
        for (let i = odd ? 1 : 2; i < size / grid; i += 2) {
          const at = Math.round(toPx(i * grid) - width / 2);
          paint.fillRect(at, from, width, to - from);
          paint.fillRect(from, at, to - from, width);
        }
      }
    }

    // Players are { id, x, y, color, name } in map units; `me` is the own id or null.
    function draw(players, me, now) {
      board.paintBackground();
      const { colors } = board;
      const dpr = devicePixelRatio;
      const radius = Math.max(board.lengthPx(DOT_UNITS), DOT_LEAST_PX * dpr);
      const dots = players.map((player) => ({
        player, x: toPx(player.x), y: toPx(player.y), radius, color: Skirmish.colorOf(player),
      }));
      // The own dot lies on top of the others, and no name lies on a dot.
      dots.sort((a, b) => (a.player.id === me) - (b.player.id === me));
      const own = dots.at(-1)?.player.id === me ? dots.at(-1) : undefined;

      if (board.calm.matches) trails.forget();
      else trails.draw(dots, toPx, now);
      labels.draw(dots, own, { colors, dpr, from: toPx(0), to: toPx(size) });
      for (const dot of dots) drawDot(dot, dpr);
      if (own !== undefined) drawRing(own, dpr);
    }

    function drawDot({ x, y, radius, color }, dpr) {
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, y, radius - 0.6 * dpr, 0, 2 * Math.PI);
      context.fill();
      // Any colour may come, also the field's own: the rim keeps it visible.
      context.strokeStyle = board.colors.rim;
      context.lineWidth = 1.25 * dpr;
      context.stroke();
    }

    function drawRing({ x, y, radius }, dpr) {
      context.strokeStyle = board.colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 3.5 * dpr, 0, 2 * Math.PI);
      context.stroke();
    }

    return { draw, whenResized: board.whenResized, forget: trails.forget };
  };
})();
