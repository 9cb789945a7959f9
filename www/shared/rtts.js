// The round-trip time, from the last few pings.
"use strict";
var Skirmish = Skirmish || {};
{
  const RTTS_MAX = 5;

  Skirmish.createRtts = function () {
    /** @type {number[]} */
    let rtts = [];
    /** @type {number | null} */
    let median = null;

    /** @param {number} ms */
    function add(ms) {
      rtts.push(ms);
      if (rtts.length > RTTS_MAX) rtts.shift();
      // Of two it is the lower: a busy page makes a ping longer, never shorter.
      median = Array.from(rtts).sort((a, b) => a - b)[(rtts.length - 1) >> 1];
    }

    function clear() {
      rtts = [];
      median = null;
    }

    return {
      add,
      clear,
      /** The median, or null before the first ping. */
      median: () => median,
      /** The least; a busy page has no part in it. */
      least: () => (rtts.length === 0 ? null : Math.min(...rtts)),
    };
  };
}
