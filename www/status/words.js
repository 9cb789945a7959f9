// Numbers of the status page as text.
"use strict";
var Skirmish = Skirmish || {};

{
  const UNITS = ["B", "kB", "MB", "GB", "TB"];

  /** @param {number} s */
  function twoUnits(s) {
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
    if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
    return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`;
  }

  /** @param {number} value three digits at least */
  function short(value) {
    if (value >= 100) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(value >= 10 ? 3 : 2)));
  }

  /** What is not known is a dash. */
  Skirmish.statusWords = {
    /** @param {number | null} value */
    count(value) {
      if (value === null) return "–";
      return value >= 1e6 ? `${short(value / 1e6)} M` : value.toLocaleString("en");
    },

    /** @param {number | null} value for a rate, which may be a part of one */
    rate: (value) => (value === null ? "–" : short(value)),

    /** @param {number | null} bytes */
    bytes(bytes) {
      if (bytes === null) return "–";
      let [value, unit] = [bytes, 0];
      for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000;
      return `${unit === 0 ? value.toFixed() : short(value)} ${UNITS[unit]}`;
    },

    /** @param {number | null} ms */
    ms: (ms) => (ms === null ? "–" : `${short(ms)} ms`),

    /** @param {number} ms the two largest units of a span, without the second one if it is 0 */
    span: (ms) => twoUnits(Math.floor(ms / 1000)).replace(/ 0 \w+$/, ""),

    /** @param {number} ms a span in seconds, or from a minute on in minutes */
    roughSpan(ms) {
      const unit = ms < 59_500 ? 1000 : 60_000;
      return this.span(Math.round(ms / unit) * unit);
    },
  };
}
