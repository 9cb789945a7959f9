// The way there and back, measured again and again. Shared by every game page. Pure.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // The ping shown is the middle one of so many.
  const RTTS_MAX = 5;

  Skirmish.createRtts = function () {
    let rtts = [];

    function add(ms) {
      rtts.push(ms);
      if (rtts.length > RTTS_MAX) rtts.shift();
    }

    // The middle one, and of two the lower: a busy page makes a ping longer, never shorter. Null
    // as long as there is none.
    function middle() {
      if (rtts.length === 0) return null;
      return Array.from(rtts).sort((a, b) => a - b)[(rtts.length - 1) >> 1];
    }

    return { add, middle, clear: () => (rtts = []) };
  };
})();
