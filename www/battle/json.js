// The battle over the JSON dialect: whole states over a plain WebSocket.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a driver of either dialect calls.
 * @typedef {object} BattleEvents
 * @property {Battle} battle gets every fact
 * @property {Rounds} rounds
 * @property {(welcome: { id: string, name?: string, room?: unknown, rules?: unknown,
 *   rules_data: any }) => Rules | null} onBegin there is a new own player; null if the page cannot
 *   play in this room
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
  Skirmish.createBattleJsonDriver = function (url, { battle, rounds, onBegin, onSnapshot }) {
    const states = Skirmish.createStates(battle);

    /**
     * @param {any} message
     * @param {number} now
     */
    function onMessage(message, now) {
      if (message.type === "init") {
        const rules = onBegin({ ...message, name: undefined, id: String(message.id) });
        if (rules !== null) states.begin(rules);
      } else if (message.type === "state_update" && battle.numbers() !== undefined) {
        states.take(message.players, now, rounds.begins(message.room));
        rounds.take(message.room, now);
        onSnapshot(Number.isFinite(message.tick) ? message.tick : null, now);
      }
    }

    const driver = Skirmish.createJsonDriver({ url, onMessage });
    return {
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
