// The battle over the JSON dialect: whole states 20 times a second over a plain WebSocket.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What the page does with what it is told, in either dialect.
 * @typedef {object} BattleEvents
 * @property {Battle} battle is told every fact
 * @property {(welcome: { id: string, room?: unknown, rules?: unknown }) => void} onBegin there is
 *   a new own player
 * @property {(tick: number | null, now: number) => void} onSnapshot the battle is as it was at one
 *   moment
 */

/**
 * The commands of a connection, in either dialect. They return whether they were sent.
 * @typedef {Connection & { attack: () => boolean,
 *   move: (direction: Direction, place: Place) => boolean }} BattleConnection `place` is where the
 *   step leads
 */

{
  /**
   * @param {string} url
   * @param {BattleEvents} events
   * @returns {Driver<BattleConnection>}
   */
  Skirmish.createBattleJsonDriver = function (url, { battle, onBegin, onSnapshot }) {
    const states = Skirmish.createStates(battle);

    /**
     * @param {any} message
     * @param {number} now
     */
    function onMessage(message, now) {
      if (message.type === "init") {
        const { id, room, rules } = message;
        states.clear();
        battle.begin(String(id));
        onBegin({ id: String(id), room, rules });
      } else if (message.type === "state_update") {
        states.take(message.players, now);
        onSnapshot(Number.isFinite(message.tick) ? message.tick : null, now);
      }
    }

    const driver = Skirmish.createJsonDriver({ url, onMessage });
    return {
      silenceMaxMs: driver.silenceMaxMs,
      connect(events) {
        const connection = driver.connect(events);
        return {
          ...connection,
          move: (direction) => connection.send({ type: "move", direction }),
          attack: () => connection.send({ type: "attack" }),
        };
      },
    };
  };
}
