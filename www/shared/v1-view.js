// What is drawn of the bodies in skirmish.v1: their places between two ticks, or on their courses
// after the newest one. It keeps the last ticks as typed arrays and allocates nothing for a frame.
// Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * The bodies of a frame; only the first `count` of each array are used.
 * @typedef {object} V1Drawn
 * @property {number} count
 * @property {Uint32Array} row the row of the body in `values`; it stays while the body is seen
 * @property {Uint16Array} slot
 * @property {Uint8Array} generation
 * @property {Float32Array} x
 * @property {Float32Array} y
 * @property {Uint8Array} state as in V1List
 */

/**
 * The bodies after a tick, by row.
 * @typedef {object} V1Frame
 * @property {number} tick
 * @property {Uint16Array} x
 * @property {Uint16Array} y
 * @property {Uint8Array} state as in V1List, with PRESENT; 0 if the body is not there
 */

{
  const FRAMES = 40;
  const PRESENT = 64;
  const COURSE = 7;
  const TELEPORTED = 32;
  const { LASTING } = Skirmish.v1List;
  // A body between two cells is in no list. It is drawn on its course for this many ticks.
  const BETWEEN_CELLS_MAX = 8;
  // Between ticks that are further apart nothing is interpolated.
  const GAP_MAX = 20;

  /** @param {Pick<V1Welcome, "walls" | "step" | "tick_ms" | "cell" | "columns" | "fields">} welcome */
  Skirmish.createV1View = function (welcome) {
    const { cell: side, columns } = welcome;
    const fields = welcome.fields.filter(({ owner }) => owner !== true).length;
    const walker = Skirmish.createV1Walker();
    walker.begin(welcome.walls, welcome.step);
    const clock = Skirmish.createV1Clock(welcome.tick_ms);

    // Bodies have rows. A free row has no slot.
    const NO_SLOT = 0xffff;
    const rowOf = new Int32Array(NO_SLOT).fill(-1);
    let rows = 0;
    let capacity = 0;
    let free = new Int32Array(0);
    let freeCount = 0;
    let slots = new Uint16Array(0);
    let generations = new Uint8Array(0);
    // The ticks for which the body has been in no list.
    let missing = new Uint8Array(0);
    // The newest frame with the body.
    let seenAt = new Float64Array(0);

    /**
     * The last ticks, the newest at `last`.
     * @type {V1Frame[]}
     */
    const frames = Array.from({ length: FRAMES }, () => ({
      tick: 0,
      x: new Uint16Array(0), y: new Uint16Array(0), state: new Uint8Array(0),
    }));
    let last = -1;
    let kept = 0;
    // Whether a body walks, and the newest frame that differs from the one before.
    let isWalking = false;
    let changedAt = 0;

    /** @type {V1Drawn} */
    const drawn = {
      count: 0, row: new Uint32Array(0), slot: new Uint16Array(0), generation: new Uint8Array(0),
      x: new Float32Array(0), y: new Float32Array(0), state: new Uint8Array(0),
    };
    const view = {
      take, sample, skip, clock,
      /** A row of the public fields for each body, as in the newest tick. */
      values: new Int32Array(0),
      fields,
      drawn,
      /** Whether the next frame differs although nothing is received. */
      isMoving: () => clock.isBefore(changedAt) || (isWalking && clock.isRunning()),
    };

    /** @param {number} size */
    function grow(size) {
      capacity = size;
      /**
       * @template {Uint8Array | Uint16Array | Int32Array | Float64Array} A
       * @param {A} to
       * @param {A} from
       * @returns {A}
       */
      const copy = (to, from) => {
        to.set(from);
        return to;
      };
      free = copy(new Int32Array(size), free);
      slots = copy(new Uint16Array(size), slots);
      generations = copy(new Uint8Array(size), generations);
      missing = copy(new Uint8Array(size), missing);
      seenAt = copy(new Float64Array(size), seenAt);
      view.values = copy(new Int32Array(size * fields), view.values);
      for (const frame of frames) {
        frame.x = copy(new Uint16Array(size), frame.x);
        frame.y = copy(new Uint16Array(size), frame.y);
        frame.state = copy(new Uint8Array(size), frame.state);
      }
      Object.assign(drawn, {
        row: new Uint32Array(size), slot: new Uint16Array(size), generation: new Uint8Array(size),
        x: new Float32Array(size), y: new Float32Array(size), state: new Uint8Array(size),
      });
    }

    /**
     * @param {number} slot
     * @param {number} generation
     */
    function rowFor(slot, generation) {
      const known = rowOf[slot];
      if (known >= 0 && generations[known] === generation) return known;
      if (freeCount === 0 && rows === capacity) grow(Math.max(256, 2 * capacity));
      const row = freeCount > 0 ? free[--freeCount] : rows++;
      rowOf[slot] = row;
      slots[row] = slot;
      generations[row] = generation;
      for (const frame of frames) frame.state[row] = 0;
      return row;
    }

    /** @param {number} row */
    function release(row) {
      if (rowOf[slots[row]] === row) rowOf[slots[row]] = -1;
      slots[row] = NO_SLOT;
      free[freeCount++] = row;
    }

    /**
     * Takes the lists of a client after a tick.
     * @param {{ head: V1Head, cells: Map<number, V1List> }} replica
     * @param {number} now
     */
    function take({ head, cells }, now) {
      const tick = clock.receive(head.tick, now);
      const ticks = kept === 0 ? 0 : tick - frames[last].tick;
      if (ticks <= 0 || ticks > GAP_MAX) kept = 0;
      const before = kept > 0 ? frames[last] : null;
      const hasPassed = before !== null && ticks > 1;
      // Of the ticks between, one stands for all: see `fillPassed`.
      const passed = hasPassed ? nextFrame(tick - 1) : null;
      const frame = nextFrame(tick);
      for (const list of cells.values()) {
        for (let index = 0; index < list.count; index++) {
          const row = rowFor(list.id[index], list.generation[index]);
          frame.x[row] = list.x[index];
          frame.y[row] = list.y[index];
          frame.state[row] = list.state[index] | PRESENT;
          missing[row] = 0;
          for (let field = 0; field < fields; field++) {
            view.values[row * fields + field] = list.values[index * fields + field];
          }
        }
      }
      if (before !== null) leadOn(before, frame, ticks, cells);
      if (before !== null && passed !== null) fillPassed(before, passed, frame, ticks);
      isWalking = false;
      if (before === null) changedAt = tick;
      for (let row = 0; row < rows; row++) {
        if (slots[row] === NO_SLOT) continue;
        if (before !== null && differs(row, before, frame)) changedAt = tick;
        const state = frame.state[row];
        if (state !== 0) {
          seenAt[row] = tick;
          isWalking ||= walks(row, frame);
        } else if (seenAt[row] < frames[oldest()].tick) {
          release(row);
        }
      }
    }

    /**
     * @param {number} row
     * @param {V1Frame} before
     * @param {V1Frame} frame
     */
    function differs(row, before, frame) {
      return before.state[row] !== frame.state[row] || before.x[row] !== frame.x[row] ||
        before.y[row] !== frame.y[row];
    }

    /**
     * Whether a body is somewhere else one tick later.
     * @param {number} row
     * @param {V1Frame} frame
     */
    function walks(row, frame) {
      walker.walk(frame.x[row], frame.y[row], frame.state[row] & COURSE, 1);
      return walker.x !== frame.x[row] || walker.y !== frame.y[row];
    }

    /** @param {number} tick */
    function nextFrame(tick) {
      last = (last + 1) % FRAMES;
      kept = Math.min(kept + 1, FRAMES);
      const frame = frames[last];
      frame.tick = tick;
      frame.state.fill(0, 0, rows);
      return frame;
    }

    /**
     * Bodies that are in no list any more may be on their way to another cell. Those that have not
     * left their cell have left the game.
     * @param {V1Frame} before
     * @param {V1Frame} frame
     * @param {number} ticks
     * @param {Map<number, V1List>} cells
     */
    function leadOn(before, frame, ticks, cells) {
      for (let row = 0; row < rows; row++) {
        const course = before.state[row] & COURSE;
        if (frame.state[row] !== 0 || course === 0) continue;
        if (rowOf[slots[row]] !== row || missing[row] + ticks > BETWEEN_CELLS_MAX) continue;
        walker.walk(before.x[row], before.y[row], course, ticks);
        const cell = cellOf(walker.x, walker.y);
        if (missing[row] === 0 && cell === cellOf(before.x[row], before.y[row])) continue;
        if (!cells.has(cell)) continue;
        missing[row] += ticks;
        frame.x[row] = walker.x;
        frame.y[row] = walker.y;
        frame.state[row] = before.state[row] & LASTING;
      }
    }

    /**
     * @param {number} x
     * @param {number} y
     */
    function cellOf(x, y) {
      return Math.floor(y / side) * columns + Math.floor(x / side);
    }

    /**
     * Computes the bodies one tick before a frame, if ticks between have not been sent. Nothing is
     * sent while all bodies keep their courses, so most changes were on the last tick.
     * @param {V1Frame} before
     * @param {V1Frame} passed
     * @param {V1Frame} frame
     * @param {number} ticks
     */
    function fillPassed(before, passed, frame, ticks) {
      for (let row = 0; row < rows; row++) {
        const was = before.state[row];
        const is = frame.state[row];
        if (was === 0 || is === 0) continue;
        passed.state[row] = was & LASTING;
        walker.walk(before.x[row], before.y[row], was & COURSE, ticks - 1);
        passed.x[row] = walker.x;
        passed.y[row] = walker.y;
        walker.walk(walker.x, walker.y, is & COURSE, 1);
        if ((is & TELEPORTED) !== 0 || (walker.x === frame.x[row] && walker.y === frame.y[row])) {
          continue;
        }
        passed.x[row] = frame.x[row] + Math.round((before.x[row] - frame.x[row]) / ticks);
        passed.y[row] = frame.y[row] + Math.round((before.y[row] - frame.y[row]) / ticks);
      }
    }

    function oldest() {
      return (last + FRAMES + 1 - kept) % FRAMES;
    }

    /**
     * The bodies as they are drawn now. The arrays are reused.
     * @param {number} now
     * @returns {V1Drawn}
     */
    function sample(now) {
      drawn.count = 0;
      const at = clock.sample(now);
      if (kept === 0 || Number.isNaN(at)) return drawn;
      let index = last;
      let later = -1;
      for (let back = 1; back < kept && frames[index].tick > at; back++) {
        later = index;
        index = (index + FRAMES - 1) % FRAMES;
      }
      const from = frames[index];
      const steps = Math.max(0, at - from.tick);
      if (later < 0) {
        for (let row = 0; row < rows; row++) {
          if (from.state[row] === 0) continue;
          walker.walk(from.x[row], from.y[row], from.state[row] & COURSE, steps);
          put(row, walker.x, walker.y, from.state[row]);
        }
        return drawn;
      }
      const to = frames[later];
      const part = steps / (to.tick - from.tick);
      for (let row = 0; row < rows; row++) {
        const state = from.state[row];
        if (state === 0) continue;
        const x = from.x[row];
        const y = from.y[row];
        const next = to.state[row];
        if (next === 0) {
          walker.walk(x, y, state & COURSE, steps);
          put(row, walker.x, walker.y, state);
        } else if ((next & TELEPORTED) !== 0) {
          put(row, x, y, state);
        } else {
          put(row, x + (to.x[row] - x) * part, y + (to.y[row] - y) * part, state);
        }
      }
      return drawn;
    }

    /**
     * @param {number} row
     * @param {number} x
     * @param {number} y
     * @param {number} state
     */
    function put(row, x, y, state) {
      const index = drawn.count++;
      drawn.row[index] = row;
      drawn.slot[index] = slots[row];
      drawn.generation[index] = generations[row];
      drawn.x[index] = x;
      drawn.y[index] = y;
      drawn.state[index] = state & ~PRESENT;
    }

    /** After a pause the next frame is drawn as it is then. */
    function skip() {
      clock.skip();
    }

    return view;
  };
}
