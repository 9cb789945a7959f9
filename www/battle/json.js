// The battle over the JSON dialect, or over skirmish.v1, whose driver passes on whole states, too.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a driver of either dialect calls.
 * @typedef {object} BattleEvents
 * @property {Battle} battle gets every fact
 * @property {Rounds} rounds
 * @property {(welcome: { id: string, name?: string, room?: unknown, rules?: unknown,
 *   rules_data: any, parts?: Parts }) => Rules | null} onBegin there is a new own player; null if the page cannot
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
   * @param {typeof Skirmish.createJsonDriver} createDriver
   * @returns {Driver<BattleConnection>}
   */
  Skirmish.createBattleJsonDriver = function (url, events, createDriver) {
    const { battle, rounds, onBegin, onSnapshot } = events;
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

    const driver = createDriver({ url, onMessage });
    return {
      connect(events, token) {
        const connection = driver.connect(events, token);
        return Object.assign(connection, {
          /** @param {Direction} direction */
          move: (direction) => connection.send({ type: "move", direction }),
          attack: () => connection.press?.() ?? connection.send({ type: "attack" }),
        });
      },
    };
  };
}
