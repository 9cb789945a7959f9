// Draws thousands of bodies as discs: one picture for each colour, which is copied to each place, and
// nothing for what the camera does not see.
"use strict";
var Skirmish = Skirmish || {};
{
  const PICTURES_MAX = 600;

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {(side: number) => { canvas: CanvasImageSource, context: CanvasRenderingContext2D
   *   }} createPicture makes a square canvas of that many pixels
   */
  Skirmish.createDiscs = function (context, createPicture) {
    /** @type {Map<string, CanvasImageSource>} */
    const pictures = new Map();
    let madeFor = "";
    let side = 0;

    /**
     * @param {string} color
     * @param {number} radiusPx
     * @param {string} rim
     */
    function pictureOf(color, radiusPx, rim) {
      let picture = pictures.get(color);
      if (picture !== undefined) return picture;
      if (pictures.size >= PICTURES_MAX) pictures.clear();
      const made = createPicture(side);
      made.context.fillStyle = color;
      made.context.strokeStyle = rim;
      made.context.lineWidth = Math.max(1, radiusPx / 8);
      made.context.beginPath();
      made.context.arc(side / 2, side / 2, radiusPx, 0, 2 * Math.PI);
      made.context.fill();
      made.context.stroke();
      picture = made.canvas;
      pictures.set(color, picture);
      return picture;
    }

    /**
     * Draws the bodies that the camera sees. Returns how many.
     * @param {V1Drawn} drawn
     * @param {Camera} camera
     * @param {{ radius: number, rim: string, colorOf: (index: number) => string | null
     *   }} style `radius` is in map units; `colorOf` gives the colour of a body of `drawn`, or null
     *   to leave it out
     */
    return function draw(drawn, camera, { radius, rim, colorOf }) {
      const radiusPx = camera.lengthPx(radius);
      if (madeFor !== `${radiusPx} ${rim}`) {
        madeFor = `${radiusPx} ${rim}`;
        side = Math.ceil(2 * radiusPx + radiusPx / 4) + 4;
        pictures.clear();
      }
      let count = 0;
      for (let index = 0; index < drawn.count; index++) {
        const x = drawn.x[index];
        const y = drawn.y[index];
        if (!camera.sees(x, y, radius)) continue;
        const color = colorOf(index);
        if (color === null) continue;
        context.drawImage(pictureOf(color, radiusPx, rim), camera.toX(x) - side / 2,
          camera.toY(y) - side / 2);
        count++;
      }
      return count;
    };
  };
}
