// The bodies of the world over skirmish.v1, which sends those near the player; and the events about
// them as facts. The key of a body is its slot.
"use strict";
var Skirmish = Skirmish || {};
{
  const NO_SLOT = 0xffff;
  const COURSE = 7, DEAD = 16;
  const DOWN = 1;
  // A body that jumps further does not look where it jumps.
  const JUMP_UNITS = 50;
  const RESPAWNED = 3, OWN_EVENTS = 16;

  /**
   * @param {V1Session} session
   * @param {(fact: FightFact<WorldFighter>, now: number) => void} onFact
   */
  Skirmish.createCellsSource = function (session, onFact) {
    const crowd = Skirmish.createCrowd();
    const { fields = [], events = [] } = session.welcome() ?? {};
    const everyone = fields.filter(({ owner }) => owner !== true);
    /** @param {string} name */
    const columnOf = (name) => everyone.findIndex((field) => field.name === name);
    const [HP, KILLS, DEATHS] = ["hp", "kills", "deaths"].map(columnOf);
    const respawnMs = session.welcome()?.numbers.respawn_ms ?? 0;
    // By slot: where a body looks, which its course says or else its way, and where it was drawn.
    const looks = new Uint8Array(NO_SLOT).fill(DOWN);
    const lastX = new Float32Array(NO_SLOT);
    const lastY = new Float32Array(NO_SLOT);
    // When a dead body respawns; 0 if its death was not seen.
    const respawnAts = new Float64Array(NO_SLOT);

    /** @type {CrowdSource["sample"]} */
    function sample(now) {
      const view = session.view();
      const welcome = session.welcome();
      crowd.count = 0;
      crowd.own = -1;
      if (view === null || welcome === null) return;
      const drawn = view.sample(now);
      const { values } = view;
      const width = view.fields;
      Skirmish.reserveCrowd(crowd, drawn.count);
      for (let index = 0; index < drawn.count; index++) {
        const slot = drawn.slot[index];
        const row = drawn.row[index] * width;
        const hp = values[row + HP];
        // Health is that of the newest tick, and places are a little older.
        const isDead = hp === 0 || (drawn.state[index] & DEAD) !== 0;
        crowd.x[index] = drawn.x[index];
        crowd.y[index] = drawn.y[index];
        crowd.key[index] = slot;
        crowd.at[slot] = index;
        crowd.hp[index] = hp;
        turn(slot, drawn.state[index] & COURSE, drawn.x[index], drawn.y[index]);
        crowd.look[index] = isDead ? Skirmish.DEAD_LOOK : looks[slot];
        crowd.color[index] =
          session.player(slot, drawn.generation[index])?.color ?? Skirmish.NO_COLOR;
        if (slot === welcome.slot) crowd.own = index;
      }
      crowd.count = drawn.count;
    }

    /**
     * A body looks where its course leads; one without a course, where it was moved.
     * @param {number} slot
     * @param {number} course
     * @param {number} x
     * @param {number} y
     */
    function turn(slot, course, x, y) {
      const dx = x - lastX[slot];
      const dy = y - lastY[slot];
      lastX[slot] = x;
      lastY[slot] = y;
      const moved = Math.abs(dx) + Math.abs(dy);
      if (course !== 0) looks[slot] = course - 1;
      else if (moved > 0 && moved < JUMP_UNITS) {
        const way = Math.abs(dx) > Math.abs(dy) ? (dx < 0 ? "LEFT" : "RIGHT") : dy < 0 ? "UP" : "DOWN";
        looks[slot] = Skirmish.FACINGS.indexOf(way);
      }
    }

    /**
     * @param {V1List} list
     * @param {number} index
     * @returns {WorldFighter}
     */
    function fighterAt(list, index) {
      const key = list.id[index];
      const known = session.player(key, list.generation[index]);
      /** @param {number} column */
      const value = (column) => list.values[index * everyone.length + column];
      const hp = value(HP);
      return {
        key, id: known?.id ?? `slot ${key}`, name: known?.name ?? "",
        color: known?.color ?? Skirmish.NO_COLOR, x: list.x[index], y: list.y[index],
        hp, kills: value(KILLS), deaths: value(DEATHS), alive: hp > 0,
        respawnAt: hp > 0 ? null : respawnAtOf(key),
        facing: Skirmish.FACINGS[looks[key]] ?? null, attackedAt: -Infinity, heals: false,
      };
    }

    /**
     * A body that is dead when it comes into view respawns at this time at the latest.
     * @param {number} key
     */
    function respawnAtOf(key) {
      if (respawnAts[key] === 0) respawnAts[key] = performance.now() + respawnMs;
      return respawnAts[key];
    }

    /**
     * The body in a slot; null if it is in no list.
     * @param {number} slot
     */
    function fighter(slot) {
      if (slot === NO_SLOT) return null;
      for (const list of session.replica.cells.values()) {
        for (let index = 0; index < list.count; index++) {
          if (list.id[index] === slot) return fighterAt(list, index);
        }
      }
      return null;
    }

    /**
     * An event of skirmish.v1. It comes before the tick that shows its outcome.
     * @param {number} kind
     * @param {Int32Array} values
     * @param {number} now
     */
    function take(kind, values, now) {
      const player = fighter(values[0]);
      if (player === null) return;
      if (kind === RESPAWNED) {
        respawnAts[player.key] = 0;
        onFact({ kind: "respawned", player, wasAlive: player.alive }, now);
        return;
      }
      switch (events[kind - OWN_EVENTS]?.name) {
        case "player_attacked":
          hit(player, values[1], now);
          break;
        case "player_killed":
          respawnAts[player.key] = now + values[2];
          onFact({ kind: "killed", player, by: fighter(values[1]) }, now);
          break;
        case "player_attack":
          onFact({ kind: "attacked", player }, now);
          break;
      }
    }

    /**
     * @param {WorldFighter} player
     * @param {number} hp what is left
     * @param {number} now
     */
    function hit(player, hp, now) {
      const amount = Math.max(0, player.hp - hp);
      onFact({ kind: "hit", player, amount, by: null }, now);
    }

    /** @type {CrowdSource["players"]} */
    function players() {
      /** @type {WorldFighter[]} */
      const all = [];
      for (const list of session.replica.cells.values()) {
        for (let index = 0; index < list.count; index++) all.push(fighterAt(list, index));
      }
      return all;
    }

    return {
      crowd, sample, take, players,
      /** @type {CrowdSource["nameAt"]} */
      nameAt(index) {
        const { slot, generation } = /** @type {V1Drawn} */ (session.view()?.drawn);
        const known = session.player(slot[index], generation[index]);
        return known && (known.name || known.id);
      },
      own: () => fighter(session.welcome()?.slot ?? NO_SLOT) ?? undefined,
    };
  };
}
