// A small map on a square canvas, with a wall around it.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} BoardOptions
 * @property {number} [margin] units of floor around the map
 * @property {string[]} colors names of the colours `--board-NAME`
 * @property {(paint: CanvasRenderingContext2D, rules: Rules) => void} paintField paints what does
 *   not move
 */

/**
 * @typedef {object} Board
 * @property {CanvasRenderingContext2D} context
 * @property {Readonly<Colors>} colors
 * @property {MediaQueryList} calm whether the player asked for less motion
 * @property {(x: number) => number} toX from map units to pixels of the canvas
 * @property {(y: number) => number} toY
 * @property {(units: number) => number} lengthPx
 * @property {() => number} dpr pixels of the canvas in a CSS pixel
 * @property {(scale: number) => void} setScale sets the resolution, from 1 (full)
 * @property {() => Box} area the inner sides of the walls, in pixels
 * @property {(rules: Rules) => void} begin
 * @property {() => void} paintBackground
 * @property {(callback: () => void) => void} whenStale what is on the canvas is no longer right:
 *   its size or the colours have changed
 */

{
  // The wall is outside the map, in CSS pixels. The ring of a dot at the wall is drawn on it.
  const WALL_PX = 8;
  const NO_MAP = { left: 0, top: 0, right: 1, bottom: 1 };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {BoardOptions} options
   * @returns {Board}
   */
  Skirmish.createBoard = function (canvas, { margin = 0, colors: names, paintField }) {
    const screen = Skirmish.createScreen(canvas, names);
    const { context } = screen;
    /** @type {HTMLCanvasElement | null} */
    let background = null;
    /**
     * Null before the server has sent them: then the board is empty.
     * @type {Rules | null}
     */
    let rules = null;
    /** @type {() => void} */
    let onStale = () => {};
    screen.whenStale(() => {
      background = null;
      onStale();
    });

    /** @type {Board} */
    const board = {
      context,
      get colors() {
        return screen.colors;
      },
      calm: screen.calm,
      toX: (x) => canvas.width / 2 + scale() * (x - middle().x),
      toY: (y) => canvas.width / 2 + scale() * (y - middle().y),
      lengthPx: (units) => units * scale(),
      dpr: screen.dpr,
      setScale: screen.setScale,
      area,
      begin(next) {
        rules = next;
        background = null;
      },
      paintBackground() {
        background ??= paint();
        context.drawImage(background, 0, 0);
      },
      whenStale: (callback) => void (onStale = callback),
    };

    /** The middle of the map. */
    function middle() {
      const { left, top, right, bottom } = rules?.map ?? NO_MAP;
      return { x: (left + right) / 2, y: (top + bottom) / 2 };
    }

    /** Pixels in a unit: the longer side of the map fits between the walls. */
    function scale() {
      const { left, top, right, bottom } = rules?.map ?? NO_MAP;
      const units = Math.max(right - left, bottom - top) + 2 * margin;
      return (canvas.width - 2 * WALL_PX * board.dpr()) / units;
    }

    function area() {
      const { left, top, right, bottom } = rules?.map ?? NO_MAP;
      return {
        left: Math.round(board.toX(left - margin)), top: Math.round(board.toY(top - margin)),
        right: Math.round(board.toX(right + margin)),
        bottom: Math.round(board.toY(bottom + margin)),
      };
    }

    function paint() {
      const field = document.createElement("canvas");
      const side = (field.width = field.height = canvas.width);
      const paint = Skirmish.contextOf(field);
      paint.fillStyle = board.colors.wall;
      paint.fillRect(0, 0, side, side);
      const { left, top, right, bottom } = area();
      paint.beginPath();
      paint.roundRect(left, top, right - left, bottom - top, 6 * board.dpr());
      paint.clip();
      paint.fillStyle = board.colors.field;
      paint.fillRect(left, top, right - left, bottom - top);
      if (rules !== null) paintField(paint, rules);
      return field;
    }

    return board;
  };
}
