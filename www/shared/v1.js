// The binary dialect skirmish.v1 (docs/skirmish-v1.md): decodes the messages of the server and keeps
// the present state of the bodies. It needs no page and no socket, and allocates nothing for each
// body of a tick. It comes after v1-messages.js, v1-step.js and v1-list.js.
"use strict";
var Skirmish = Skirmish || {};

/**
 * The newest tick, as far as it is about the client itself.
 * @typedef {object} V1Head
 * @property {number} flags 1 dead, 2 rate lowered, 4 acknowledge this tick, 8 crowded
 * @property {number} tick
 * @property {number} age ticks since the one before; 0 for a keyframe
 * @property {number} applied the newest step of this client that the server has run
 * @property {number} lead the newest step that the server has received, minus `applied`
 * @property {number} x
 * @property {number} y
 * @property {Int32Array} values the owner-only fields; a u32 is `value >>> 0`
 */

/**
 * What is called while a message is read. An exception ends the message.
 * @typedef {object} V1Events
 * @property {(message: Uint8Array) => void} send sends a message, or copies it: it is overwritten
 * @property {(welcome: V1Welcome) => void} [welcome]
 * @property {(kind: number, values: Int32Array) => void} [event] the arguments in their order; a
 *   player is a slot, or 65,535 for none. The array is overwritten by the next event
 * @property {(id: number, generation: number, player: number, color: number, name: string) => void
 *   } [roster] called for each body of a ROSTER
 */

{
  const { LASTING, createList, reserve, sumOf } = Skirmish.v1List;
  const BASE_AGE_MAX = 32;
  // A RESYNC is answered at most once a second.
  const RESYNC_TICKS = 20;
  const NO_SLOT = 0xffff;
  const DEAD = 16;
  const COURSE = 7;
  // Kinds of parts.
  const HEAD = 0xa1, WELCOME = 0xb0, DELTA = 0xc0, FULL = 0xc1, FORGET = 0xc2;
  const ROSTER = 0xd0, EVENT = 0xe0, CHECK = 0xf0;
  // The type of an EVENT, and its arguments; the game's own events have types from OWN on.
  const RESPAWNED = 3, OWN = 16;
  /** @type {["player"]} */
  const ONE_PLAYER = ["player"];
  // Motions of a record; 1 to 4 are courses.
  const ENDS = 5, JUMP = 6, LEFT = 7;

  /**
   * What a client knows of the bodies that it sees.
   * @param {V1Events} events
   */
  Skirmish.createV1Replica = function (events) {
    /** @type {Map<number, V1List>} */
    const cells = new Map();
    /** @type {V1Head} */
    const head = { flags: 0, tick: 0, age: 0, applied: 0, lead: 0, x: 0, y: 0,
      values: new Int32Array(Skirmish.v1.FIELDS_MAX) };
    // Whether `head` and `cells` are the state of a tick.
    let hasBase = false;
    let ticksToResync = 0;
    let hasCheck = false, checkTick = 0, checkSum = 0;
    /** @type {V1List[]} */
    const unused = [];
    let spare = createList();

    // From WELCOME. Widths are in bytes.
    let terms = "";
    const walker = Skirmish.createV1Walker();
    let side = 1, columns = 1;
    /** @type {number[]} */
    let widths = [];
    /** @type {number[]} */
    let ownerWidths = [];
    let fullBytes = 8, maskBytes = 1;
    /** @type {("player" | "number" | "word")[][]} */
    let eventKinds = [];
    const eventValues = new Int32Array(4);

    // The message that is being decoded.
    let view = new DataView(new ArrayBuffer(0));
    let at = 0;
    // The record that was read last, and a place that was computed.
    let skipped = 0, motion = 0, ago = 0, jumpX = 0, jumpY = 0, newState = -1, mask = 0, valuesAt = 0;

    /**
     * Applies a message of the server. A malformed one, another base or a wrong sum makes the
     * client ask for a keyframe.
     * @param {ArrayBuffer} message
     */
    function receive(message) {
      view = new DataView(message);
      at = 0;
      try {
        if (message.byteLength > 0 && view.getUint8(0) === WELCOME) return readWelcome(message);
        if (terms === "") return;
        if (readParts()) return;
      } catch (error) {
        // A DataView throws it at the end of the message.
        if (!(error instanceof RangeError)) throw error;
      }
      hasBase = false;
      if (terms !== "" && ticksToResync-- <= 0) {
        ticksToResync = RESYNC_TICKS;
        events.send(Skirmish.v1.encodeResync());
      }
    }

    /** Returns whether the client has the right base and the right sum. */
    function readParts() {
      let hasHead = false, hasCell = false, cellsLeft = 0;
      while (at < view.byteLength || cellsLeft > 0) {
        const kind = view.getUint8(at++);
        if (kind === DELTA || kind === FULL || kind === FORGET) {
          if (cellsLeft === 0 || (head.age === 0 && kind !== FULL)) malformed();
          cellsLeft--;
          hasCell = true;
          readCell(kind);
        } else if (hasCell) {
          malformed();
        } else if (kind === HEAD) {
          if (hasHead) malformed();
          hasHead = true;
          cellsLeft = readHead();
          if (cellsLeft < 0) return false;
        } else if (kind === EVENT) {
          readEvent();
        } else if (kind === ROSTER) {
          readRoster();
        } else if (kind === CHECK) {
          hasCheck = true;
          checkTick = view.getUint32(at, true);
          checkSum = view.getUint32(at + 4, true);
          at += 8;
        } else {
          malformed();
        }
      }
      if (!hasBase) return true;
      for (const [cell, list] of cells) {
        if (list.tick !== head.tick) advance(list, cell, head.age);
      }
      if (!hasCheck || ((checkTick - head.tick) | 0) > 0) return true;
      hasCheck = false;
      return checkTick !== head.tick || checkSum === sum();
    }

    /** Returns the number of cells; -1 if the client has another base. */
    function readHead() {
      const flags = view.getUint8(at);
      const tick = view.getUint32(at + 1, true);
      const age = view.getUint8(at + 5);
      const count = view.getUint8(at + 6);
      if (flags > 15 || age > BASE_AGE_MAX) malformed();
      if (age > 0 && (!hasBase || ((tick - age) >>> 0) !== head.tick)) return -1;
      if (age === 0) {
        for (const list of cells.values()) unused.push(list);
        cells.clear();
        ticksToResync = 0;
      }
      head.applied = view.getUint16(at + 7, true);
      head.lead = view.getInt8(at + 9);
      head.x = view.getUint16(at + 10, true);
      head.y = view.getUint16(at + 12, true);
      at += 14;
      for (let field = 0; field < ownerWidths.length; field++) {
        head.values[field] = readValue(ownerWidths[field]);
      }
      head.flags = flags;
      head.tick = tick;
      head.age = age;
      hasBase = true;
      return count;
    }

    /** @param {number} kind */
    function readCell(kind) {
      const cell = view.getUint16(at, true);
      const age = view.getUint8(at + 2);
      const count = view.getUint16(at + 3, true);
      at += 5;
      const list = cells.get(cell);
      if (list !== undefined && list.tick === head.tick) malformed();
      if (kind === DELTA) {
        if (age === 0 || age > head.age || list === undefined) return malformed();
        applyDelta(list, cell, age, count);
        cells.set(cell, spare);
        spare = list;
      } else if (kind === FULL) {
        if (age !== 0) malformed();
        const replaced = list ?? unused.pop() ?? createList();
        readFull(replaced, cell, count);
        cells.set(cell, replaced);
      } else {
        if (age !== 0 || count !== 0) malformed();
        if (list !== undefined) unused.push(list);
        cells.delete(cell);
      }
    }

    /**
     * @param {V1List} list
     * @param {number} cell
     * @param {number} count
     */
    function readFull(list, cell, count) {
      // Before arrays of that size are made.
      if (at + count * fullBytes > view.byteLength) malformed();
      clear(list, count);
      for (let index = 0; index < count; index++) addFull(list, cell);
    }

    /**
     * Writes the list of this tick into `spare`.
     * @param {V1List} list
     * @param {number} cell
     * @param {number} age of the cell's base
     * @param {number} count
     */
    function applyDelta(list, cell, age, count) {
      const ticks = head.age;
      let recordAt = at;
      for (let index = 0; index < count; index++) readRecord(age);
      let entrants = view.getUint8(at);
      let entrantAt = at + 1;
      const end = entrantAt + entrants * fullBytes;
      if (end > view.byteLength) malformed();
      clear(spare, list.count + entrants);
      let records = count;
      if (records > 0) recordAt = nextRecord(recordAt, age);
      let toSkip = records > 0 ? skipped : -1;
      for (let index = 0; index < list.count; index++) {
        const state = list.state[index] & LASTING;
        const course = state & COURSE;
        walker.walk(list.x[index], list.y[index], course, ticks - 1);
        if (!isIn(cell, walker.x, walker.y)) continue;
        while (entrants > 0 && view.getUint16(entrantAt, true) < list.id[index]) {
          at = entrantAt;
          addFull(spare, cell);
          entrantAt = at;
          entrants--;
        }
        if (toSkip !== 0) {
          toSkip--;
          walker.walk(list.x[index], list.y[index], course, ticks);
          if (isIn(cell, walker.x, walker.y)) copy(list, index, state);
          continue;
        }
        if (motion !== LEFT) {
          const moved = move(list, index, state, ticks);
          if (isIn(cell, walker.x, walker.y)) {
            copy(list, index, moved);
            readMasked((spare.count - 1) * widths.length);
          }
        }
        records--;
        if (records > 0) recordAt = nextRecord(recordAt, age);
        toSkip = records > 0 ? skipped : -1;
      }
      if (records > 0) malformed();
      at = entrantAt;
      for (; entrants > 0; entrants--) addFull(spare, cell);
      spare.tick = head.tick;
      at = end;
    }

    /**
     * Reads the record at an offset. Returns the offset of the next one.
     * @param {number} offset
     * @param {number} age
     */
    function nextRecord(offset, age) {
      at = offset;
      readRecord(age);
      return at;
    }

    /** @param {number} age */
    function readRecord(age) {
      const first = view.getUint8(at++);
      motion = first & 7;
      skipped = first >> 4;
      if (skipped === 15) skipped += view.getUint8(at++);
      ago = 0;
      if (motion === JUMP) {
        jumpX = view.getUint16(at, true);
        jumpY = view.getUint16(at + 2, true);
        at += 4;
      } else if (motion !== 0 && motion !== LEFT && age > 1) {
        ago = view.getUint8(at++);
        if (ago >= age) malformed();
      }
      newState = -1;
      mask = 0;
      if ((first & 8) === 0) return;
      for (let byte = 0; byte < maskBytes; byte++) mask |= view.getUint8(at++) << (8 * byte);
      if (mask === 0 || mask >> (widths.length + 1) !== 0 || motion === LEFT) malformed();
      if ((mask & 1) !== 0) newState = readState();
      valuesAt = at;
      for (let field = 0; field < widths.length; field++) {
        if ((mask & (2 << field)) !== 0) at += widths[field];
      }
      if (at > view.byteLength) malformed();
    }

    /**
     * Writes the fields of the record into a row of `spare`.
     * @param {number} row
     */
    function readMasked(row) {
      if (mask < 2) return;
      const next = at;
      at = valuesAt;
      for (let field = 0; field < widths.length; field++) {
        if ((mask & (2 << field)) !== 0) spare.values[row + field] = readValue(widths[field]);
      }
      at = next;
    }

    /**
     * Moves a body as the record says. Returns its state; its place is `walker.x` and `walker.y`.
     * @param {V1List} list
     * @param {number} index
     * @param {number} state
     * @param {number} ticks
     */
    function move(list, index, state, ticks) {
      const course = state & COURSE;
      if (motion === 0) {
        walker.walk(list.x[index], list.y[index], course, ticks);
      } else if (motion === JUMP) {
        walker.x = jumpX;
        walker.y = jumpY;
      } else {
        const turned = motion === ENDS ? 0 : motion;
        if ((state & DEAD) !== 0 && turned !== 0) malformed();
        walker.walk(list.x[index], list.y[index], course, ticks - 1 - ago);
        walker.walk(walker.x, walker.y, turned, ago + 1);
        state = (state & ~COURSE) | turned;
      }
      return newState >= 0 ? newState : state;
    }

    /**
     * Adds a body of `list` to `spare`, at the computed place.
     * @param {V1List} list
     * @param {number} index
     * @param {number} state
     */
    function copy(list, index, state) {
      add(spare, list.id[index], list.generation[index], state);
      const fields = widths.length;
      const from = index * fields;
      const to = (spare.count - 1) * fields;
      for (let field = 0; field < fields; field++) {
        spare.values[to + field] = list.values[from + field];
      }
    }

    /**
     * Reads a FULL record into a list that has room for it.
     * @param {V1List} list
     * @param {number} cell
     */
    function addFull(list, cell) {
      const id = view.getUint16(at, true);
      const generation = view.getUint8(at + 2);
      walker.x = view.getUint16(at + 3, true);
      walker.y = view.getUint16(at + 5, true);
      at += 7;
      const state = readState();
      if (id === NO_SLOT || !isIn(cell, walker.x, walker.y)) malformed();
      add(list, id, generation, state);
      const row = (list.count - 1) * widths.length;
      for (let field = 0; field < widths.length; field++) {
        list.values[row + field] = readValue(widths[field]);
      }
    }

    /**
     * @param {V1List} list
     * @param {number} id
     * @param {number} generation
     * @param {number} state
     */
    function add(list, id, generation, state) {
      const index = list.count;
      if (index > 0 && list.id[index - 1] >= id) malformed();
      list.id[index] = id;
      list.generation[index] = generation;
      list.x[index] = walker.x;
      list.y[index] = walker.y;
      list.state[index] = state;
      list.count++;
    }

    /**
     * Some ticks without news.
     * @param {V1List} list
     * @param {number} cell
     * @param {number} ticks
     */
    function advance(list, cell, ticks) {
      const fields = widths.length;
      let kept = 0;
      for (let index = 0; index < list.count; index++) {
        const state = list.state[index] & LASTING;
        walker.walk(list.x[index], list.y[index], state & COURSE, ticks);
        if (!isIn(cell, walker.x, walker.y)) continue;
        list.x[kept] = walker.x;
        list.y[kept] = walker.y;
        list.state[kept] = state;
        if (kept < index) {
          list.id[kept] = list.id[index];
          list.generation[kept] = list.generation[index];
          list.values.copyWithin(kept * fields, index * fields, (index + 1) * fields);
        }
        kept++;
      }
      list.count = kept;
      list.tick = head.tick;
    }

    /**
     * @param {number} cell
     * @param {number} x
     * @param {number} y
     */
    function isIn(cell, x, y) {
      const column = Math.floor(x / side);
      return column < columns && Math.floor(y / side) * columns + column === cell;
    }

    /** @param {number} width */
    function readValue(width) {
      const from = at;
      at += width;
      if (width === 1) return view.getUint8(from);
      return width === 2 ? view.getUint16(from, true) : view.getInt32(from, true);
    }

    function readState() {
      const state = view.getUint8(at++);
      const course = state & COURSE;
      if (state > 63 || course > 4 || ((state & DEAD) !== 0 && course !== 0)) malformed();
      return state;
    }

    function readEvent() {
      const kind = view.getUint8(at++);
      const kinds = kind === RESPAWNED ? ONE_PLAYER : (eventKinds[kind - OWN] ?? malformed());
      const values = eventValues.subarray(0, kinds.length);
      for (let index = 0; index < kinds.length; index++) {
        const is = kinds[index];
        values[index] = is === "player" ? view.getUint16(at, true)
          : is === "word" ? view.getUint8(at) : view.getInt32(at, true);
        at += is === "player" ? 2 : is === "word" ? 1 : 4;
      }
      events.event?.(kind, values);
    }

    function readRoster() {
      const count = view.getUint16(at, true);
      at += 2;
      for (let index = 0; index < count; index++) {
        const color = view.getUint16(at + 7, true) | (view.getUint8(at + 9) << 16);
        const name = new Uint8Array(view.buffer, at + 11, view.getUint8(at + 10));
        events.roster?.(view.getUint16(at, true), view.getUint8(at + 2),
          view.getUint32(at + 3, true), color, new TextDecoder().decode(name));
        at += 11 + name.length;
      }
    }

    /** @param {ArrayBuffer} message */
    function readWelcome(message) {
      const text = new TextDecoder().decode(new Uint8Array(message, 1));
      const welcome = Skirmish.v1.parseWelcome(text) ?? malformed();
      const { walls, cell, columns: inRow, step: length, fields, events: kinds } = welcome;
      eventKinds = kinds.map((event) => event.arguments.map(({ kind }) => kind));
      const newTerms = JSON.stringify([walls, cell, inRow, length, fields]);
      if (newTerms !== terms) {
        hasBase = hasCheck = false;
        // Their rows have another length.
        unused.length = 0;
        cells.clear();
        spare = createList();
        terms = newTerms;
        walker.begin(walls, length);
        [side, columns] = [cell, inRow];
        const bytes = { u8: 1, u16: 2, i32: 4, u32: 4 };
        const isOwner = (/** @type {V1Field} */ field) => field.owner === true;
        widths = fields.filter((field) => !isOwner(field)).map(({ width }) => bytes[width]);
        ownerWidths = fields.filter(isOwner).map(({ width }) => bytes[width]);
        fullBytes = widths.reduce((total, width) => total + width, 8);
        maskBytes = Math.floor(widths.length / 8) + 1;
      }
      events.welcome?.(welcome);
    }

    /** The sum that CHECK compares. */
    function sum() {
      let total = 0;
      for (const list of cells.values()) total = (total + sumOf(list, widths)) | 0;
      return total >>> 0;
    }

    /**
     * Empties a list for this tick, and makes room for some bodies.
     * @param {V1List} list
     * @param {number} capacity
     */
    function clear(list, capacity) {
      list.count = 0;
      list.tick = head.tick;
      reserve(list, capacity, widths.length);
    }

    return { receive, cells, head, sum, hasBase: () => hasBase };
  };

  /** @returns {never} */
  function malformed() {
    throw new RangeError("a message of skirmish.v1 is malformed");
  }
}
