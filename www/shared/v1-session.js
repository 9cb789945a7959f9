// A player over one connection of skirmish.v1, without the socket: the bodies, the prediction of the
// own one, what is drawn, and the names. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} V1SessionEvents
 * @property {(message: Uint8Array) => void} send sends a message, or copies it: it is overwritten
 * @property {(welcome: V1Welcome) => void} welcome the player is in a room, or the values of the
 *   room have changed
 * @property {() => void} tick the bodies are as after a new tick, or have got names
 * @property {(ms: number) => void} rtt a ping was answered
 * @property {(kind: number, values: Int32Array) => void} [event] as in V1Events
 */

/** @typedef {ReturnType<typeof Skirmish.createV1Session>} V1Session */

{
  const PING_LOST_MS = 3000;
  // The server keeps few INPUTs that are much too early.
  const JITTER_MAX_MS = 120;
  const ACK_AT_ONCE = 4;
  /** @type {Direction[]} */
  const DIRECTIONS = ["UP", "DOWN", "LEFT", "RIGHT"];

  /** @param {V1SessionEvents} events */
  Skirmish.createV1Session = function (events) {
    const replica = Skirmish.createV1Replica({
      send: events.send, welcome: begin, event: events.event,
      roster(slot, generation, number, color, name) {
        roster.take(slot, generation, number, color, name);
        isNamed = true;
        if (slot === welcome?.slot) pong();
      },
    });
    const roster = Skirmish.createV1Roster(events.send);
    const rtts = Skirmish.createRtts();
    /** @type {V1Welcome | null} */
    let welcome = null;
    /** @type {ReturnType<typeof Skirmish.createV1Prediction> | null} */
    let prediction = null;
    /** @type {ReturnType<typeof Skirmish.createV1View> | null} */
    let view = null;
    let now = 0;
    let hasTick = false;
    let lastTick = 0;
    let skipped = 0;
    let pingedAt = NaN;
    // Whether a name has become known.
    let isNamed = false;

    /**
     * @param {ArrayBuffer} message
     * @param {number} at when it was received
     */
    function receive(message, at) {
      now = at;
      replica.receive(message);
      const { head, cells } = replica;
      if (view === null || prediction === null || !replica.hasBase()) return;
      if (hasTick && head.tick === lastTick) {
        if (isNamed) events.tick();
        isNamed = false;
        return;
      }
      isNamed = false;
      if (hasTick && head.age > 1) skipped += head.age - 1;
      hasTick = true;
      lastTick = head.tick;
      prediction.setNetwork(rtts.least(), Math.min(JITTER_MAX_MS, view.clock.jitterMs()));
      prediction.confirm(head, at);
      view.take(replica, at);
      roster.ask(cells, at);
      if ((head.flags & ACK_AT_ONCE) !== 0) prediction.repeat();
      events.tick();
    }

    /** @param {V1Welcome} next */
    function begin(next) {
      if (welcome === null || terms(next) !== terms(welcome)) {
        view = Skirmish.createV1View(next);
        prediction = Skirmish.createV1Prediction(next, sendKeys);
        hasTick = false;
      }
      welcome = next;
      events.welcome(next);
    }

    /** @param {V1Keys} keys */
    function sendKeys({ direction, presses, seq }) {
      const clock = view?.clock;
      events.send(Skirmish.v1.encodeInput({
        direction, presses, seq, ack: replica.head.tick, viewAge: clock?.viewAge() ?? 0,
        holdMs: now - (clock?.receivedAt() ?? now),
      }));
    }

    /**
     * Makes the own steps that are due.
     * @param {number} at
     */
    function run(at) {
      now = at;
      prediction?.advance(at);
    }

    /**
     * @param {Direction | null} direction
     * @param {number} at
     */
    function hold(direction, at) {
      now = at;
      prediction?.hold(direction === null ? 0 : 1 + DIRECTIONS.indexOf(direction), at);
    }

    /**
     * One press of the attack key.
     * @param {number} at
     */
    function press(at) {
      now = at;
      prediction?.press(at);
    }

    /**
     * Asks for the own player, which the server answers at once.
     * @param {number} at
     */
    function ping(at) {
      if (welcome === null || at - pingedAt < PING_LOST_MS) return;
      now = pingedAt = at;
      events.send(Skirmish.v1.encodeWho([welcome.slot], [welcome.gen]));
    }

    function pong() {
      if (Number.isNaN(pingedAt)) return;
      rtts.add(now - pingedAt);
      events.rtt(now - pingedAt);
      pingedAt = NaN;
    }

    return {
      receive, run, hold, press, ping,
      player: roster.get,
      replica,
      welcome: () => welcome,
      prediction: () => prediction,
      view: () => view,
      /** Ticks without a message: nothing had changed, or the server has skipped them. */
      skipped: () => skipped,
    };
  };

  /**
   * The part of a WELCOME that never changes on a connection to one room.
   * @param {V1Welcome} welcome
   */
  function terms({ id, room, walls, cell, columns, step, fields }) {
    return JSON.stringify([id, room, walls, cell, columns, step, fields]);
  }
}
