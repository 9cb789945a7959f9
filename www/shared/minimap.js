// A small picture of a large map: the part on the canvas, the bodies that are known, and the own one.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} MinimapColors
 * @property {string} field
 * @property {string} edge
 * @property {string} body
 * @property {string} me
 */

{
  const BODY_PX = 2;
  const OWN_PX = 3.5;

  /**
   * Where a map is in a square of `side` pixels, and how many pixels a unit has.
   * @param {Box} map
   * @param {number} side
   */
  Skirmish.minimapFit = function ({ left, top, right, bottom }, side) {
    const scale = side / Math.max(right - left, bottom - top);
    return {
      scale,
      x: (side - (right - left) * scale) / 2 - left * scale,
      y: (side - (bottom - top) * scale) / 2 - top * scale,
    };
  };

  /**
   * Draws the minimap in the square at (atX, atY) of a canvas.
   * @param {CanvasRenderingContext2D} context
   * @param {{ atX: number, atY: number, side: number, dpr: number }} place in pixels
   * @param {{ map: Box, area: Box, own: Place | null,
   *   drawn: Pick<V1Drawn, "count" | "x" | "y">, colors: MinimapColors }} seen
   */
  Skirmish.drawMinimap = function (context, { atX, atY, side, dpr }, seen) {
    const { map, area, own, drawn, colors } = seen;
    const { scale, x, y } = Skirmish.minimapFit(map, side);
    context.save();
    context.translate(atX, atY);
    context.fillStyle = colors.field;
    context.fillRect(0, 0, side, side);
    context.beginPath();
    context.rect(0, 0, side, side);
    context.clip();
    context.translate(x, y);
    context.fillStyle = colors.body;
    const size = BODY_PX * dpr;
    for (let index = 0; index < drawn.count; index++) {
      context.fillRect(drawn.x[index] * scale - size / 2, drawn.y[index] * scale - size / 2,
        size, size);
    }
    context.strokeStyle = colors.edge;
    context.lineWidth = dpr;
    context.strokeRect(area.left * scale, area.top * scale, (area.right - area.left) * scale,
      (area.bottom - area.top) * scale);
    if (own !== null) {
      context.fillStyle = colors.me;
      context.beginPath();
      context.arc(own.x * scale, own.y * scale, OWN_PX * dpr, 0, 2 * Math.PI);
      context.fill();
    }
    context.restore();
    context.strokeStyle = colors.edge;
    context.lineWidth = dpr;
    context.strokeRect(atX, atY, side, side);
  };
}
