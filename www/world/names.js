// The names of the own body and of the nearest ones. Which names are drawn is chosen a few times a
// second, and each is a picture, so that a frame only copies pictures. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};
{
  const NAMES_MAX = 20;
  const CHOOSE_EVERY_MS = 200;
  const PICTURES_MAX = 300;
  const CHARACTERS_MAX = 20;

  /** @typedef {{ canvas: HTMLCanvasElement, width: number, height: number }} NamePicture */

  Skirmish.createNames = function () {
    /** @type {Map<string, NamePicture>} */
    const pictures = new Map();
    let madeFor = "";
    let chosenAt = -Infinity;
    // The chosen bodies with their pictures, the own one first.
    const keys = new Uint16Array(NAMES_MAX);
    /** @type {NamePicture[]} */
    const chosen = [];
    // The nearest candidates, while they are chosen.
    const nearest = new Int32Array(NAMES_MAX);
    const distances = new Float64Array(NAMES_MAX);

    /**
     * @param {string} text
     * @param {boolean} isOwn
     * @param {{ colors: Readonly<Colors>, dpr: number }} look
     * @returns {NamePicture}
     */
    function pictureOf(text, isOwn, { colors, dpr }) {
      const key = isOwn ? `own ${text}` : text;
      const known = pictures.get(key);
      if (known !== undefined) return known;
      if (pictures.size >= PICTURES_MAX) pictures.clear();
      const size = 12.5 * dpr;
      const font = `${isOwn ? 700 : 500} ${size}px system-ui, sans-serif`;
      const canvas = document.createElement("canvas");
      const context = Skirmish.contextOf(canvas);
      context.font = font;
      const width = (canvas.width = Math.ceil(context.measureText(text).width + 6 * dpr));
      const height = (canvas.height = Math.ceil(size * 1.5));
      // The new size has reset the context.
      context.font = font;
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = 3.5 * dpr;
      context.strokeStyle = colors.field;
      context.fillStyle = isOwn ? colors.me : colors.text;
      context.strokeText(text, width / 2, size * 1.05);
      context.fillText(text, width / 2, size * 1.05);
      const picture = { canvas, width, height };
      pictures.set(key, picture);
      return picture;
    }

    /**
     * @param {Crowd} crowd
     * @param {Camera} camera
     * @param {Readonly<Place>} middle
     */
    function findNearest(crowd, camera, middle) {
      let count = 0;
      for (let index = 0; index < crowd.count; index++) {
        const [x, y] = [crowd.x[index], crowd.y[index]];
        if (crowd.look[index] === Skirmish.DEAD_LOOK || !camera.sees(x, y, 0)) continue;
        const distance = index === crowd.own ? -1 : (x - middle.x) ** 2 + (y - middle.y) ** 2;
        let at = count;
        while (at > 0 && distances[at - 1] > distance) at--;
        if (at >= NAMES_MAX) continue;
        count = Math.min(NAMES_MAX, count + 1);
        distances.copyWithin(at + 1, at, count - 1);
        nearest.copyWithin(at + 1, at, count - 1);
        distances[at] = distance;
        nearest[at] = index;
      }
      return count;
    }

    /**
     * The nearest whose names do not overlap.
     * @param {CrowdSource} source
     * @param {Camera} camera
     * @param {{ middle: Readonly<Place>, above: number, colors: Readonly<Colors>,
     *   dpr: number }} look
     */
    function choose({ crowd, nameAt }, camera, look) {
      const count = findNearest(crowd, camera, look.middle);
      /** @type {Box[]} */
      const taken = [];
      chosen.length = 0;
      for (let at = 0; at < count; at++) {
        const index = nearest[at];
        const name = nameAt(index);
        if (name === null) continue;
        const isOwn = index === crowd.own;
        const characters = Array.from(name);
        const short = characters.length <= CHARACTERS_MAX ? name
          : `${characters.slice(0, CHARACTERS_MAX - 1).join("")}…`;
        const picture = pictureOf(isOwn ? `${short} (you)` : short, isOwn, look);
        const left = camera.toX(crowd.x[index]) - picture.width / 2;
        const top = camera.toY(crowd.y[index]) - look.above - picture.height;
        const box = { left, top, right: left + picture.width, bottom: top + picture.height };
        if (taken.some((other) => box.right > other.left && box.left < other.right &&
          box.bottom > other.top && box.top < other.bottom)) continue;
        taken.push(box);
        keys[chosen.length] = crowd.key[index];
        chosen.push(picture);
      }
    }

    /**
     * @param {CanvasRenderingContext2D} context
     * @param {CrowdSource} source
     * @param {Camera} camera
     * @param {{ middle: Readonly<Place>, above: number, colors: Readonly<Colors>, dpr: number,
     *   now: number }} look `above` is the distance from the middle of a body, in pixels
     */
    function draw(context, source, camera, look) {
      const { crowd } = source;
      if (look.now - chosenAt >= CHOOSE_EVERY_MS) {
        chosenAt = look.now;
        const style = `${look.dpr} ${look.colors.text} ${look.colors.field}`;
        if (style !== madeFor) pictures.clear();
        madeFor = style;
        choose(source, camera, look);
      }
      // The nearest is drawn last.
      for (let at = chosen.length - 1; at >= 0; at--) {
        const index = Skirmish.indexInCrowd(crowd, keys[at]);
        if (index < 0 || crowd.look[index] === Skirmish.DEAD_LOOK) continue;
        const { canvas, width, height } = chosen[at];
        const x = camera.toX(crowd.x[index]) - width / 2;
        const y = camera.toY(crowd.y[index]) - look.above - height;
        // At the upper border the name is below the body.
        context.drawImage(canvas, Math.max(0, Math.min(context.canvas.width - width, x)),
          y >= 0 ? y : camera.toY(crowd.y[index]) + look.above);
      }
    }

    return { draw, chosen: () => chosen.length };
  };
}
