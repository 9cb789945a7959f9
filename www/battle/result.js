// The rounds on the arena: the clock of the current one, and the result after it.
"use strict";
var Skirmish = Skirmish || {};
{
  const ROWS_MAX = 3;
  const SOON_MS = 10_500;
  const CLOCK_TOP_PX = 14;
  // Half of a player and its name.
  const PLAYER_PX = 24;

  Skirmish.createResult = function () {
    const byId = Skirmish.element;
    const [clock, result, rows] = [byId("round"), byId("result"), byId("result-rows")];
    const board = byId("board");
    /**
     * The best players when the round ended, the winner first.
     * @type {Fighter[]}
     */
    let best = [];
    let shown = "";

    /**
     * Keeps the scores of the round, since its players may leave.
     * @param {Round} round
     * @param {Fighter[]} players
     * @returns {Fighter | null} the winner, if it is known
     */
    function end({ winner }, players) {
      const ranked = Skirmish.ranking(players);
      const first = ranked.find(({ id }) => id === winner) ?? null;
      best = first === null ? ranked : [first, ...ranked.filter((one) => one !== first)];
      return first;
    }

    /**
     * @param {Round | null} round null if there are none, or no game
     * @param {Fighter[]} players
     * @param {string | null} me
     * @param {Box | undefined} map
     * @param {number} now
     */
    function show(round, players, me, map, now) {
      const isResult = round !== null && round.winner !== null;
      // To set it to what it is makes the browser compute the layout again.
      if (clock.hidden !== (round === null || isResult)) clock.hidden = !clock.hidden;
      if (result.hidden !== !isResult) result.hidden = !isResult;
      if (round === null) return;
      const leftMs = round.endsAt - now;
      if (!isResult) {
        best = [];
        Skirmish.putText("round-number", `Round ${round.number}`);
        Skirmish.putText("round-left", Skirmish.battleWords.clock(leftMs));
        clock.classList.toggle("soon", leftMs < SOON_MS);
        if (map !== undefined) place(players, map);
        return;
      }
      // A player that joins during the result has not seen the end.
      if (best.length === 0) end(round, players);
      const winner = best[0]?.id === round.winner ? best[0] : null;
      Skirmish.putText("result-round", `Round ${round.number}`);
      Skirmish.putText("result-winner", Skirmish.battleWords.winner(winner, me));
      Skirmish.putText("result-next", `Next round in ${Math.max(1, Math.ceil(leftMs / 1000))}`);
      showRows(best.slice(0, ROWS_MAX), me);
    }

    /**
     * Moves the clock from the upper to the lower left corner while it would cover a player there.
     * @param {Fighter[]} players
     * @param {Box} map
     */
    function place(players, map) {
      const { clientWidth: side } = board;
      const perUnit = side / Math.max(map.right - map.left, map.bottom - map.top);
      const right = clock.offsetLeft + clock.offsetWidth + PLAYER_PX - side / 2;
      const bottom = side / 2 - CLOCK_TOP_PX - clock.offsetHeight - PLAYER_PX;
      /** @param {number} sign -1 is up */
      const isCovered = (sign) => players.some(({ x, y, alive }) => alive &&
        (x - (map.left + map.right) / 2) * perUnit < right &&
        (y - (map.top + map.bottom) / 2) * perUnit * sign > bottom);
      clock.classList.toggle("low", isCovered(-1) && !isCovered(1));
    }

    /**
     * @param {Fighter[]} players
     * @param {string | null} me
     */
    function showRows(players, me) {
      const lines = players.map((player) => ({
        name: Skirmish.words.nameOf(player), kills: player.kills, isOwn: player.id === me,
      }));
      const text = JSON.stringify(lines);
      if (text === shown) return;
      shown = text;
      rows.replaceChildren(...lines.map(({ name, kills, isOwn }) => {
        const row = document.createElement("li");
        const [label, count] = ["span", "b"].map((tag) => document.createElement(tag));
        if (isOwn) row.className = "me";
        label.textContent = name;
        count.textContent = `${kills} kill${kills === 1 ? "" : "s"}`;
        row.append(label, " ", count);
        return row;
      }));
    }

    function clear() {
      best = [];
      clock.hidden = result.hidden = true;
    }

    return { end, show, clear };
  };
}
