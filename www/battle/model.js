// Who is in the arena and what has happened to them. Both dialects feed it: with facts, one at a
// time. It knows no dialect, and what it is told it looks at first. Pure: time is an argument.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  Skirmish.ARENA = Object.freeze({
    size: 100, step: 5, low: 0, high: 100,
    reach: 10, hpMost: 100, cooldownMs: 250, respawnMs: 3000,
  });
  const { reach, step, hpMost } = Skirmish.ARENA;
  // An attack of our own explains the hits of this long.
  const SWING_EXPLAINS_MS = 500;

  // createBattle({ onFact }) calls onFact({ kind, player, ... }, now), where kind is joined, left,
  // hit (amount, by: who it was, or null if it may have been several), killed (by), or respawned.
  Skirmish.createBattle = function ({ onFact }) {
    let me = null;
    let known = {};
    let swungAt = -Infinity;
    // Players are { id, name, color, x, y, hp, kills, deaths, alive, respawnAt }.
    let players = new Map();

    // `ours` is what we know of ourselves before we are told: a name.
    function begin(id, ours = {}) {
      me = id;
      known = ours;
      swungAt = -Infinity;
      players = new Map();
    }

    // The player with what `raw` says of it; null if nobody knows where it is.
    function merged(id, raw) {
      const unknown = { id, name: "", color: "", hp: hpMost, kills: 0, deaths: 0, respawnAt: null };
      const player = players.get(id) ?? { ...unknown, ...(id === me && known) };
      // What the page was told once it may still hold: nothing changes under it.
      const next = { ...player };
      for (const key of ["x", "y"]) if (Number.isFinite(raw?.[key])) next[key] = raw[key];
      for (const key of ["hp", "kills", "deaths"]) {
        if (Number.isFinite(raw?.[key])) next[key] = Math.max(0, raw[key]);
      }
      for (const key of ["name", "color"]) {
        if (typeof raw?.[key] === "string") next[key] = raw[key];
      }
      next.alive = next.hp > 0;
      if (next.alive) next.respawnAt = null;
      return Number.isFinite(next.x) && Number.isFinite(next.y) ? next : null;
    }

    // What is so now, and no news.
    function put(id, raw) {
      const player = merged(id, raw);
      if (player !== null) players.set(id, player);
      return player;
    }

    function joined(id, raw, now) {
      const player = put(id, raw);
      if (player !== null && id !== me) onFact({ kind: "joined", player }, now);
    }

    function left(id, now) {
      const player = players.get(id);
      if (players.delete(id)) onFact({ kind: "left", player }, now);
    }

    function hit(id, hp, now) {
      const before = players.get(id);
      if (before === undefined || !before.alive || !Number.isFinite(hp)) return;
      const by = striker(before, now);
      const player = put(id, { hp });
      const amount = Math.max(0, before.hp - player.hp);
      onFact({ kind: "hit", player, amount, by }, now);
    }

    // No dialect says who hits. Who stands alone beside the one who was hit, has done it.
    function striker(victim, now) {
      const near = Array.from(players.values()).filter((one) => one.id !== victim.id && one.alive &&
        Math.hypot(one.x - victim.x, one.y - victim.y) <= reach + step);
      const mine = now - swungAt <= SWING_EXPLAINS_MS && near.find((one) => one.id === me);
      return mine || (near.length === 1 && near[0].id !== me ? near[0] : null);
    }

    // `by` is an id, or null if nobody knows.
    function killed(id, by, respawnMs, now) {
      const victim = players.get(id);
      if (victim === undefined) return;
      const killer = players.get(by) ?? null;
      if (killer !== null) players.set(by, { ...killer, kills: killer.kills + 1 });
      const player = put(id, { hp: 0, deaths: victim.deaths + 1 });
      player.respawnAt = Number.isFinite(respawnMs) ? now + respawnMs : null;
      onFact({ kind: "killed", player, by: killer }, now);
    }

    function respawned(id, raw, now) {
      const player = put(id, { hp: hpMost, ...raw });
      if (player !== null) onFact({ kind: "respawned", player }, now);
    }

    return {
      begin, put, joined, left, hit, killed, respawned,
      // We attack.
      swung: (now) => (swungAt = now),
      has: (id) => players.has(id),
      get: (id) => players.get(id),
      own: () => players.get(me),
      players: () => Array.from(players.values()),
    };
  };

  // The best first: most kills, then fewest deaths, then who is here longest.
  Skirmish.ranking = function (players) {
    return Array.from(players).sort((a, b) =>
      b.kills - a.kills || a.deaths - b.deaths || Number(a.id) - Number(b.id));
  };
})();
