// Draws the dots on their board.
"use strict";
var Skirmish = Skirmish || {};
{
  // On a small screen the colour of a smaller dot could not be seen.
  const DOT_MIN_PX = 7.5;
  const GRID_UNITS = 50;

  /**
   * @param {HTMLCanvasElement} canvas
   * @returns {View<Player>}
   */
  Skirmish.createDotsView = function (canvas) {
    const board = Skirmish.createBoard(canvas, {
      paintField, colors: ["field", "line", "strong", "wall", "rim", "text", "me"],
    });
    const { context, toX, toY } = board;
    const trails = Skirmish.createTrails(board);
    const labels = Skirmish.createLabels(context);

    /** @type {BoardOptions["paintField"]} */
    function paintField(paint, { map }) {
      const { left, top, right, bottom } = board.area();
      const width = Math.max(1, Math.round(board.dpr()));
      // Every second line is stronger and drawn last, to count in hundreds.
      for (const odd of [1, 0]) {
        paint.fillStyle = odd ? board.colors.line : board.colors.strong;
        for (let units = (2 - odd) * GRID_UNITS; ; units += 2 * GRID_UNITS) {
          const [x, y] = [map.left + units, map.top + units];
          if (x >= map.right && y >= map.bottom) break;
          paint.fillRect(Math.round(toX(x) - width / 2), top, width, bottom - top);
          paint.fillRect(left, Math.round(toY(y) - width / 2), right - left, width);
        }
      }
    }

    /** @type {NonNullable<View<Player>["draw"]>} */
    function draw(players, { rules, me, now }) {
      board.paintBackground();
      const { colors } = board;
      const dpr = board.dpr();
      // A dot stops where it touches the edge of the map.
      const gap = rules.walls.left - rules.map.left;
      const radius = Math.max(board.lengthPx(gap), DOT_MIN_PX * dpr);
      /** @type {Dot[]} */
      const dots = players.map((player) => ({
        player, x: toX(player.x), y: toY(player.y), radius, color: Skirmish.colorOf(player),
      }));
      const own = dots.find(({ player }) => player.id === me);
      // The own dot is drawn over the others, and no name over a dot.
      dots.sort((a, b) => Number(a === own) - Number(b === own));

      if (board.calm.matches) trails.forget();
      const isFading = !board.calm.matches && trails.draw(dots, rules, now);
      labels.draw(dots, own, { colors, dpr, area: board.area() });
      for (const dot of dots) drawDot(dot, dpr);
      if (own !== undefined) drawRing(own, dpr);
      return isFading;
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

    return {
      draw,
      drawEmpty: board.paintBackground,
      setScale: board.setScale,
      whenStale: board.whenStale,
      begin: board.begin,
      forget: trails.forget,
    };
  };
}
