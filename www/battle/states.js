// From whole states, as the JSON dialect sends them, to the facts that lie between two of them.
// Pure: time is an argument.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const { reach, step } = Skirmish.ARENA;

  // createStates(battle).take(list, now) tells the battle what must have happened since the last
  // list, and then what is so.
  Skirmish.createStates = function (battle) {
    let before = null;

    function take(list, now) {
      const states = new Map();
      for (const raw of Array.isArray(list) ? list : []) {
        if (raw && Number.isFinite(raw.x) && Number.isFinite(raw.y)) states.set(String(raw.id), raw);
      }
      if (before === null) for (const [id, raw] of states) battle.put(id, raw);
      else tellChanges(states, now);
      for (const [id, raw] of states) settle(id, raw, now);
      before = states;
    }

    function tellChanges(states, now) {
      for (const id of before.keys()) if (!states.has(id)) battle.left(id, now);
      const deaths = [];
      const risen = [];
      for (const [id, raw] of states) {
        const old = battle.get(id);
        if (old === undefined) {
          battle.joined(id, raw, now);
          continue;
        }
        const hasDied = raw.deaths > old.deaths || (old.alive && raw.hp === 0);
        if (hasDied) deaths.push({ id, raw, at: old });
        else if (raw.hp < old.hp) battle.hit(id, raw.hp, now);
        // Whoever was asleep for seconds sees only that somebody died and is alive again.
        if (raw.hp > 0 && (hasDied || !old.alive)) risen.push([id, raw]);
      }
      for (const { id, by, raw } of withKillers(deaths, states)) {
        battle.hit(id, 0, now);
        battle.killed(id, by, raw.respawn_ms, now);
      }
      for (const [id, raw] of risen) battle.respawned(id, raw, now);
    }

    // Each death goes to one who has a kill more than before; where several have, to the nearest.
    function withKillers(deaths, states) {
      const killers = [];
      for (const [id, raw] of states) {
        const more = raw.kills - (battle.get(id)?.kills ?? raw.kills);
        if (more > 0) killers.push({ id, raw, left: more });
      }
      const pairs = deaths.flatMap((death) => killers.filter(({ id }) => id !== death.id)
        .map((killer) => ({ death, killer, away: distance(death.at, battle.get(killer.id)) })));
      pairs.sort((a, b) => a.away - b.away);
      const found = new Map();
      for (const { death, killer, away } of pairs) {
        const isFar = killers.length > 1 && away > reach + 4 * step;
        if (found.has(death) || killer.left === 0 || isFar) continue;
        killer.left--;
        found.set(death, killer.id);
      }
      return deaths.map((death) => ({ ...death, by: found.get(death) ?? null }));
    }

    function settle(id, raw, now) {
      const player = battle.put(id, raw);
      if (player.alive || !Number.isFinite(raw.respawn_ms)) return;
      // What is read late says too late a moment: of one death the earliest is right.
      player.respawnAt = Math.min(player.respawnAt ?? Infinity, now + raw.respawn_ms);
    }

    return { take, clear: () => (before = null) };
  };

  function distance(a, b) {
    return b === undefined ? Infinity : Math.hypot(a.x - b.x, a.y - b.y);
  }
})();
