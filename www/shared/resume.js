// The token with which a page that was cut off has its player again (docs/protocol.md, "Resume").
// It is kept in memory only: a page that was closed has left. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a welcome of the server says about a resume; every field may be missing or wrong.
 * @typedef {{ token?: unknown, resume_s?: unknown }} ResumeTerms
 */

Skirmish.createResume = function () {
  /** @type {string | null} */
  let token = null;
  let validMs = 0;
  let lostAt = Infinity;

  function forget() {
    token = null;
  }

  return {
    /**
     * The server let a player in. Its token replaces the one before, which works once.
     * @param {ResumeTerms} terms
     */
    take({ token: given, resume_s: seconds }) {
      const isValid = typeof given === "string" && given !== "" && Number(seconds) > 0;
      token = isValid ? given : null;
      validMs = Number(seconds) * 1000;
      lostAt = Infinity;
    },
    /**
     * The connection was lost, or an attempt to restore it has failed.
     * @param {number} now
     */
    lost: (now) => void (lostAt = Math.min(lostAt, now)),
    forget,
    /**
     * The token, while the server still keeps the player.
     * @param {number} now
     */
    token(now) {
      if (now - lostAt >= validMs) forget();
      return token;
    },
  };
};
