// Plots over time as SVG: lines over the last minutes, with a legend and a text for screen readers.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} StatusLine
 * @property {string} key of the values of a sample
 * @property {string} label
 */

{
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 168;
  const LEFT = 62;
  const RIGHT = 10;
  const TOP = 10;
  const BOTTOM = 24;
  // The spans that a plot may show.
  const SPANS_MIN = [1, 2, 5, 10];

  /**
   * @param {string} tag
   * @param {Record<string, string | number>} attributes
   * @param {string} [text]
   */
  Skirmish.svg = function (tag, attributes, text) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /**
   * The end of an axis from 0 to at least `max`, and the distance of its marks: 1, 2 or 5 times a power
   * of ten.
   * @param {number} max
   */
  Skirmish.statusScale = function (max) {
    const rough = max / 3;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
    return { step, end: step * Math.ceil(max / step - 1e-9) };
  };

  /**
   * An empty picture in a figure.
   * @param {HTMLElement} figure
   */
  Skirmish.statusPicture = function (figure) {
    const svg = /** @type {SVGSVGElement} */ (Skirmish.svg("svg", { role: "img", height: HEIGHT }));
    figure.append(svg);
    return svg;
  };

  /** What is drawn in a picture of this width, without the space for labels. */
  Skirmish.statusArea = (/** @type {number} */ width) =>
    ({ left: LEFT, right: Math.max(LEFT + 1, width - RIGHT), top: TOP, bottom: HEIGHT - BOTTOM });

  /**
   * The marks of a vertical axis.
   * @param {ReturnType<typeof Skirmish.statusArea>} area
   * @param {{ step: number, end: number }} scale
   * @param {(value: number) => string} format
   */
  Skirmish.statusAxis = function ({ left, right, top, bottom }, { step, end }, format) {
    const marks = [];
    for (let value = 0; value <= end * 1.001; value += step) {
      const y = bottom - (bottom - top) * value / end;
      marks.push(
        Skirmish.svg("line", { class: value === 0 ? "base" : "grid", x1: left, x2: right, y1: y, y2: y }),
        Skirmish.svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, format(value)));
    }
    return marks;
  };

  /**
   * @param {string} id of the figure
   * @param {object} options
   * @param {StatusLine[]} options.lines
   * @param {(value: number | null) => string} options.format
   * @param {number} options.least the end of the axis is not below it
   * @param {(agoMs: number | null) => void} options.onPoint the pointer is at this time, or leaves
   */
  Skirmish.statusPlot = function (id, { lines, format, least, onPoint }) {
    const figure = /** @type {HTMLElement} */ (document.getElementById(id));
    const caption = /** @type {HTMLElement} */ (figure.firstElementChild);
    const title = caption.textContent ?? "";
    const svg = Skirmish.statusPicture(figure);
    const legend = document.createElement("ul");
    const values = lines.map(({ label }, at) => {
      const [item, name, value] = ["li", "span", "b"].map((tag) => document.createElement(tag));
      const swatch = Skirmish.svg("svg", { class: "swatch", width: 22, height: 10, "aria-hidden": "true" });
      swatch.append(Skirmish.svg("path", { class: `line line-${at}`, d: "M1 5H21" }));
      name.textContent = label;
      item.append(swatch, name, " ", value);
      legend.append(item);
      return value;
    });
    caption.append(legend);
    let shownMs = SPANS_MIN[0] * 60_000;

    svg.addEventListener("pointermove", ({ offsetX }) => {
      const { left, right } = Skirmish.statusArea(svg.clientWidth);
      onPoint(shownMs * Math.min(1, Math.max(0, (right - offsetX) / (right - left))));
    });
    svg.addEventListener("pointerleave", () => onPoint(null));

    return {
      /**
       * @param {StatusSample[]} samples
       * @param {number | null} agoMs the time that the legend shows; null for the newest
       */
      draw(samples, agoMs) {
        const newest = samples[samples.length - 1];
        if (newest === undefined) return;
        const area = Skirmish.statusArea(svg.clientWidth);
        const minutes = SPANS_MIN.find((one) => one * 60_000 >= newest.atMs - samples[0].atMs) ?? 10;
        shownMs = minutes * 60_000;
        const all = lines.map(({ key }) => samples.map((one) => one.values[key] ?? null));
        const known = all.flat().filter((value) => value !== null);
        const scale = Skirmish.statusScale(Math.max(least, ...known));
        /** @param {StatusSample} sample */
        const x = ({ atMs }) =>
          area.right - (area.right - area.left) * (newest.atMs - atMs) / shownMs;
        /** @param {number} value */
        const y = (value) => area.bottom - (area.bottom - area.top) * value / scale.end;

        const parts = Skirmish.statusAxis(area, scale, format);
        for (const [share, text] of /** @type {const} */ ([[1, `${minutes} min ago`], [0, "now"]])) {
          parts.push(Skirmish.svg("text", {
            x: area.right - (area.right - area.left) * share, y: area.bottom + 17,
            "text-anchor": share === 1 ? "start" : "end",
          }, text));
        }
        all.forEach((line, at) => {
          let path = "";
          line.forEach((value, n) => {
            if (value === null) return;
            const goesOn = n > 0 && !samples[n].isFirst && line[n - 1] !== null;
            path += `${goesOn ? "L" : "M"}${x(samples[n]).toFixed(1)} ${y(value).toFixed(1)}`;
            // A point that stands alone.
            if (!goesOn) path += "h0.1";
          });
          parts.push(Skirmish.svg("path", { class: `line line-${at}`, d: path }));
        });

        const shown = agoMs === null ? newest : nearest(samples, newest.atMs - agoMs);
        if (agoMs !== null) {
          parts.push(Skirmish.svg("line", {
            class: "cursor", x1: x(shown), x2: x(shown), y1: area.top, y2: area.bottom,
          }));
        }
        svg.replaceChildren(...parts);
        lines.forEach(({ key }, at) => Skirmish.setText(values[at], format(shown.values[key] ?? null)));
        svg.setAttribute("aria-label", describe(newest, all, minutes));
      },
    };

    /**
     * @param {StatusSample} newest
     * @param {(number | null)[][]} all
     * @param {number} minutes
     */
    function describe(newest, all, minutes) {
      const of = lines.map(({ key, label }, at) => {
        const known = all[at].filter((value) => value !== null);
        if (known.length === 0) return `${label}: not known yet`;
        const [least, most] = [Math.min(...known), Math.max(...known)].map(format);
        return `${label}: now ${format(newest.values[key] ?? null)}, from ${least} to ${most}`;
      });
      const span = minutes === 1 ? "minute" : `${minutes} minutes`;
      return `${title} in the last ${span}. ${of.join("; ")}.`;
    }
  };

  /**
   * @param {StatusSample[]} samples one at least
   * @param {number} atMs
   */
  function nearest(samples, atMs) {
    return samples.reduce((best, one) =>
      (Math.abs(one.atMs - atMs) < Math.abs(best.atMs - atMs) ? one : best));
  }
}
