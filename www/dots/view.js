// Draws the dots on their board.
"use strict";
var Skirmish = Skirmish || {};
{
  // The radius of a dot, which is also the distance from the wall at which it stops ...
  const DOT_UNITS = 10;
  // ... but on a small screen the colour of such a small dot could not be seen.
  const DOT_MIN_PX = 7.5;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{ size: number, grid: number }} map the sides of the map and of a square of its grid
   * @returns {View<Player>}
   */
  Skirmish.createDotsView = function (canvas, { size, grid }) {
    const board = Skirmish.createBoard(canvas, {
      size, paintField, colors: ["field", "line", "strong", "wall", "rim", "text", "me"],
    });
    const { context, toPx } = board;
    const trails = Skirmish.createTrails(context);
    const labels = Skirmish.createLabels(context);

    /** @type {BoardOptions["paintField"]} */
    function paintField(paint, colors, from, to) {
      const width = Math.max(1, Math.round(devicePixelRatio));
      // Every second line is stronger and drawn last, to count in hundreds.
      for (const odd of [1, 0]) {
        paint.fillStyle = odd ? colors.line : colors.strong;
        for (let i = odd ? 1 : 2; i < size / grid; i += 2) {
          const at = Math.round(toPx(i * grid) - width / 2);
          paint.fillRect(at, from, width, to - from);
          paint.fillRect(from, at, to - from, width);
        }
      }
    }

    /** @type {View<Player>["draw"]} */
    function draw(players, me, now) {
      board.paintBackground();
      const { colors } = board;
      const dpr = devicePixelRatio;
      const radius = Math.max(board.lengthPx(DOT_UNITS), DOT_MIN_PX * dpr);
      /** @type {Dot[]} */
      const dots = players.map((player) => ({
        player, x: toPx(player.x), y: toPx(player.y), radius, color: Skirmish.colorOf(player),
      }));
      const own = dots.find(({ player }) => player.id === me);
      // The own dot is drawn over the others, and no name over a dot.
      dots.sort((a, b) => Number(a === own) - Number(b === own));

      if (board.calm.matches) trails.forget();
      else trails.draw(dots, toPx, now);
      labels.draw(dots, own, { colors, dpr, from: toPx(0), to: toPx(size) });
      for (const dot of dots) drawDot(dot, dpr);
      if (own !== undefined) drawRing(own, dpr);
    }

    /**
     * @param {Dot} dot
     * @param {number} dpr
     */
    function drawDot({ x, y, radius, color }, dpr) {
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, y, radius - 0.6 * dpr, 0, 2 * Math.PI);
      context.fill();
      // A dot may have the colour of the field: the rim keeps it visible.
      context.strokeStyle = board.colors.rim;
      context.lineWidth = 1.25 * dpr;
      context.stroke();
    }

    /**
     * @param {Dot} dot
     * @param {number} dpr
     */
    function drawRing({ x, y, radius }, dpr) {
      context.strokeStyle = board.colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 3.5 * dpr, 0, 2 * Math.PI);
      context.stroke();
    }

    return { draw, whenResized: board.whenResized, forget: trails.forget };
  };
}
