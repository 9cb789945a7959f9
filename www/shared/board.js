// A square map on a canvas, in device pixels, with a wall around it. Colours come from the style
// sheet, which decides about light and dark.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} BoardOptions
 * @property {number} size side of the map in units
 * @property {number} [apron] units of floor around the map
 * @property {string[]} colors names of the colours `--board-NAME`
 * @property {(paint: CanvasRenderingContext2D, colors: Colors, from: number, to: number) => void}
 *   paintField paints what does not move between the inner sides of the walls, in pixels
 */

/** @typedef {Record<string, string>} Colors */

/**
 * @typedef {object} Board
 * @property {CanvasRenderingContext2D} context
 * @property {Colors} colors
 * @property {MediaQueryList} calm whether the player asked for less motion
 * @property {(units: number) => number} toPx from map units to pixels of the canvas
 * @property {(units: number) => number} lengthPx a length
 * @property {() => void} paintBackground
 * @property {(callback: () => void) => void} whenResized a canvas that was resized is blank
 */

{
  // The wall is outside the map, in CSS pixels. The ring of a dot at the wall is drawn on it.
  const WALL_PX = 8;
  const COLOR = /^#[0-9a-f]{6}$/i;
  const NO_COLOR = "#808080";

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
  Skirmish.createBoard = function (canvas, { size, apron = 0, colors: names, paintField }) {
    const context = contextOf(canvas);
    /** @type {HTMLCanvasElement | null} */
    let background = null;
    /** @type {() => void} */
    let onResize = () => {};

    /** @type {Board} */
    const board = {
      context,
      colors: readColors(),
      calm: matchMedia("(prefers-reduced-motion: reduce)"),
      toPx,
      lengthPx: (units) => toPx(units) - toPx(0),
      paintBackground() {
        background ??= paint();
        context.drawImage(background, 0, 0);
      },
      whenResized: (callback) => void (onResize = callback),
    };

    function readColors() {
      const style = getComputedStyle(canvas);
      return Object.fromEntries(names.map((name) =>
        [name, style.getPropertyValue(`--board-${name}`).trim()]));
    }

    function restyle() {
      board.colors = readColors();
      background = null;
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
      if (side === 0 || side === canvas.width) return;
      canvas.width = canvas.height = side;
      background = null;
      onResize();
    }

    const observer = new ResizeObserver(fit);
    try {
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(canvas);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
    matchMedia("(prefers-contrast: more)").addEventListener("change", restyle);

    /** @param {number} units */
    function toPx(units) {
      const wall = WALL_PX * devicePixelRatio;
      return wall + ((units + apron) / (size + 2 * apron)) * (canvas.width - 2 * wall);
    }

    function paint() {
      const fresh = document.createElement("canvas");
      const side = (fresh.width = fresh.height = canvas.width);
      const paint = contextOf(fresh);
      paint.fillStyle = board.colors.wall;
      paint.fillRect(0, 0, side, side);
      const [from, to] = [Math.round(toPx(-apron)), Math.round(toPx(size + apron))];
      paint.beginPath();
      paint.roundRect(from, from, to - from, to - from, 6 * devicePixelRatio);
      paint.clip();
      paint.fillStyle = board.colors.field;
      paint.fillRect(from, from, to - from, to - from);
      paintField(paint, board.colors, from, to);
      return fresh;
    }

    return board;
  };

  /** @param {HTMLCanvasElement} canvas */
  function contextOf(canvas) {
    return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  }
}
