// What is around the arena: the kill feed, the scores, and the countdown of a dead player.
"use strict";
var Skirmish = Skirmish || {};
{
  const FEED_MAX = 5;
  const FEED_FOR_MS = 6000;
  const FADE_MS = 1000;
  const ROWS_MAX = 10;

  Skirmish.createPanel = function () {
    const byId = Skirmish.element;
    const [feed, rows, dead, toggle] = [byId("feed"), byId("rows"), byId("dead"), byId("toggle")];
    /**
     * Whose scores are shown.
     * @type {Fighter[]}
     */
    let scored = [];
    let shown = "";

    // On a small screen the button shows the scores over the arena.
    toggle.addEventListener("click", () => {
      const isOn = document.body.toggleAttribute("data-scores");
      toggle.setAttribute("aria-pressed", String(isOn));
    });
    // The button gets no focus, so that the next Space attacks and does not click it again.
    toggle.addEventListener("mousedown", (event) => event.preventDefault());

    /**
     * @param {{ player: Fighter, by: Fighter | null }} kill
     * @param {string | null} me
     */
    function killed(kill, me) {
      const { killer, victim } = Skirmish.battleWords.feed(kill);
      const line = document.createElement("li");
      /**
       * @param {string} text
       * @param {Fighter | null} player
       */
      const name = (text, player) => {
        const element = document.createElement("b");
        element.textContent = text;
        if (player?.id === me) element.className = "me";
        return element;
      };
      if (killer === null) line.append(name(victim, kill.player), " was killed");
      else line.append(name(killer, kill.by), " killed ", name(victim, kill.player));
      feed.append(line);
      while (feed.children.length > FEED_MAX) feed.firstElementChild?.remove();
      setTimeout(() => line.classList.add("old"), FEED_FOR_MS);
      setTimeout(() => line.remove(), FEED_FOR_MS + FADE_MS);
    }

    /**
     * Shows the best players, and the own one whatever its rank.
     * @param {Fighter[]} players
     * @param {string | null} me
     */
    function scores(players, me) {
      // A player with other scores is another object.
      const isSame = players.length === scored.length &&
        players.every((player, i) => player === scored[i]);
      if (isSame) return;
      scored = players;
      const ranked = Skirmish.ranking(players).map((player, i) => ({ ...player, rank: i + 1 }));
      const best = ranked.slice(0, ROWS_MAX);
      const own = ranked.find(({ id }) => id === me);
      if (own !== undefined && own.rank > ROWS_MAX) best.push(own);
      const scores = best.map((player) => ({
        rank: player.rank, name: Skirmish.words.nameOf(player), kills: player.kills,
        deaths: player.deaths, isOwn: player.id === me,
        // Over Socket.IO the own colour is unknown before the first respawn. The arena draws this.
        color: player.id === me && player.color === "" ? "var(--board-me)"
          : Skirmish.colorOf(player),
      }));
      const text = JSON.stringify(scores);
      if (text === shown) return;
      shown = text;
      rows.replaceChildren(...scores.map(rowOf));
    }

    /**
     * @param {{ rank: number, name: string, kills: number, deaths: number, isOwn: boolean,
     *   color: string }} score
     */
    function rowOf({ rank, name, kills, deaths, isOwn, color }) {
      const row = document.createElement("tr");
      if (isOwn) row.className = "me";
      const head = document.createElement("th");
      head.scope = "row";
      const dot = document.createElement("i");
      dot.style.setProperty("--dot", color);
      head.append(dot, name);
      head.title = name;
      /** @param {number} value */
      const cell = (value) => {
        const element = document.createElement("td");
        element.textContent = String(value);
        return element;
      };
      row.append(cell(rank), head, cell(kills), cell(deaths));
      return row;
    }

    /**
     * Shows how long the own player stays dead.
     * @param {Fighter | undefined} own
     * @param {Fighter | null | undefined} by the killer; null if unknown, undefined before the
     *   server has sent it, a moment after the last hit
     * @param {number} now
     */
    function countDown(own, by, now) {
      const isHidden = own === undefined || own.alive || by === undefined;
      // To set it to what it is makes the browser compute the layout again.
      if (dead.hidden !== isHidden) dead.hidden = isHidden;
      if (own === undefined || by === undefined || isHidden) return;
      Skirmish.putText("dead-by", Skirmish.battleWords.dead(by));
      Skirmish.putText("dead-for", Skirmish.battleWords.back(own.respawnAt, now));
    }

    function clear() {
      feed.replaceChildren();
      dead.hidden = true;
    }

    return { killed, scores, countDown, clear };
  };
}
