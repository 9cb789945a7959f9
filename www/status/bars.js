// The histogram of the ticks by their duration.
"use strict";
var Skirmish = Skirmish || {};

{
  // Below this width of a bar every second label is left out.
  const LABEL_PX = 27;

  /** @param {string} id of the figure */
  Skirmish.statusBars = function (id) {
    const figure = /** @type {HTMLElement} */ (document.getElementById(id));
    const svg = Skirmish.statusPicture(figure);
    const note = document.createElement("p");
    /** @type {HTMLElement} */ (figure.firstElementChild).append(note);

    return {
      /**
       * @param {number[]} boundsS of the buckets; the last one has none
       * @param {number[]} counts
       * @param {number} periodMs ticks are this far apart: a longer one delays the next
       * @param {string} span of time, as text
       */
      draw(boundsS, counts, periodMs, span) {
        const total = counts.reduce((sum, count) => sum + count, 0);
        const labels = counts.map((_, at) => {
          const isLast = at === boundsS.length;
          return `${isLast ? ">" : "≤"}${Number((1000 * boundsS[isLast ? at - 1 : at]).toPrecision(3))}`;
        });
        const area = Skirmish.statusArea(svg.clientWidth);
        const scale = Skirmish.statusScale(Math.max(...counts, 10) * 1.1);
        const step = (area.right - area.left) / counts.length;
        const { count: words } = Skirmish.statusWords;
        const parts = Skirmish.statusAxis(area, scale, words);
        const isLate = (/** @type {number} */ at) =>
          at === boundsS.length || 1000 * boundsS[at] > periodMs;
        counts.forEach((count, at) => {
          const x = area.left + at * step;
          const height = count === 0 ? 0 :
            Math.max(2, (area.bottom - area.top) * count / scale.end);
          parts.push(Skirmish.svg("rect", {
            class: isLate(at) ? "bar late" : "bar", "data-count": count,
            x: x + 1, y: area.bottom - height, width: Math.max(1, step - 2), height,
          }));
          if (count > 0) {
            parts.push(Skirmish.svg("text", {
              class: "count", x: x + step / 2, y: area.bottom - height - 4, "text-anchor": "middle",
            }, words(count)));
          }
          if (step < LABEL_PX && at % 2 === 1) return;
          parts.push(Skirmish.svg("text", {
            x: x + step / 2, y: area.bottom + 17, "text-anchor": "middle",
          }, labels[at].replace("≤", "")));
        });
        svg.replaceChildren(...parts);
        const late = counts.reduce((sum, count, at) => sum + (isLate(at) ? count : 0), 0);
        Skirmish.setText(note,
          `${words(total)} in ${span}, ${words(late)} of them longer than ${periodMs} ms`);
        const some = labels.flatMap((label, at) =>
          counts[at] === 0 ? [] : [`${words(counts[at])} ${label} ms`]);
        svg.setAttribute("aria-label",
          `Ticks by duration in ${span}. ${some.join("; ") || "None yet"}.`);
      },
    };
  };
}
