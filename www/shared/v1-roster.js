// The players of the bodies in skirmish.v1: their numbers, names and colours, asked for by WHO. Time is
// an argument.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {{ id: string, name: string, color: string }} V1Player `id` is the player's number */

{
  const SLOTS = 65535;
  const BATCH = 64;
  // The server answers four times a second. One of these asks for the own body, as a ping.
  const ASK_EVERY_MS = 350;
  // An unanswered question is asked again.
  const AGAIN_MS = 2000;

  /** @param {(message: Uint8Array) => void} send */
  Skirmish.createV1Roster = function (send) {
    /**
     * By slot.
     * @type {(V1Player & { generation: number } | undefined)[]}
     */
    const players = new Array(SLOTS);
    const asked = new Float64Array(SLOTS).fill(-Infinity);
    const slots = new Uint16Array(BATCH);
    const generations = new Uint8Array(BATCH);
    let askedAt = -Infinity;

    /**
     * The player of a body; null while it is unknown.
     * @param {number} slot
     * @param {number} generation
     * @returns {V1Player | null}
     */
    function get(slot, generation) {
      const player = players[slot];
      return player !== undefined && player.generation === generation ? player : null;
    }

    /**
     * An entry of a ROSTER.
     * @param {number} slot
     * @param {number} generation
     * @param {number} number
     * @param {number} rgb
     * @param {string} name
     */
    function take(slot, generation, number, rgb, name) {
      const color = `#${rgb.toString(16).padStart(6, "0")}`;
      players[slot] = { generation, id: String(number), name, color };
      asked[slot] = -Infinity;
    }

    /**
     * Asks for the players of bodies in lists that are unknown.
     * @param {Map<number, V1List>} cells
     * @param {number} now
     */
    function ask(cells, now) {
      if (now - askedAt < ASK_EVERY_MS) return;
      let count = 0;
      for (const list of cells.values()) {
        for (let index = 0; index < list.count && count < BATCH; index++) {
          const slot = list.id[index];
          const generation = list.generation[index];
          if (players[slot]?.generation === generation || now - asked[slot] < AGAIN_MS) continue;
          asked[slot] = now;
          slots[count] = slot;
          generations[count] = generation;
          count++;
        }
      }
      if (count === 0) return;
      askedAt = now;
      send(Skirmish.v1.encodeWho(slots.subarray(0, count), generations.subarray(0, count)));
    }

    return { get, take, ask };
  };
}
