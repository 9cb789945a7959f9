// Prediction and reconciliation of the own player in the dialect skirmish.v1: it makes the steps that
// the server will make, numbered and without waiting, and replays those that the server has not
// run yet from each place that it sends. It needs no page and no socket. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * The keys from a step on, for an INPUT.
 * @typedef {object} V1Keys
 * @property {number} direction 0 none, 1 up, 2 down, 3 left, 4 right
 * @property {number} presses attack presses so far
 * @property {number} seq the number of the step; its low 16 bits are sent
 */

/** @typedef {Pick<V1Head, "flags" | "age" | "applied" | "lead" | "x" | "y">} V1Confirmed */

{
  const HISTORY = 256;
  // Far from the numbers that a server has before the first INPUT.
  const FIRST_STEP = 0x4000;
  // An INPUT is sent at least this often, in steps.
  const INPUT_EVERY = 9;
  // This many steps, and those of a round trip, are made before the server has confirmed one. While
  // nothing changes it sends a tick every 10 steps.
  const UNCONFIRMED_MAX = 20;
  const FASTER = 1.02;
  const SLOWER = 0.98;
  // An INPUT should reach the server this long before its step, beyond the jitter of the network;
  // and longer after each one that was late.
  const SPARE_MS = 25;
  const LATER_MS = 10;
  const LATE_MAX_MS = 100;
  // The server keeps few INPUTs for later steps. If one is this many steps too early, the next wait.
  const EXCESS_MAX = 1;
  // Of the ticks received in this time, the fastest counts.
  const OFFSETS = 64;
  const OFFSET_MS = 1500;
  // A visible error is 95 % gone after three times this.
  const EASE_MS = 40;
  // A longer distance than this is a teleport.
  const SNAP_STEPS = 20;
  // A shorter distance cannot be seen.
  const UNSEEN = 0.05;
  // After a longer pause of the page than this many steps, it does not walk on.
  const LATE_STEPS_MAX = 20;
  const IS_DEAD = 1;

  /**
   * @param {Pick<V1Welcome, "walls" | "step" | "tick_ms">} welcome
   * @param {(keys: V1Keys) => void} send called for each INPUT that is due; it reuses the argument
   */
  Skirmish.createV1Prediction = function ({ walls, step: length, tick_ms: tickMs }, send) {
    const walker = Skirmish.createV1Walker();
    walker.begin(walls, length);

    // The direction of each step, and the place after it, by the low bits of its number.
    const directions = new Uint8Array(HISTORY);
    const xs = new Uint16Array(HISTORY);
    const ys = new Uint16Array(HISTORY);
    // The newest step that was made, and the newest that the server has run.
    let newest = FIRST_STEP;
    let applied = newest;
    let hasPlace = false;
    // Whether the server counts the steps as this client does.
    let isCounted = false;
    let isDead = false;
    // When the next step is due, and the pace of the steps.
    let dueAt = NaN;
    let pace = 1;

    // The keys: what is held, and what was pressed since the last step, even if it is released.
    let held = 0;
    let tapped = 0;
    let presses = 0;
    /** @type {V1Keys} */
    const sent = { direction: 0, presses: 0, seq: 0 };
    let hasSent = false;

    // Of the last ticks, when they were received, and that minus the time of the server's step.
    const offsetsAt = new Float64Array(OFFSETS);
    const offsets = new Float64Array(OFFSETS);
    let measured = 0;
    /** @type {number | null} */
    let rttMs = null;
    let jitterMs = 0;
    // How much more time the INPUTs need.
    let lateMs = 0;
    let judgedSeq = newest;

    const path = { x: 0, y: 0 };
    const drawn = { x: 0, y: 0 };
    let drawnAt = NaN;
    // What is left of the visible error.
    let offsetX = 0, offsetY = 0;
    let error = 0;

    /** Sends the keys if they have changed since the last INPUT, or if that was long ago. */
    function update() {
      if (!hasSent) return sendFirst();
      const direction = tapped || held;
      const seq = newest + 1;
      const isSame = direction === sent.direction && presses === sent.presses;
      if (isSame && seq - sent.seq < INPUT_EVERY) return;
      Object.assign(sent, { direction, presses, seq });
      send(sent);
    }

    /** The server counts from the first INPUT. Its number leaves time for those that follow. */
    function sendFirst() {
      hasSent = true;
      sent.seq = judgedSeq = newest - 1;
      applied = sent.seq - 1;
      send(sent);
    }

    /**
     * What is known of the network.
     * @param {number | null} rtt the shortest round trip of the last ones, in milliseconds
     * @param {number} jitter how late messages are, in milliseconds
     */
    function setNetwork(rtt, jitter) {
      rttMs = rtt;
      jitterMs = jitter;
    }

    /**
     * Holds a direction from the next step on; 0 is none. A short press makes one step.
     * @param {number} direction
     * @param {number} now
     */
    function hold(direction, now) {
      if (direction === held) return;
      advance(now);
      held = direction;
      if (direction !== 0) tapped = direction;
      if (hasSent) update();
    }

    /**
     * One press of the attack key.
     * @param {number} now
     */
    function press(now) {
      advance(now);
      presses++;
      if (hasSent) update();
    }

    /** Sends the keys again, which acknowledges the newest tick. */
    function repeat() {
      if (hasSent) send(Object.assign(sent, { seq: Math.max(sent.seq, newest + 1) }));
    }

    /**
     * Makes the steps that are due, and sends the INPUTs.
     * @param {number} now
     */
    function advance(now) {
      if (!hasPlace) return;
      if (Number.isNaN(dueAt)) dueAt = now;
      const late = Math.floor((now - dueAt) / tickMs);
      // The next tick tells how far the server is.
      if (late > LATE_STEPS_MAX) dueAt += late * tickMs;
      while (now >= dueAt) {
        if (newest - applied >= UNCONFIRMED_MAX + (rttMs ?? 0) / tickMs) {
          dueAt = now + tickMs;
          tapped = 0;
          break;
        }
        if (hasSent) update();
        makeStep(tapped || held);
        tapped = 0;
        dueAt += tickMs / pace;
      }
      update();
    }

    /** @param {number} direction */
    function makeStep(direction) {
      newest++;
      directions[newest % HISTORY] = direction;
      walkTo(newest);
    }

    /**
     * Computes the place after a step from the one before it.
     * @param {number} step
     */
    function walkTo(step) {
      const before = (step - 1) % HISTORY;
      const index = step % HISTORY;
      walker.walk(xs[before], ys[before], isDead ? 0 : directions[index], 1);
      xs[index] = walker.x;
      ys[index] = walker.y;
    }

    /**
     * Gives the newest step another number, as if the player had stood for the steps between.
     * @param {number} number
     */
    function renumber(number) {
      const [x, y] = [xs[newest % HISTORY], ys[newest % HISTORY]];
      newest = number;
      directions.fill(0);
      xs.fill(x);
      ys.fill(y);
      judgedSeq = Math.max(judgedSeq, newest);
      sent.seq = newest - INPUT_EVERY;
    }

    /**
     * The server sent a tick: the place after the newest step that it has run.
     * @param {V1Confirmed} head
     * @param {number} now
     */
    function confirm(head, now) {
      const { flags, applied: low, x, y } = head;
      findPath(now);
      const [pathX, pathY] = [path.x, path.y];
      const wasDead = isDead;
      isDead = (flags & IS_DEAD) !== 0;
      // The whole number, by its low 16 bits.
      const near = newest - (((newest - low) << 16) >> 16);
      const run = near < 0 ? near + 0x10000 : near;
      if (!isCounted) isCounted = hasSent && Math.abs(newest - run) < HISTORY;
      if (isCounted) {
        applied = run;
        if (newest - run >= HISTORY) renumber(run);
        if (newest < run) catchUp();
        judge(run + head.lead, head);
        keepPace(run, now);
      }
      const step = hasSent ? applied : newest;
      const index = step % HISTORY;
      error = hasPlace ? Math.hypot(x - xs[index], y - ys[index]) : 0;
      if (error === 0 && hasPlace && isDead === wasDead) return;
      xs[index] = x;
      ys[index] = y;
      for (let next = step + 1; next <= newest; next++) walkTo(next);
      findPath(now);
      const isFar = error > SNAP_STEPS * length;
      if (!hasPlace || isFar || (wasDead && !isDead)) {
        skip();
      } else {
        offsetX += pathX - path.x;
        offsetY += pathY - path.y;
      }
      hasPlace = true;
    }

    /** How long before its step an INPUT should reach the server. */
    function reserveMs() {
      return SPARE_MS + jitterMs + lateMs;
    }

    /**
     * Sets the pace, so that INPUTs are received a little before their steps. `lead` alone does not
     * say how early they were: a HEAD may follow some ticks after an INPUT.
     * @param {number} run the newest step that the server has run
     * @param {number} now
     */
    function keepPace(run, now) {
      const offset = now - run * tickMs;
      offsets[measured % OFFSETS] = offset;
      offsetsAt[measured++ % OFFSETS] = now;
      let base = offset;
      for (let index = 0; index < Math.min(measured, OFFSETS); index++) {
        if (now - offsetsAt[index] < OFFSET_MS) base = Math.min(base, offsets[index]);
      }
      // How early an INPUT for the next step is, if it is sent when that step is made.
      const earlyMs = base + (newest + 1) * tickMs - dueAt - (rttMs ?? 0);
      const missing = reserveMs() - earlyMs;
      pace = rttMs === null ? 1 : missing > 0 ? FASTER : missing < -SPARE_MS ? SLOWER : 1;
    }

    /**
     * A tick is the first one with an INPUT, which was at least `lead` steps early. If the tick before
     * was received, too, it was not earlier than that.
     * @param {number} seq
     * @param {Pick<V1Head, "lead" | "age">} head
     */
    function judge(seq, { lead, age }) {
      if (seq <= judgedSeq) return;
      judgedSeq = seq;
      const excess = lead - 1 - reserveMs() / tickMs;
      if (excess > EXCESS_MAX) {
        // The server has not run some ticks. Wait for it, and ignore the INPUTs that were sent.
        dueAt += excess * tickMs;
        judgedSeq = newest + 1;
      }
      const isLate = age === 1 && lead < 0;
      lateMs = isLate ? Math.min(LATE_MAX_MS, lateMs + LATER_MS)
        : Math.max(0, lateMs - LATER_MS / 20);
    }

    /** The server is ahead, because the page was suspended: makes the steps that it has missed. */
    function catchUp() {
      const ahead = Math.ceil(((rttMs ?? 0) + reserveMs()) / tickMs);
      for (const end = applied + ahead; newest < end;) makeStep(held);
    }

    /**
     * Puts the place on the way from the step before the newest to the newest into `path`.
     * @param {number} now
     */
    function findPath(now) {
      const [from, to] = [(newest - 1) % HISTORY, newest % HISTORY];
      const left = Number.isNaN(dueAt) ? 0 : (dueAt - now) * pace / tickMs;
      const part = 1 - Math.max(0, Math.min(1, left));
      path.x = xs[from] + (xs[to] - xs[from]) * part;
      path.y = ys[from] + (ys[to] - ys[from]) * part;
    }

    /**
     * Where to draw the player; null before the server has sent a place. A frame moves it by one
     * step at most, unless the frames are too slow for walking pace. The object is reused.
     * @param {number} now
     * @returns {Readonly<Place> | null}
     */
    function glide(now) {
      if (!hasPlace) return null;
      findPath(now);
      const elapsed = now - drawnAt;
      drawnAt = now;
      if (Number.isNaN(elapsed)) {
        offsetX = offsetY = 0;
        return Object.assign(drawn, path);
      }
      const kept = Math.exp(-elapsed / EASE_MS);
      offsetX *= kept;
      offsetY *= kept;
      if (Math.hypot(offsetX, offsetY) < UNSEEN) offsetX = offsetY = 0;
      const dx = path.x + offsetX - drawn.x;
      const dy = path.y + offsetY - drawn.y;
      const distance = Math.hypot(dx, dy);
      const reach = Math.max(1, elapsed / tickMs) * length;
      const part = distance <= reach ? 1 : reach / distance;
      drawn.x += dx * part;
      drawn.y += dy * part;
      offsetX = drawn.x - path.x;
      offsetY = drawn.y - path.y;
      return drawn;
    }

    /** Whether the next frame shows the player elsewhere. */
    function isGliding() {
      const index = newest % HISTORY;
      return hasPlace && (drawn.x !== xs[index] || drawn.y !== ys[index]);
    }

    /** The next frame draws the player where it is. */
    function skip() {
      drawnAt = NaN;
    }

    return {
      setNetwork, hold, press, repeat, advance, confirm, glide, isGliding, skip,
      /** When the next step is due; NaN before the first one. */
      dueAt: () => dueAt,
      /** How far the last place that the server sent was from the predicted one, in map units. */
      error: () => error,
      /** Steps that the server has not run yet. */
      unconfirmed: () => newest - applied,
      pace: () => pace,
    };
  };
}
