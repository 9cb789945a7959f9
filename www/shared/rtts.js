// The round-trip time, from the last few pings.
"use strict";
var Skirmish = Skirmish || {};
{
  const RTTS_MAX = 5;

  Skirmish.createRtts = function () {
    /** @type {number[]} */
    let rtts = [];

    /** @param {number} ms */
    function add(ms) {
      rtts.push(ms);
      if (rtts.length > RTTS_MAX) rtts.shift();
    }

    /**
     * The median, or null before the first ping. Of two it is the lower: a busy page makes a ping
     * longer, never shorter.
     */
    function median() {
      if (rtts.length === 0) return null;
      return Array.from(rtts).sort((a, b) => a - b)[(rtts.length - 1) >> 1];
    }

    const clear = () => void (rtts = []);
    return { add, median, clear };
  };
}
