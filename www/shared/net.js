// The panel with the numbers of the network, shown by ?net=1 or the key N. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Null is unknown, or nothing that the dialect has.
 * @typedef {object} NetworkNumbers
 * @property {string} dialect
 * @property {number | null} jitterMs how late the latest messages are, compared with the fastest
 * @property {number | null} delayMs how far the others are drawn behind the newest moment
 * @property {number} bytesPerSecond received, before compression
 * @property {boolean} isCompressed
 * @property {number} skipped ticks without a message
 * @property {number | null} error how far the last predicted place was off, in map units
 * @property {number | null} unconfirmed own steps that the server has not confirmed
 */

{
  const KEY = "KeyN";
  /** @type {[id: string, label: string, title: string][]} */
  const ROWS = [
    ["dialect", "Dialect", "how the page and the server talk"],
    ["rtt", "Round trip", "median of the last pings"],
    ["jitter", "Jitter", "how late the latest 5 % of the messages are"],
    ["delay", "Delay", "how far the other players are drawn behind the server"],
    ["bytes", "Received", "before compression"],
    ["compression", "Compression", "a page cannot see by how much"],
    ["skipped", "Ticks skipped", "ticks without a message"],
    ["error", "Prediction error", "map units between the predicted and the real place"],
    ["unconfirmed", "Steps ahead", "own steps that the server has not confirmed yet"],
  ];

  /**
   * The rate of a number that only grows, over the last `overMs`.
   * @param {number} overMs
   */
  Skirmish.createRate = function (overMs) {
    /** @type {{ at: number, total: number }[]} */
    let samples = [];

    /** @param {number} now */
    function forget(now) {
      while (samples.length > 1 && samples[1].at < now - overMs) samples.shift();
    }

    return {
      /**
       * @param {number} now
       * @param {number} total
       */
      add(now, total) {
        samples.push({ at: now, total });
        forget(now);
      },
      /** @param {number} now */
      perSecond(now) {
        forget(now);
        if (samples.length < 2) return 0;
        const { at, total } = samples[0];
        return (samples[samples.length - 1].total - total) * 1000 / Math.max(1, now - at);
      },
    };
  };

  /**
   * Numbers in words, by the id of the row.
   * @param {NetworkNumbers | null} numbers
   * @param {number | null} rttMs
   * @returns {Record<string, string>}
   */
  Skirmish.networkWords = function (numbers, rttMs) {
    if (numbers === null) return {};
    const { dialect, jitterMs, delayMs, bytesPerSecond, isCompressed, skipped } = numbers;
    const { error, unconfirmed } = numbers;
    /** @param {number | null} ms */
    const millis = (ms) => (ms === null ? "–" : `${Math.round(ms)} ms`);
    /** @param {number | null} number */
    const plain = (number) => (number === null ? "–" : String(Math.round(number * 10) / 10));
    return {
      dialect,
      rtt: millis(rttMs),
      jitter: millis(jitterMs),
      delay: millis(delayMs),
      bytes: bytesPerSecond < 1000 ? `${Math.round(bytesPerSecond)} B/s`
        : `${(bytesPerSecond / 1000).toFixed(1)} kB/s`,
      compression: isCompressed ? "on" : "off",
      skipped: String(skipped),
      error: plain(error),
      unconfirmed: plain(unconfirmed),
    };
  };

  /**
   * Adds the panel to the page, hidden unless the address asks for it.
   * @param {{ numbers: () => NetworkNumbers | null, rttMs: () => number | null }} options
   */
  Skirmish.createNetPanel = function ({ numbers, rttMs }) {
    const panel = document.createElement("section");
    panel.id = "net";
    panel.ariaLabel = "Network";
    const table = document.createElement("table");
    for (const [id, label, title] of ROWS) {
      const row = table.insertRow();
      row.title = title;
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = label;
      row.append(head);
      const value = row.insertCell();
      value.id = `net-${id}`;
      value.textContent = "–";
    }
    panel.append(table);
    panel.hidden = new URL(location.href).searchParams.get("net") !== "1";
    Skirmish.element("board").append(panel);

    function show() {
      if (panel.hidden) return;
      const words = Skirmish.networkWords(numbers(), rttMs());
      for (const [id] of ROWS) Skirmish.putText(`net-${id}`, words[id] ?? "–");
    }

    addEventListener("keydown", (event) => {
      if (event.code !== KEY || event.repeat || event.isComposing) return;
      if (event.ctrlKey || event.altKey || event.metaKey || Skirmish.isWriting(event.target)) return;
      panel.hidden = !panel.hidden;
      show();
    });
    return { show };
  };
}
