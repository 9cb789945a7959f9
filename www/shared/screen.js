// The canvas of a game, in device pixels, and its colours. They come from the style sheet, which
// decides about light and dark.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {Record<string, string>} Colors */

Skirmish.NO_COLOR = "#808080";

/**
 * The colour of a player, if the server sent a valid one.
 * @param {{ color: string }} player
 */
Skirmish.colorOf = ({ color }) => (/^#[0-9a-f]{6}$/i.test(color) ? color : Skirmish.NO_COLOR);

/** @param {HTMLCanvasElement} canvas */
Skirmish.contextOf = (canvas) =>
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string[]} names of the colours `--board-NAME`
 */
Skirmish.createScreen = function (canvas, names) {
  /** @type {() => void} */
  let onStale = () => {};
  let scaled = 1;
  // The size of the canvas at full resolution.
  let fullWidth = 0, fullHeight = 0;

  const screen = {
    context: Skirmish.contextOf(canvas),
    colors: readColors(),
    /** Whether the player asked for less motion. */
    calm: matchMedia("(prefers-reduced-motion: reduce)"),
    /** Pixels of the canvas in a CSS pixel. */
    dpr: () => devicePixelRatio * scaled,
    /**
     * Sets the resolution, from 1 (full).
     * @param {number} next
     */
    setScale(next) {
      scaled = next;
      resize();
    },
    /**
     * What is on the canvas is no longer right: its size or the colours have changed.
     * @param {() => void} callback
     */
    whenStale: (callback) => void (onStale = callback),
  };

  /** @returns {Colors} */
  function readColors() {
    const style = getComputedStyle(canvas);
    return Object.fromEntries(names.map((name) =>
      [name, style.getPropertyValue(`--board-${name}`).trim()]));
  }

  function restyle() {
    screen.colors = readColors();
    onStale();
  }

  /**
   * Sets the size of the canvas in device pixels, so that lines are sharp.
   * @param {ResizeObserverEntry[]} entries
   */
  function fit([{ contentRect, devicePixelContentBoxSize }]) {
    const exact = devicePixelContentBoxSize?.[0];
    const width = sizeOf(contentRect.width, exact?.inlineSize);
    const height = sizeOf(contentRect.height, exact?.blockSize);
    if (width === 0 || height === 0) return;
    if (width === fullWidth && height === fullHeight) return;
    [fullWidth, fullHeight] = [width, height];
    resize();
  }

  /**
   * @param {number} length in CSS pixels
   * @param {number | undefined} exact in device pixels
   */
  function sizeOf(length, exact) {
    const about = Math.round(length * devicePixelRatio);
    // With an emulated pixel ratio the exact number is that of the real screen.
    return exact !== undefined && Math.abs(exact - about) <= 2 ? exact : about;
  }

  function resize() {
    canvas.width = Math.round(fullWidth * scaled);
    canvas.height = Math.round(fullHeight * scaled);
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
  return screen;
};
