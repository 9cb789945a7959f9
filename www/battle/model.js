// The players in the arena and what has happened to them. Both dialects pass it facts, one at a
// time. It checks them and does not depend on the dialect. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Times are those of performance.now().
 * @typedef {object} FighterFields
 * @property {number} hp
 * @property {number} kills
 * @property {number} deaths
 * @property {boolean} alive
 * @property {number | null} respawnAt null if unknown
 * @property {Direction | null} facing null if the server does not send it
 * @property {number} attackedAt when its latest attack was received; -Infinity before the first
 * @property {boolean} heals whether its health returns
 */

/** @typedef {Player & FighterFields} Fighter */

/**
 * What happened to a player. `by` is the attacker, or null if unknown. A player that `wasAlive`
 * respawns because a round begins.
 * @typedef {{ kind: "joined" | "left" | "attacked", player: Fighter } |
 *   { kind: "respawned", player: Fighter, wasAlive: boolean } |
 *   { kind: "hit", player: Fighter, amount: number, by: Fighter | null } |
 *   { kind: "killed", player: Fighter, by: Fighter | null }} Fact
 */

/**
 * What a server sends about a player; every field may be missing or wrong.
 * @typedef {Record<string, any> | null | undefined} RawPlayer
 */

{
  // A hit within this time after an own attack is attributed to it.
  const ATTACK_EXPLAINS_MS = 500;
  // A hit follows the attack that the server sent within this time.
  const HIT_FOLLOWS_MS = 150;
  const DIRECTIONS = ["UP", "DOWN", "LEFT", "RIGHT"];

  /** @param {{ onFact: (fact: Fact, now: number) => void }} options */
  Skirmish.createBattle = function ({ onFact }) {
    /** @type {string | null} */
    let me = null;
    /** @type {Rules | null} */
    let rules = null;
    /** @type {{ name?: string }} */
    let known = {};
    let attackedAt = -Infinity;
    // Whether this server sends each attack. Others send only the hits.
    let sendsAttacks = false;
    /** @type {Map<string, Fighter>} */
    let players = new Map();

    /**
     * @param {string} id the own id
     * @param {Rules} newRules
     * @param {{ name?: string }} [own] what is known of the own player before the server sends it
     */
    function begin(id, newRules, own = {}) {
      me = id;
      rules = newRules;
      known = own;
      attackedAt = -Infinity;
      sendsAttacks = false;
      players = new Map();
    }

    /** The health of a player that was not hit. */
    const fullHp = () => rules?.numbers.hp ?? 0;

    /**
     * The player with the fields of `raw`, as a new object; null while its place is unknown.
     * @param {string} id
     * @param {RawPlayer} raw
     */
    function merged(id, raw) {
      const unknown = {
        id, name: "", color: "", x: NaN, y: NaN, hp: fullHp(), kills: 0, deaths: 0, alive: true,
        respawnAt: null, facing: null, attackedAt: -Infinity, heals: false,
      };
      /** @type {Fighter} */
      const next = { ...(players.get(id) ?? { ...unknown, ...(id === me && known) }) };
      for (const key of /** @type {const} */ (["x", "y"])) {
        if (Number.isFinite(raw?.[key])) next[key] = raw?.[key];
      }
      for (const key of /** @type {const} */ (["hp", "kills", "deaths"])) {
        if (Number.isFinite(raw?.[key])) next[key] = Math.max(0, raw?.[key]);
      }
      for (const key of /** @type {const} */ (["name", "color"])) {
        if (typeof raw?.[key] === "string") next[key] = raw[key];
      }
      if (DIRECTIONS.includes(raw?.facing)) next.facing = raw?.facing;
      else if (next.facing !== null) next.facing = wayOf(players.get(id), next) ?? next.facing;
      next.alive = next.hp > 0;
      if (next.alive) next.respawnAt = null;
      return Number.isFinite(next.x) && Number.isFinite(next.y) ? next : null;
    }

    /**
     * The state of a player, without a fact.
     * @param {string} id
     * @param {RawPlayer} raw
     */
    function put(id, raw) {
      const before = players.get(id);
      const player = merged(id, raw);
      if (player === null) return null;
      if (before?.alive && player.hp > before.hp) player.heals = true;
      if (player.hp < (before?.hp ?? 0) || player.hp >= fullHp()) player.heals = false;
      players.set(id, player);
      return player;
    }

    /**
     * A player attacks, whether it hits or not. Older servers do not send this.
     * @param {string} id
     * @param {unknown} facing the direction
     * @param {number} now
     */
    function attack(id, facing, now) {
      sendsAttacks = true;
      if (!players.has(id)) return;
      const player = put(id, { facing });
      if (player === null) return;
      player.attackedAt = now;
      onFact({ kind: "attacked", player }, now);
    }

    /**
     * @param {string} id
     * @param {RawPlayer} raw
     * @param {number} now
     */
    function joined(id, raw, now) {
      const player = put(id, raw);
      if (player !== null && id !== me) onFact({ kind: "joined", player }, now);
    }

    /**
     * @param {string} id
     * @param {number} now
     */
    function left(id, now) {
      const player = players.get(id);
      if (player === undefined) return;
      players.delete(id);
      onFact({ kind: "left", player }, now);
    }

    /**
     * @param {string} id
     * @param {unknown} hp what is left
     * @param {number} now
     */
    function hit(id, hp, now) {
      const before = players.get(id);
      if (before === undefined || !before.alive || !Number.isFinite(hp)) return;
      const by = attackerOf(before, now);
      const player = put(id, { hp });
      if (player === null) return;
      const amount = Math.max(0, before.hp - player.hp);
      onFact({ kind: "hit", player, amount, by }, now);
    }

    /**
     * No dialect names the attacker of a hit. It is known if only one player was in reach, or only
     * one of these has just attacked.
     * @param {Fighter} victim
     * @param {number} now
     */
    function attackerOf(victim, now) {
      // The victim may have moved since.
      const far = rules === null ? 0 : rules.numbers.reach + rules.step;
      const near = Array.from(players.values()).filter((one) => one.id !== victim.id && one.alive &&
        Math.hypot(one.x - victim.x, one.y - victim.y) <= far);
      if (sendsAttacks) {
        const latest = Math.max(now - HIT_FOLLOWS_MS, ...near.map((one) => one.attackedAt));
        const attackers = near.filter((one) => one.attackedAt === latest);
        return attackers.find((one) => one.id === me) ??
          (attackers.length === 1 ? attackers[0] : null);
      }
      const hasAttacked = now - attackedAt <= ATTACK_EXPLAINS_MS;
      const own = hasAttacked ? near.find((one) => one.id === me) : undefined;
      return own ?? (near.length === 1 && near[0].id !== me ? near[0] : null);
    }

    /**
     * @param {string} id
     * @param {string | null} by the id of the killer, or null if unknown
     * @param {unknown} respawnMs
     * @param {number} now
     */
    function killed(id, by, respawnMs, now) {
      const victim = players.get(id);
      if (victim === undefined) return;
      const killer = by === null ? null : players.get(by) ?? null;
      if (killer !== null) players.set(killer.id, { ...killer, kills: killer.kills + 1 });
      const player = put(id, { hp: 0, deaths: victim.deaths + 1 });
      if (player === null) return;
      player.respawnAt = Number.isFinite(respawnMs) ? now + Number(respawnMs) : null;
      onFact({ kind: "killed", player, by: killer }, now);
    }

    /**
     * @param {string} id
     * @param {RawPlayer} raw
     * @param {number} now
     */
    function respawned(id, raw, now) {
      const wasAlive = players.get(id)?.alive ?? false;
      const player = put(id, { hp: fullHp(), ...raw });
      if (player !== null) onFact({ kind: "respawned", player, wasAlive }, now);
    }

    return {
      begin, put, joined, left, attack, hit, killed, respawned,
      /** Whether this server sends each attack, and not only the hits. */
      sendsAttacks: () => sendsAttacks,
      /** The numbers of the rules; undefined before the server has sent them. */
      numbers: () => rules?.numbers,
      /**
       * The own player attacks.
       * @param {number} now
       */
      attacked: (now) => void (attackedAt = now),
      /** @param {string} id */
      has: (id) => players.has(id),
      /** @param {string} id */
      get: (id) => players.get(id),
      own: () => (me === null ? undefined : players.get(me)),
      players: () => Array.from(players.values()),
    };
  };

  /**
   * Where a player looks after a move, since Socket.IO sends the direction of attacks only.
   * @param {Place | undefined} from
   * @param {Place} to
   * @returns {Direction | null} null if it has not moved
   */
  function wayOf(from, to) {
    if (from === undefined) return null;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    if (dx === 0 && dy === 0) return null;
    if (Math.abs(dx) >= Math.abs(dy)) return dx < 0 ? "LEFT" : "RIGHT";
    return dy < 0 ? "UP" : "DOWN";
  }

  /**
   * The best first: most kills, then fewest deaths, then the longest in the room.
   * @template {{ id: string, kills: number, deaths: number }} P
   * @param {P[]} players
   */
  Skirmish.ranking = function (players) {
    return Array.from(players).sort((a, b) =>
      b.kills - a.kills || a.deaths - b.deaths || Number(a.id) - Number(b.id));
  };
}

/** @typedef {ReturnType<typeof Skirmish.createBattle>} Battle */
