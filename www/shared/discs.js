// Draws thousands of bodies: one picture for each colour and variant, which is copied to each place, and
// nothing for what the camera does not see.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Paints a body in the middle of a square of `side` pixels.
 * @callback PaintBody
 * @param {CanvasRenderingContext2D} context
 * @param {{ side: number, radiusPx: number, color: string, rim: string, variant: number }} look
 */

{
  const PICTURES_MAX = 4096;

  /** @type {PaintBody} */
  Skirmish.paintDisc = function (context, { side, radiusPx, color, rim }) {
    context.fillStyle = color;
    context.strokeStyle = rim;
    context.lineWidth = Math.max(1, radiusPx / 8);
    context.beginPath();
    context.arc(side / 2, side / 2, radiusPx, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  };

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {(side: number) => { canvas: CanvasImageSource, context: CanvasRenderingContext2D
   *   }} createPicture makes a square canvas of that many pixels
   * @param {{ paint?: PaintBody, room?: number }} [style] `room` is how many radii a picture
   *   extends from its middle
   */
  Skirmish.createDiscs = function (context, createPicture,
    { paint = Skirmish.paintDisc, room = 1.125 } = {}) {
    /**
     * By colour and variant.
     * @type {Map<string, CanvasImageSource[]>}
     */
    const pictures = new Map();
    let count = 0;
    let madeForPx = 0;
    let madeForRim = "";
    let side = 0;

    function clear() {
      pictures.clear();
      count = 0;
    }

    /**
     * @param {string} color
     * @param {number} variant
     * @param {number} radiusPx
     * @param {string} rim
     */
    function pictureOf(color, variant, radiusPx, rim) {
      const known = pictures.get(color)?.[variant];
      if (known !== undefined) return known;
      if (count >= PICTURES_MAX) clear();
      const made = createPicture(side);
      paint(made.context, { side, radiusPx, color, rim, variant });
      const variants = pictures.get(color) ?? [];
      variants[variant] = made.canvas;
      pictures.set(color, variants);
      count++;
      return made.canvas;
    }

    /**
     * Draws the bodies that the camera sees. Returns how many.
     * @param {Pick<V1Drawn, "count" | "x" | "y">} drawn
     * @param {Camera} camera
     * @param {{ radius: number, rim: string, colorOf: (index: number) => string | null,
     *   variantOf?: (index: number) => number }} style `radius` is in map units; `colorOf` gives
     *   the colour of a body of `drawn`, or null to leave it out
     */
    return function draw(drawn, camera, { radius, rim, colorOf, variantOf }) {
      const radiusPx = camera.lengthPx(radius);
      if (madeForPx !== radiusPx || madeForRim !== rim) {
        madeForPx = radiusPx;
        madeForRim = rim;
        side = 2 * Math.ceil(radiusPx * room) + 4;
        clear();
      }
      let seen = 0;
      for (let index = 0; index < drawn.count; index++) {
        const x = drawn.x[index];
        const y = drawn.y[index];
        if (!camera.sees(x, y, radius)) continue;
        const color = colorOf(index);
        if (color === null) continue;
        const variant = variantOf === undefined ? 0 : variantOf(index);
        context.drawImage(pictureOf(color, variant, radiusPx, rim), camera.toX(x) - side / 2,
          camera.toY(y) - side / 2);
        seen++;
      }
      return seen;
    };
  };
}
