// The messages of the binary dialect skirmish.v1 (docs/skirmish-v1.md) without bodies: WELCOME,
// and what a client sends.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} V1Field
 * @property {string} name
 * @property {"u8" | "u16" | "i32" | "u32"} width
 * @property {boolean} [owner]
 * @property {string[]} [words]
 */

/**
 * @typedef {object} V1Event
 * @property {string} name
 * @property {{ name: string, kind: "player" | "number" | "word", words?: string[] }[]} arguments
 */

/**
 * @typedef {object} V1Welcome
 * @property {string} id
 * @property {number} slot
 * @property {number} gen
 * @property {string} [token] only in the first one of a connection
 * @property {number} [resume_s]
 * @property {string} room
 * @property {string} rules
 * @property {Record<string, number>} numbers
 * @property {[number, number, number, number]} map left, top, right, bottom
 * @property {[number, number, number, number]} walls
 * @property {number} cell the side of a cell
 * @property {number} columns
 * @property {[number, number]} view
 * @property {number} tick_ms
 * @property {number} step
 * @property {V1Field[]} fields
 * @property {{ name: string, arguments: string[] }[]} commands
 * @property {V1Event[]} events
 * @property {Record<string, number>} room_fields
 */

{
  const SUBPROTOCOL = "skirmish.v1";
  // Public fields, and owner-only fields.
  const FIELDS_MAX = 16;
  const ARGUMENTS_MAX = 4;
  const ARGUMENTS = ["player", "number", "word"];

  /** @param {any} event */
  function isEvent(event) {
    /** @type {any[]} */
    const declared = Array.isArray(event?.arguments) ? event.arguments : [null];
    return declared.length <= ARGUMENTS_MAX &&
      declared.every((argument) => ARGUMENTS.includes(argument?.kind));
  }

  /**
   * Reads the JSON of WELCOME. Returns null if it is incomplete.
   * @param {string} text
   * @returns {V1Welcome | null}
   */
  function parseWelcome(text) {
    let welcome;
    try {
      welcome = JSON.parse(text);
    } catch {
      return null;
    }
    const { walls, cell, columns, step, fields, events } = welcome ?? {};
    const isComplete = Array.isArray(walls) && walls.length === 4 && cell > 0 && columns > 0 &&
      step >= 0 && Array.isArray(fields) &&
      fields.every((field) => ["u8", "u16", "i32", "u32"].includes(field?.width)) &&
      fields.filter(({ owner }) => owner === true).length <= FIELDS_MAX &&
      fields.filter(({ owner }) => owner !== true).length <= FIELDS_MAX &&
      Array.isArray(events) && events.every(isEvent);
    return isComplete ? welcome : null;
  }

  // Messages of a client. Each one is overwritten by the next, as a WebSocket copies what it sends.
  const sent = new DataView(new ArrayBuffer(2 + 3 * 64));
  const INPUT = 0x10, RESYNC = 0x11, WHO = 0x12, RATE = 0x13, COMMAND = 0x14;

  /** @param {number} length */
  function message(length) {
    return new Uint8Array(sent.buffer, 0, length);
  }

  /**
   * The keys as they are held.
   * @param {object} input
   * @param {number} input.direction 0 none, 1 up, 2 down, 3 left, 4 right
   * @param {number} input.presses attack presses so far
   * @param {number} input.seq the number of the client's own step from which they are held
   * @param {number} input.ack the newest tick
   * @param {number} input.viewAge how far the drawn world is behind that tick, in ticks
   * @param {number} input.holdMs the time since that tick was received
   */
  function encodeInput({ direction, presses, seq, ack, viewAge, holdMs }) {
    sent.setUint8(0, INPUT);
    sent.setUint8(1, direction | ((presses & 31) << 3));
    sent.setUint16(2, seq & 0xffff, true);
    sent.setUint16(4, ack & 0xffff, true);
    sent.setUint8(6, Math.max(0, Math.min(255, Math.round(viewAge * 8))));
    sent.setUint8(7, Math.max(0, Math.min(255, Math.round(holdMs / 4))));
    return message(8);
  }

  function encodeResync() {
    sent.setUint8(0, RESYNC);
    return message(1);
  }

  /**
   * Asks for the players of bodies: slots and generations, at most 64 of each.
   * @param {ArrayLike<number>} ids
   * @param {ArrayLike<number>} generations
   */
  function encodeWho(ids, generations) {
    const count = Math.min(64, ids.length);
    sent.setUint8(0, WHO);
    sent.setUint8(1, count);
    for (let index = 0; index < count; index++) {
      sent.setUint16(2 + 3 * index, ids[index], true);
      sent.setUint8(4 + 3 * index, generations[index]);
    }
    return message(2 + 3 * count);
  }

  /** @param {number} hz ticks a second, 1 to 20 */
  function encodeRate(hz) {
    sent.setUint8(0, RATE);
    sent.setUint8(1, hz);
    return message(2);
  }

  /**
   * A command of the game.
   * @param {number} number its index in WELCOME
   * @param {ArrayLike<number>} values at most 4
   */
  function encodeCommand(number, values) {
    sent.setUint8(0, COMMAND);
    sent.setUint8(1, number);
    for (let index = 0; index < values.length; index++) {
      sent.setInt32(2 + 4 * index, values[index], true);
    }
    return message(2 + 4 * values.length);
  }

  Skirmish.v1 = {
    SUBPROTOCOL, FIELDS_MAX, parseWelcome,
    encodeInput, encodeResync, encodeWho, encodeRate, encodeCommand,
  };
}
