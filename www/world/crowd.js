// The bodies of a frame of the world, as typed arrays: what the view draws, whatever the dialect.
// They are reused from frame to frame.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Only the first `count` of each array are used.
 * @typedef {object} Crowd
 * @property {number} count
 * @property {Float32Array} x
 * @property {Float32Array} y
 * @property {Uint16Array} key a number that stays with the player while it is seen
 * @property {Uint8Array} look where it looks, as an index of `Skirmish.FACINGS`, or DEAD
 * @property {Uint16Array} hp
 * @property {string[]} color
 * @property {number} own the index of the own body, or -1
 * @property {Int32Array} at the index of each key, for `indexOf`
 */

/** @typedef {Fighter & { key: number }} WorldFighter */

/**
 * Where the bodies come from.
 * @typedef {object} CrowdSource
 * @property {Crowd} crowd
 * @property {(now: number) => void} sample computes the bodies of a frame
 * @property {(index: number) => string | null} nameAt null while it is unknown
 * @property {() => WorldFighter[]} players those that are known
 * @property {() => WorldFighter | undefined} own
 */

{
  const KEYS = 0x10000;

  /** @type {Direction[]} */
  Skirmish.FACINGS = ["UP", "DOWN", "LEFT", "RIGHT"];
  /** The look of a dead body. */
  Skirmish.DEAD_LOOK = 4;

  /** @returns {Crowd} */
  Skirmish.createCrowd = function () {
    return {
      count: 0, own: -1, at: new Int32Array(KEYS), color: [],
      x: new Float32Array(0), y: new Float32Array(0), key: new Uint16Array(0),
      look: new Uint8Array(0), hp: new Uint16Array(0),
    };
  };

  /**
   * Makes room for some bodies in an empty crowd.
   * @param {Crowd} crowd
   * @param {number} count
   */
  Skirmish.reserveCrowd = function (crowd, count) {
    if (crowd.x.length >= count) return;
    const size = Math.max(256, 2 * count);
    Object.assign(crowd, {
      x: new Float32Array(size), y: new Float32Array(size), key: new Uint16Array(size),
      look: new Uint8Array(size), hp: new Uint16Array(size), color: new Array(size).fill(""),
    });
  };

  /**
   * The index of a body in this frame, or -1.
   * @param {Crowd} crowd
   * @param {number} key
   */
  Skirmish.indexInCrowd = function (crowd, key) {
    const index = crowd.at[key];
    return index < crowd.count && crowd.key[index] === key ? index : -1;
  };
}
