// What a game page needs of skirmish.v1, in the form of the JSON dialect: whole states, and the
// interpolation and the prediction of the session. It is for rooms of which a player sees all.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What replaces the page's own interpolation and prediction.
 * @typedef {object} Parts
 * @property {ReturnType<typeof Skirmish.createMotion<any>>} motion
 * @property {ReturnType<typeof Skirmish.createPrediction>} prediction
 * @property {(callback: () => void) => void} whenMoved a step of the own player was made
 */

{
  /**
   * @param {V1Session} session
   * @returns {Parts & { moved: () => void }}
   */
  Skirmish.createV1Parts = function (session) {
    /** @type {Snapshot<any> | null} */
    let newest = null;
    /** @type {() => void} */
    let onMoved = () => {};

    /** @type {Parts["motion"]} */
    const motion = {
      push(players, tick, receivedAt) {
        const byId = new Map(players.map((player) => [player.id, player]));
        newest = { at: receivedAt, tick, receivedAt, players, byId, isChanged: true };
        return true;
      },
      sample(now) {
        const drawn = session.view()?.sample(now);
        const players = [];
        for (let index = 0; drawn !== undefined && index < drawn.count; index++) {
          const known = session.player(drawn.slot[index], drawn.generation[index]);
          const player = known === null ? undefined : newest?.byId.get(known.id);
          if (player === undefined) continue;
          players.push({ ...player, x: drawn.x[index], y: drawn.y[index] });
        }
        return players;
      },
      isMoving: () => session.view()?.isMoving() ?? false,
      newest: () => newest,
      skip: () => session.view()?.skip(),
    };
    const skip = () => session.prediction()?.skip();
    /** @type {Parts["prediction"]} */
    const prediction = {
      glide(now) {
        session.run(now);
        return session.prediction()?.glide(now) ?? null;
      },
      isGliding: () => session.prediction()?.isGliding() ?? false,
      skip,
      restart: skip,
      clear: skip,
      // The session makes and confirms its own steps.
      ahead: () => null,
      isFull: () => false,
      isOverdue: () => false,
      sent() {},
      confirm() {},
      answered() {},
    };
    return {
      motion, prediction,
      whenMoved: (callback) => void (onMoved = callback),
      moved: () => onMoved(),
    };
  };

  /**
   * The rules as the JSON dialect sends them.
   * @param {V1Welcome} welcome
   */
  Skirmish.v1Rules = function ({ rules, numbers, map, walls, step, tick_ms }) {
    return { ...numbers, name: rules, map, walls, step, tick_ms };
  };

  /**
   * The players as the JSON dialect sends them, without those whose names are still unknown.
   * @param {V1Session} session
   */
  Skirmish.v1Players = function (session) {
    const fields = session.welcome()?.fields ?? [];
    const everyone = fields.filter(({ owner }) => owner !== true);
    const own = fields.filter(({ owner }) => owner === true);
    const { cells, head } = session.replica;
    /** @type {Record<string, any>[]} */
    const players = [];
    for (const list of cells.values()) {
      for (let index = 0; index < list.count; index++) {
        const player = session.player(list.id[index], list.generation[index]);
        if (player === null) continue;
        const { id, name, color } = player;
        /** @type {Record<string, any>} */
        const raw = { id, name, color, x: list.x[index], y: list.y[index] };
        put(raw, everyone, list.values, index * everyone.length);
        if (id === session.welcome()?.id) put(raw, own, head.values, 0);
        players.push(raw);
      }
    }
    return players.sort((one, other) => Number(one.id) - Number(other.id));
  };

  /**
   * @param {Record<string, any>} raw
   * @param {V1Field[]} fields
   * @param {Int32Array} values
   * @param {number} from the index of the first value
   */
  function put(raw, fields, values, from) {
    for (const [index, { name, width, words }] of fields.entries()) {
      const value = width === "u32" ? values[from + index] >>> 0 : values[from + index];
      raw[name] = words?.length ? words[value] : value;
    }
  }
}
