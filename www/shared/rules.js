// The numbers of the rules of a room. The server sends them when a player joins (docs/protocol.md,
// "Rules as data"), so that no page repeats them.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

/**
 * Lengths are in map units.
 * @typedef {object} Rules
 * @property {string} name
 * @property {Box} map the area to draw
 * @property {Box} walls the limits of all moves
 * @property {number} step the length of a move
 * @property {number} tickMs the time from one tick to the next
 * @property {number} movesSaved moves that a player may save and use in a burst
 * @property {Record<string, number>} numbers those of this game
 */

/**
 * Reads the rules as the server sends them. Returns null if they are missing or incomplete.
 * @param {any} data
 * @param {string[]} needed names of the numbers that the page uses
 * @returns {Rules | null}
 */
Skirmish.readRules = function (data, needed) {
  if (data === null || typeof data !== "object" || typeof data.name !== "string") return null;
  const { name, map, walls, step, tick_ms: tickMs, ...others } = data;
  /** @param {unknown} value */
  const isPositive = (value) => Number.isFinite(value) && Number(value) > 0;
  /** @param {any} sides */
  const isBox = (sides) => Array.isArray(sides) && sides.length === 4 &&
    sides.every(Number.isFinite) && sides[0] < sides[2] && sides[1] < sides[3];
  /** @param {number[]} sides */
  const boxOf = ([left, top, right, bottom]) => ({ left, top, right, bottom });
  const isComplete = isBox(map) && isBox(walls) && isPositive(step) && isPositive(tickMs) &&
    needed.every((key) => isPositive(others[key]));
  if (!isComplete) return null;
  const numbers = Object.fromEntries(
    Object.entries(others).filter(([, one]) => Number.isFinite(one)));
  // Old servers do not send it.
  const movesSaved = numbers.moves_saved ?? 4;
  return { name, map: boxOf(map), walls: boxOf(walls), step, tickMs, movesSaved, numbers };
};
