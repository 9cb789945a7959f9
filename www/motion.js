// Where everybody is between two snapshots: drawn a little behind, so that there always is a next
// place to go to. Shared by every game page. Pure: time is an argument.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const TICK_MS = 50;
  const BEHIND_MS = 100;
  const BEHIND_MOST_MS = 1000;
  // Further than this in one step nobody walks: it is a new place, and drawn as one.
  const SNAP_UNITS = 60;
  const KEPT_MAX = 40;
  // A snapshot before its time proves that the way is shorter than thought; one after its time
  // proves little, for anything can be late.
  const TRUST_EARLY = 0.3;
  const TRUST_LATE = 0.05;

  // createMotion({ snap }): in a smaller map, less is too far.
  Skirmish.createMotion = function ({ snap = SNAP_UNITS } = {}) {
    // Snapshots, oldest first: { at, tick, arrived, players, byId }. `at` is the arrival with the
    // jitter of the network taken out.
    let kept = [];
    let interval = TICK_MS;
    let behind = BEHIND_MS;
    let drawnAt = -Infinity;

    // `tick` is null for a server that does not count.
    function push(players, tick, arrived) {
      const byId = new Map(players.map((player) => [player.id, player]));
      const last = newest();
      let at = arrived;
      if (last !== null) {
        const counted = tick !== null && last.tick !== null;
        if (counted && tick === last.tick) {
          Object.assign(last, { players, byId });
          return;
        }
        const measured = counted ? (tick - last.tick) * TICK_MS : arrived - last.arrived;
        const due = last.at + (counted ? measured : interval);
        const late = arrived - due;
        if (measured < 0 || Math.abs(late) > 4 * interval + 100) {
          clear();
        } else {
          at = Math.max(due + late * (late < 0 ? TRUST_EARLY : TRUST_LATE), last.at + 1);
          interval += (measured - interval) * 0.1;
        }
      }
      kept.push({ at, tick, arrived, players, byId });
      if (kept.length > KEPT_MAX) kept.shift();
      const wanted = Math.min(BEHIND_MOST_MS, Math.max(BEHIND_MS, interval * 1.5 + 25));
      behind += (wanted - behind) * 0.1;
    }

    // Everybody at `now`, as they came in push, with x and y between two snapshots.
    function sample(now) {
      if (kept.length === 0) return [];
      // Drawn time never runs backward, whatever the estimates above do.
      drawnAt = Math.max(drawnAt, now - behind);
      while (kept.length > 1 && kept[1].at <= drawnAt) kept.shift();
      const [from, to] = kept;
      if (to === undefined || drawnAt <= from.at) return from.players;
      const part = (drawnAt - from.at) / (to.at - from.at);
      return to.players.map((player) => between(from.byId.get(player.id), player, part));
    }

    function between(before, after, part) {
      // Nobody walks from where they died to where they are alive again.
      if (before === undefined || before.alive !== after.alive) return after;
      const dx = after.x - before.x;
      const dy = after.y - before.y;
      if (Math.hypot(dx, dy) > snap) return after;
      return { ...after, x: before.x + dx * part, y: before.y + dy * part };
    }

    function newest() {
      return kept.length === 0 ? null : kept[kept.length - 1];
    }

    // After a gap only the newest counts: nobody wants to watch what was missed.
    function skip() {
      kept = kept.slice(-1);
      drawnAt = -Infinity;
    }

    function clear() {
      kept = [];
      drawnAt = -Infinity;
    }

    return { push, sample, newest, skip, clear };
  };
})();
