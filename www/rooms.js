// Who plays where, told by the server that sent the page. Shared by every page.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // The page of each game, by the rules of its rooms.
  Skirmish.PAGES = Object.freeze({ dots: "client.html", battle: "battle.html" });

  // [{ name, rules, players, cap }], the fullest first; null if nobody can tell.
  Skirmish.fetchRooms = async function (pageHref) {
    if (!/^https?:/.test(pageHref)) return null;
    try {
      const answer = await fetch(new URL("rooms", pageHref), { signal: AbortSignal.timeout(5000) });
      return answer.ok ? Skirmish.readRooms(await answer.json()) : null;
    } catch {
      return null;
    }
  };

  Skirmish.readRooms = function (rows) {
    return rows
      .filter((row) => typeof row?.name === "string" && typeof row.rules === "string")
      .map(({ name, rules, players, cap }) =>
        ({ name, rules, players: Number(players) || 0, cap: Number(cap) || 0 }))
      .sort((a, b) => b.players - a.players);
  };

  // A room keeps the game for which it was made, whoever comes. For those who came to it by the
  // page of another game: { sentence, out, outLabel }, where `out` is null if no page plays it.
  Skirmish.elsewhere = function ({ room, rules }, pageHref) {
    const sentence = `The room “${room}” plays ${rules}.`;
    if (!Object.hasOwn(Skirmish.PAGES, rules)) return { sentence, out: null };
    const { searchParams } = new URL(pageHref);
    const [server, name] = ["server", "name"].map((key) => searchParams.get(key) || "");
    const page = new URL(Skirmish.PAGES[rules], pageHref);
    const out = Skirmish.pageWith(page, { server, room, name });
    return { sentence, out, outLabel: `Play ${rules} there` };
  };
})();
