// What stands around the arena: the kill feed, the score board, and how long one is dead. Text
// goes through textContent, and only when it has changed.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const FEED_MAX = 5;
  const FEED_FOR_MS = 6000;
  const FADES_MS = 1000;
  const ROWS_MAX = 10;

  Skirmish.createPanel = function () {
    const byId = (id) => document.getElementById(id);
    const [feed, rows, fallen, toggle] = [byId("feed"), byId("rows"), byId("fallen"), byId("toggle")];
    let shown = "";

    // On a small screen the board of scores lies over the arena, when it is asked for.
    toggle.addEventListener("click", () => {
      const isOn = document.body.toggleAttribute("data-scores");
      toggle.setAttribute("aria-pressed", String(isOn));
    });
    // The next Space is an attack, and no second click.
    toggle.addEventListener("mousedown", (event) => event.preventDefault());

    // A fact of the kind "killed".
    function killed(fact, me) {
      const { killer, victim } = Skirmish.battleWords.feed(fact);
      const line = document.createElement("li");
      const name = (text, player) => {
        const element = document.createElement("b");
        element.textContent = text;
        if (player.id === me) element.className = "me";
        return element;
      };
      const { player, by } = fact;
      if (killer === null) line.append(name(victim, player), " was killed");
      else line.append(name(killer, by), " killed ", name(victim, player));
      feed.append(line);
      while (feed.children.length > FEED_MAX) feed.firstChild.remove();
      setTimeout(() => line.classList.add("old"), FEED_FOR_MS);
      setTimeout(() => line.remove(), FEED_FOR_MS + FADES_MS);
    }

    // The best, and oneself wherever one stands.
    function scores(players, me) {
      const ranked = Skirmish.ranking(players).map((player, i) => ({ ...player, rank: i + 1 }));
      const best = ranked.slice(0, ROWS_MAX);
      const own = ranked.find(({ id }) => id === me);
      if (own !== undefined && own.rank > ROWS_MAX) best.push(own);
      const cells = best.map((player) => [
        player.rank, Skirmish.words.nameOf(player), player.kills, player.deaths, player.id === me,
        // Nobody tells us our own colour before we have died once; the arena draws this one.
        player.id === me && player.color === "" ? "var(--board-me)" : Skirmish.colorOf(player),
      ]);
      const text = JSON.stringify(cells);
      if (text === shown) return;
      shown = text;
      rows.replaceChildren(...cells.map(rowOf));
    }

    function rowOf([rank, name, kills, deaths, isOwn, color]) {
      const row = document.createElement("tr");
      if (isOwn) row.className = "me";
      const head = document.createElement("th");
      head.scope = "row";
      // The style sheet decides how a colour looks; only the colour itself comes from the server.
      const dot = document.createElement("i");
      dot.style.setProperty("--dot", color);
      head.append(dot, name);
      head.title = name;
      const cell = (value) => {
        const element = document.createElement("td");
        element.textContent = String(value);
        return element;
      };
      row.append(cell(rank), head, cell(kills), cell(deaths));
      return row;
    }

    // How long until one is back; nothing while one lives. `by` is who it was, null if nobody knows,
    // or undefined as long as nothing was told of it: the last blow is heard of first.
    function dead(own, by, now) {
      const isDead = own !== undefined && !own.alive && by !== undefined;
      fallen.hidden = !isDead;
      if (!isDead) return;
      put("fallen-by", Skirmish.battleWords.fallen(by));
      put("fallen-in", Skirmish.battleWords.back(own.respawnAt, now));
    }

    function put(id, text) {
      if (byId(id).textContent !== text) byId(id).textContent = text;
    }

    function forget() {
      feed.replaceChildren();
      fallen.hidden = true;
    }

    return { killed, scores, dead, forget };
  };
})();
