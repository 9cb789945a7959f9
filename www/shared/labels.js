// The names beside the dots: as many as fit, those near the own dot first. Text is drawn with
// fillText only, so a name is never markup.
"use strict";
var Skirmish = Skirmish || {};

/**
 * How labels are drawn, in pixels of the canvas.
 * @typedef {object} LabelStyle
 * @property {Colors} colors
 * @property {number} dpr device pixels per CSS pixel
 * @property {Box} area where labels may be
 */

{
  const CHARACTERS_MAX = 20;
  // In a crowd far names are not measured: that would cost more than drawing the dots.
  const CANDIDATES_MAX = 200;
  // A dot with a label keeps it unless another is nearer by this much, or labels would flicker.
  const KEEP_PX = 40;
  const MEASURED_MAX = 3000;

  /**
   * From each candidate, a list of boxes with the best first, takes the first box that overlaps
   * neither `taken` nor a box taken before.
   * @template {Box} B
   * @param {B[][]} candidates
   * @param {Box[]} taken
   * @returns {B[]}
   */
  Skirmish.apart = function (candidates, taken) {
    const all = Array.from(taken);
    /** @param {Box} box */
    const isFree = (box) => all.every((other) => box.right <= other.left ||
      box.left >= other.right || box.bottom <= other.top || box.top >= other.bottom);
    return candidates.flatMap((boxes) => {
      const box = boxes.find(isFree);
      if (box === undefined) return [];
      all.push(box);
      return [box];
    });
  };

  /** @typedef {Box & { dot: Dot, text: string, x: number, base: number }} Label */

  /** @param {CanvasRenderingContext2D} context */
  Skirmish.createLabels = function (context) {
    /**
     * The players that had a label in the last frame.
     * @type {Set<string>}
     */
    let labelled = new Set();
    /** @type {Map<string, number>} */
    let measured = new Map();
    let measuredAt = "";

    /**
     * @param {Dot[]} dots
     * @param {Dot | undefined} own one of `dots`
     * @param {LabelStyle} style
     */
    function draw(dots, own, { colors, dpr, area }) {
      const size = Math.min(20 * dpr, Math.max(12.5 * dpr, (area.right - area.left) * 0.0155));
      const place = { size, dpr, area };
      const near = nearest(dots, own, dpr);
      const discs = near.map(({ x, y, radius, above = 0 }) =>
        ({ left: x - radius, right: x + radius, top: y - radius - above, bottom: y + radius }));
      // The own name is always drawn, even over a dot.
      const ownLabels = own === undefined ? [] : ownLabel(labelsOf(own, true, place), discs);
      const others = near.filter((dot) => dot !== own).map((dot) => labelsOf(dot, false, place));
      const labels = [...ownLabels, ...Skirmish.apart(others, [...discs, ...ownLabels])];
      labelled = new Set(labels.map((label) => label.dot.player.id));
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = 3.5 * dpr;
      context.strokeStyle = colors.field;
      // The nearest is drawn last.
      for (const label of labels.reverse()) {
        context.font = fontOf(size, label.dot === own);
        context.strokeText(label.text, label.x, label.base);
        context.fillStyle = label.dot === own ? colors.me : colors.text;
        context.fillText(label.text, label.x, label.base);
      }
    }

    /**
     * @param {Label[]} labels
     * @param {Box[]} discs
     */
    function ownLabel(labels, discs) {
      const free = Skirmish.apart([labels], discs);
      return free.length > 0 ? free : labels.slice(0, 1);
    }

    /**
     * @param {Dot[]} dots
     * @param {Dot | undefined} own
     * @param {number} dpr
     */
    function nearest(dots, own, dpr) {
      /** @param {Dot} dot */
      const rankOf = (dot) => {
        if (dot === own) return -Infinity;
        const distance = own === undefined ? 0 : Math.hypot(dot.x - own.x, dot.y - own.y);
        return distance - (labelled.has(dot.player.id) ? KEEP_PX * dpr : 0);
      };
      return dots.map((dot) => ({ dot, rank: rankOf(dot) }))
        .sort((a, b) => a.rank - b.rank)
        .slice(0, CANDIDATES_MAX)
        .map(({ dot }) => dot);
    }

    /**
     * Above the dot or below it. Above is better, if it is on the map.
     * @param {Dot} dot
     * @param {boolean} isOwn
     * @param {{ size: number, dpr: number, area: Box }} place
     * @returns {Label[]}
     */
    function labelsOf(dot, isOwn, { size, dpr, area }) {
      const text = textOf(dot.player, isOwn);
      const half = widthOf(text, fontOf(size, isOwn)) / 2 + 3 * dpr;
      const x = Math.min(area.right - half, Math.max(area.left + half, dot.x));
      const gap = dot.radius + (isOwn ? 9 : 6) * dpr;
      return [dot.y - gap - (dot.above ?? 0), dot.y + gap + size * 0.75]
        .map((base) => {
          const [top, bottom] = [base - size * 0.9, base + size * 0.25];
          return { dot, text, x, base, left: x - half, right: x + half, top, bottom };
        })
        .filter(({ top, bottom }) => top >= area.top && bottom <= area.bottom);
    }

    /**
     * @param {number} size
     * @param {boolean} isOwn
     */
    function fontOf(size, isOwn) {
      return `${isOwn ? 700 : 500} ${size}px system-ui, sans-serif`;
    }

    /**
     * Measuring is slow, and most frames have the same names at the same size.
     * @param {string} text
     * @param {string} font
     */
    function widthOf(text, font) {
      const key = `${font} ${text}`;
      const at = String(context.canvas.width);
      if (at !== measuredAt || measured.size > MEASURED_MAX) measured = new Map();
      measuredAt = at;
      let width = measured.get(key);
      if (width === undefined) {
        context.font = font;
        width = context.measureText(text).width;
        measured.set(key, width);
      }
      return width;
    }

    /**
     * @param {Player} player
     * @param {boolean} isOwn
     */
    function textOf(player, isOwn) {
      const characters = Array.from(player.name || player.id);
      const name = characters.length <= CHARACTERS_MAX ? characters.join("")
        : characters.slice(0, CHARACTERS_MAX - 1).join("") + "…";
      if (!isOwn) return name;
      return player.name ? `${name} (you)` : "you";
    }

    return { draw };
  };
}
