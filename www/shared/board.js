// The map on a square canvas, in device pixels, with a wall around it. Colours come from the style
// sheet, which decides about light and dark.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} BoardOptions
 * @property {number} [margin] units of floor around the map
 * @property {string[]} colors names of the colours `--board-NAME`
 * @property {(paint: CanvasRenderingContext2D, rules: Rules) => void} paintField paints what does
 *   not move
 */

/** @typedef {Record<string, string>} Colors */

/**
 * @typedef {object} Board
 * @property {CanvasRenderingContext2D} context
 * @property {Colors} colors
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
  const COLOR = /^#[0-9a-f]{6}$/i;
  const NO_COLOR = "#808080";
  const NO_MAP = { left: 0, top: 0, right: 1, bottom: 1 };

  /**
   * The colour of a player, if the server sent a valid one.
   * @param {{ color: string }} player
   */
  Skirmish.colorOf = (player) => (COLOR.test(player.color) ? player.color : NO_COLOR);

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {BoardOptions} options
   * @returns {Board}
   */
  Skirmish.createBoard = function (canvas, { margin = 0, colors: names, paintField }) {
    const context = contextOf(canvas);
    /** @type {HTMLCanvasElement | null} */
    let background = null;
    /**
     * Null before the server has sent them: then the board is empty.
     * @type {Rules | null}
     */
    let rules = null;
    /** @type {() => void} */
    let onStale = () => {};
    let scaled = 1;
    // The side of the canvas at full resolution.
    let fullSide = 0;

    /** @type {Board} */
    const board = {
      context,
      colors: readColors(),
      calm: matchMedia("(prefers-reduced-motion: reduce)"),
      toX: (x) => canvas.width / 2 + scale() * (x - middle().x),
      toY: (y) => canvas.width / 2 + scale() * (y - middle().y),
      lengthPx: (units) => units * scale(),
      dpr: () => devicePixelRatio * scaled,
      setScale(next) {
        scaled = next;
        resize();
      },
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

    function readColors() {
      const style = getComputedStyle(canvas);
      return Object.fromEntries(names.map((name) =>
        [name, style.getPropertyValue(`--board-${name}`).trim()]));
    }

    function restyle() {
      board.colors = readColors();
      background = null;
      onStale();
    }

    /**
     * Sets the size of the canvas in device pixels, so that lines are sharp.
     * @param {ResizeObserverEntry[]} entries
     */
    function fit([entry]) {
      const about = Math.round(entry.contentRect.width * devicePixelRatio);
      const exact = entry.devicePixelContentBoxSize?.[0].inlineSize ?? about;
      // With an emulated pixel ratio the exact number is that of the real screen.
      const side = Math.abs(exact - about) <= 2 ? exact : about;
      if (side === 0 || side === fullSide) return;
      fullSide = side;
      resize();
    }

    function resize() {
      canvas.width = canvas.height = Math.round(fullSide * scaled);
      background = null;
      onStale();
    }

    const observer = new ResizeObserver(fit);
    try {
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(canvas);
    }
    // The browser may drop the contents of canvases, for example if the graphics driver fails.
    canvas.addEventListener("contextrestored", restyle);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
    matchMedia("(prefers-contrast: more)").addEventListener("change", restyle);

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
      const paint = contextOf(field);
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

  /** @param {HTMLCanvasElement} canvas */
  function contextOf(canvas) {
    return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  }
}
