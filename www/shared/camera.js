// The part of a large map that is on the canvas: it follows a place, and stops at the edges of the map.
// It needs no page.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {ReturnType<typeof Skirmish.createCamera>} Camera */

/**
 * @param {object} options in map units
 * @param {Box} options.map
 * @param {[number, number]} options.view width and height of what the player may see at most
 * @param {number} [options.margin] what is shown around the map
 */
Skirmish.createCamera = function ({ map, view, margin = 0 }) {
  const outer = {
    left: map.left - margin, top: map.top - margin,
    right: map.right + margin, bottom: map.bottom + margin,
  };
  // In pixels of the canvas.
  let width = 1, height = 1, scale = 1;
  /** The visible part, in map units. */
  const area = { left: 0, top: 0, right: 0, bottom: 0 };

  /**
   * The canvas has another size.
   * @param {number} widthPx
   * @param {number} heightPx
   */
  function resize(widthPx, heightPx) {
    const middleX = (area.left + area.right) / 2;
    const middleY = (area.top + area.bottom) / 2;
    width = Math.max(1, widthPx);
    height = Math.max(1, heightPx);
    scale = Math.max(width / view[0], height / view[1]);
    follow(middleX, middleY);
  }

  /**
   * Shows a place in the middle, or as near to it as the edges of the map allow.
   * @param {number} x
   * @param {number} y
   */
  function follow(x, y) {
    area.left = startOf(x, width / scale, outer.left, outer.right);
    area.top = startOf(y, height / scale, outer.top, outer.bottom);
    area.right = area.left + width / scale;
    area.bottom = area.top + height / scale;
  }

  /**
   * Where a part of a side begins.
   * @param {number} middle
   * @param {number} length of the part
   * @param {number} from where the side begins
   * @param {number} to where it ends
   */
  function startOf(middle, length, from, to) {
    // What is smaller than the canvas is in its middle.
    if (to - from <= length) return (from + to - length) / 2;
    return Math.max(from, Math.min(to - length, middle - length / 2));
  }

  return {
    resize,
    follow,
    area,
    /** @param {number} x */
    toX: (x) => (x - area.left) * scale,
    /** @param {number} y */
    toY: (y) => (y - area.top) * scale,
    /** @param {number} units */
    lengthPx: (units) => units * scale,
    /**
     * Whether a disc may be on the canvas.
     * @param {number} x
     * @param {number} y
     * @param {number} radius in map units
     */
    sees: (x, y, radius) => x + radius >= area.left && x - radius <= area.right &&
      y + radius >= area.top && y - radius <= area.bottom,
  };
};
