// Sentences about the board and the players on it.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A player in map units.
 * @typedef {object} Player
 * @property {string} id
 * @property {string} name
 * @property {string} color #rrggbb, unless the server sent something else
 * @property {number} x
 * @property {number} y
 */

/** @typedef {{ x: number, y: number }} Place */

{
  // Clockwise, since y grows downward.
  const DIRECTIONS = [
    "to the right", "to the lower right", "below", "to the lower left",
    "to the left", "to the upper left", "above", "to the upper right",
  ];

  Skirmish.words = {
    /** @param {{ id: string, name: string }} player */
    nameOf: (player) => player.name || `Player ${player.id}`,

    /** @param {number} players */
    count: (players) => `${players} player${players === 1 ? "" : "s"}`,

    /** @param {number | null} ms */
    ping: (ms) => (ms === null ? "–" : ms < 1 ? "<1 ms" : `${Math.round(ms)} ms`),

    /**
     * The board for screen readers.
     * @param {Player[]} players the candidates for the nearest one
     * @param {string | null} me the own id
     * @param {number} [count] how many players there are
     */
    board(players, me, count = players.length) {
      const own = players.find((player) => player.id === me);
      const sentences = [`The board. Players here: ${count}.`];
      if (own === undefined) return sentences[0];
      sentences.push(`You are ${own.x} from the left and ${own.y} from the top.`);
      /** @param {Player} player */
      const distance = (player) => Math.hypot(player.x - own.x, player.y - own.y);
      const others = players.filter((player) => player !== own);
      if (others.length === 0) return sentences.join(" ");
      const nearest = others.reduce((best, one) => (distance(one) < distance(best) ? one : best));
      sentences.push(`The nearest is ${Skirmish.words.nameOf(nearest)}, ${where(own, nearest)}.`);
      return sentences.join(" ");
    },

    /**
     * @param {string[]} joined names
     * @param {string[]} left names
     */
    people(joined, left) {
      /**
       * @param {string[]} names
       * @param {string} action
       */
      const sentences = (names, action) => {
        if (names.length === 0) return [];
        if (names.length <= 2) return [`${names.join(" and ")} ${action}.`];
        return [`${names.length} players ${action}.`];
      };
      return [...sentences(joined, "joined"), ...sentences(left, "left")].join(" ");
    },
  };

  /**
   * @param {Place} from
   * @param {Place} to
   */
  function where(from, to) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const distance = Math.round(Math.hypot(dx, dy));
    if (distance === 0) return "at the same place";
    const eighth = Math.round(Math.atan2(dy, dx) / (Math.PI / 4));
    return `${distance} away, ${DIRECTIONS[(eighth + 8) % 8]}`;
  }
}
