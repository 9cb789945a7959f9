// Derives facts from whole states, as the JSON dialect sends them. Time is an argument.
"use strict";
var Skirmish = Skirmish || {};
{
  /** @typedef {Record<string, any>} RawState */

  /** @param {Battle} battle */
  Skirmish.createStates = function (battle) {
    /** @type {Map<string, RawState> | null} */
    let before = null;
    /**
     * The last list.
     * @type {unknown}
     */
    let taken = null;
    // The killer of a player stood at most this far away.
    let killerMaxUnits = 0;
    // Over skirmish.v1, players that are dead do not have the time until they respawn.
    let respawnMs = NaN;

    /**
     * Passes to the battle what must have happened since the last state, and then the state.
     * @param {unknown} list
     * @param {number} now
     * @param {boolean} [isReset] whether a round has begun since the last state
     */
    function take(list, now, isReset = false) {
      if (list === taken && !isReset) return;
      taken = list;
      /** @type {Map<string, RawState>} */
      const states = new Map();
      for (const raw of Array.isArray(list) ? list : []) {
        if (raw && Number.isFinite(raw.x) && Number.isFinite(raw.y)) states.set(String(raw.id), raw);
      }
      if (before === null) for (const [id, raw] of states) battle.put(id, raw);
      else if (isReset) reportReset(before, states, now);
      else reportChanges(before, states, now);
      for (const [id, raw] of states) settle(id, raw, now);
      before = states;
    }

    /**
     * Every player begins again.
     * @param {Map<string, RawState>} before
     * @param {Map<string, RawState>} states
     * @param {number} now
     */
    function reportReset(before, states, now) {
      for (const id of before.keys()) if (!states.has(id)) battle.left(id, now);
      for (const [id, raw] of states) {
        if (battle.has(id)) battle.respawned(id, raw, now);
        else battle.joined(id, raw, now);
      }
    }

    /**
     * @param {Map<string, RawState>} before
     * @param {Map<string, RawState>} states
     * @param {number} now
     */
    function reportChanges(before, states, now) {
      for (const id of before.keys()) if (!states.has(id)) battle.left(id, now);
      /** @type {Death[]} */
      const deaths = [];
      /** @type {[string, RawState][]} */
      const respawns = [];
      reportAttacks(before, states, now);
      for (const [id, raw] of states) {
        const old = battle.get(id);
        if (old === undefined) {
          battle.joined(id, raw, now);
          continue;
        }
        const hasDied = raw.deaths > old.deaths || (old.alive && raw.hp === 0);
        if (hasDied) deaths.push({ id, raw, at: old });
        else if (raw.hp < old.hp) battle.hit(id, raw.hp, now);
        // A page that missed seconds only sees that a player died and lives again.
        if (raw.hp > 0 && (hasDied || !old.alive)) respawns.push([id, raw]);
      }
      for (const { id, by, raw } of withKillers(deaths, states)) {
        battle.hit(id, 0, now);
        battle.killed(id, by, raw.respawn_ms ?? respawnMs, now);
      }
      for (const [id, raw] of respawns) battle.respawned(id, raw, now);
    }

    /**
     * @param {Map<string, RawState>} before
     * @param {Map<string, RawState>} states
     * @param {number} now
     */
    function reportAttacks(before, states, now) {
      for (const [id, { attack_tick: tick, facing }] of states) {
        const last = before.get(id)?.attack_tick;
        if (Number.isFinite(tick) && Number.isFinite(last) && tick !== last) {
          battle.attack(id, facing, now);
        }
      }
    }

    /**
     * Assigns each death to a player with one more kill than before, the nearest first.
     * @param {Death[]} deaths
     * @param {Map<string, RawState>} states
     */
    function withKillers(deaths, states) {
      /** @type {{ id: string, left: number }[]} */
      const killers = [];
      for (const [id, raw] of states) {
        const more = raw.kills - (battle.get(id)?.kills ?? raw.kills);
        if (more > 0) killers.push({ id, left: more });
      }
      const pairs = deaths.flatMap((death) => killers.filter(({ id }) => id !== death.id)
        .map((killer) => {
          return { death, killer, distance: distance(death.at, battle.get(killer.id)) };
        }));
      pairs.sort((a, b) => a.distance - b.distance);
      /** @type {Map<Death, string>} */
      const found = new Map();
      for (const { death, killer, distance } of pairs) {
        const isFar = killers.length > 1 && distance > killerMaxUnits;
        if (found.has(death) || killer.left === 0 || isFar) continue;
        killer.left--;
        found.set(death, killer.id);
      }
      return deaths.map((death) => ({ ...death, by: found.get(death) ?? null }));
    }

    /**
     * @param {string} id
     * @param {RawState} raw
     * @param {number} now
     */
    function settle(id, raw, now) {
      const player = battle.put(id, raw);
      const leftMs = raw.respawn_ms ?? respawnMs;
      if (player === null || player.alive || !Number.isFinite(leftMs)) return;
      // A state that is read late gives too late a time, so the earliest one counts.
      player.respawnAt = Math.min(player.respawnAt ?? Infinity, now + leftMs);
    }

    /** @param {Rules} rules */
    function begin({ numbers, step }) {
      before = taken = null;
      killerMaxUnits = numbers.reach + 4 * step;
      respawnMs = numbers.respawn_ms;
    }

    return { begin, take };
  };

  /** @typedef {{ id: string, raw: RawState, at: Fighter }} Death */

  /**
   * @param {Place} a
   * @param {Place | undefined} b
   */
  function distance(a, b) {
    return b === undefined ? Infinity : Math.hypot(a.x - b.x, a.y - b.y);
  }
}
