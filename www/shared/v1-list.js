// The bodies of a cell in the dialect skirmish.v1, as typed arrays (docs/skirmish-v1.md).
"use strict";
var Skirmish = Skirmish || {};

/**
 * The bodies of a cell in the order of their slots; only the first `count` of each array are used.
 * @typedef {object} V1List
 * @property {number} count
 * @property {number} tick the tick of this state
 * @property {Uint16Array} id slots
 * @property {Uint8Array} generation tells apart the bodies that have had the same slot
 * @property {Uint16Array} x
 * @property {Uint16Array} y
 * @property {Uint8Array} state bits 0 to 2: course; 8 attacking, 16 dead, 32 teleported
 * @property {Int32Array} values a row of the public fields for each body; a u32 is `value >>> 0`
 */

{
  const ATTACKING = 8;
  const TELEPORTED = 32;
  // Without the flags that hold for one tick.
  const LASTING = ~(ATTACKING | TELEPORTED);

  /** @returns {V1List} */
  function createList() {
    return {
      count: 0, tick: 0, id: new Uint16Array(0), generation: new Uint8Array(0),
      x: new Uint16Array(0), y: new Uint16Array(0), state: new Uint8Array(0),
      values: new Int32Array(0),
    };
  }

  /**
   * Makes room for some bodies in an empty list.
   * @param {V1List} list
   * @param {number} capacity
   * @param {number} fields
   */
  function reserve(list, capacity, fields) {
    if (list.id.length >= capacity) return;
    const size = Math.max(16, capacity, 2 * list.id.length);
    list.id = new Uint16Array(size);
    list.generation = new Uint8Array(size);
    list.x = new Uint16Array(size);
    list.y = new Uint16Array(size);
    list.state = new Uint8Array(size);
    list.values = new Int32Array(size * fields);
  }

  /**
   * The part of CHECK for a list: the sum of the FNV-1a hashes of its FULL records.
   * @param {V1List} list
   * @param {number[]} widths of the public fields, in bytes
   */
  function sumOf(list, widths) {
    let total = 0;
    for (let index = 0; index < list.count; index++) {
      let hash = hashU16(0x811c9dc5, list.id[index]);
      hash = hashU8(hash, list.generation[index]);
      hash = hashU16(hash, list.x[index]);
      hash = hashU16(hash, list.y[index]);
      hash = hashU8(hash, list.state[index] & LASTING);
      for (let field = 0; field < widths.length; field++) {
        const value = list.values[index * widths.length + field];
        for (let byte = 0; byte < widths[field]; byte++) {
          hash = hashU8(hash, (value >> (8 * byte)) & 0xff);
        }
      }
      total = (total + hash) | 0;
    }
    return total;
  }

  /**
   * @param {number} hash FNV-1a of what came before
   * @param {number} byte
   */
  function hashU8(hash, byte) {
    return Math.imul(hash ^ byte, 0x01000193);
  }

  /**
   * @param {number} hash
   * @param {number} value
   */
  function hashU16(hash, value) {
    return hashU8(hashU8(hash, value & 0xff), value >> 8);
  }

  Skirmish.v1List = { LASTING, createList, reserve, sumOf };
}
