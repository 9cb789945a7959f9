// The bodies of the world over a dialect that sends all players of the room: JSON and Socket.IO.
// Such a room is small, and the battle's model has its players.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @param {Battle} battle
 * @param {() => Game<Fighter> | null} game
 */
Skirmish.createWholeSource = function (battle, game) {
  const crowd = Skirmish.createCrowd();
  /** @type {Fighter[]} */
  let drawn = [];
  /**
   * A number for each player that is here.
   * @type {Map<string, number>}
   */
  const keys = new Map();
  /** @type {number[]} */
  const free = [];

  /** @param {string} id */
  function keyOf(id) {
    let key = keys.get(id);
    if (key === undefined) keys.set(id, key = free.pop() ?? keys.size);
    return key;
  }

  /** @type {CrowdSource["sample"]} */
  function sample(now) {
    const current = game();
    crowd.own = -1;
    crowd.count = 0;
    if (current === null) return;
    drawn = current.motion.sample(now);
    Skirmish.reserveCrowd(crowd, drawn.length);
    drawn.forEach((seen, index) => {
      const known = battle.get(seen.id) ?? seen;
      const key = keyOf(seen.id);
      const isDead = !known.alive || !seen.alive;
      crowd.x[index] = seen.x;
      crowd.y[index] = seen.y;
      crowd.key[index] = key;
      crowd.at[key] = index;
      crowd.hp[index] = known.hp;
      crowd.look[index] = isDead ? Skirmish.DEAD_LOOK
        : Math.max(0, Skirmish.FACINGS.indexOf(known.facing ?? "DOWN"));
      crowd.color[index] = Skirmish.colorOf(known);
      if (seen.id === current.me) crowd.own = index;
    });
    crowd.count = drawn.length;
  }

  /** @param {Fighter} player */
  const withKey = (player) => ({ ...player, key: keyOf(player.id) });

  return {
    crowd, sample, withKey,
    /** @type {CrowdSource["players"]} */
    players: () => battle.players().map(withKey),
    /** @type {CrowdSource["nameAt"]} */
    nameAt: (index) => drawn[index].name || drawn[index].id,
    own() {
      const own = battle.own();
      return own && withKey(own);
    },
    /**
     * A player has left.
     * @param {string} id
     */
    forget(id) {
      const key = keys.get(id);
      if (key === undefined) return;
      keys.delete(id);
      free.push(key);
    },
  };
};
