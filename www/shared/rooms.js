// The rooms of the server that sent the page.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} Room
 * @property {string} name
 * @property {string} rules
 * @property {number} players people only: bots are counted apart
 * @property {number} bots
 * @property {boolean} isFull whether no person can join: a bot leaves when one does
 */

{
  const ANSWER_MAX_MS = 5000;

  /**
   * The page of each game, by the rules of its rooms.
   * @type {Readonly<Record<string, string>>}
   */
  Skirmish.PAGES = Object.freeze({
    dots: "client.html", battle: "battle.html", world: "world.html",
  });

  /**
   * The rooms, the fullest first; null if the server does not answer.
   * @param {string} pageHref
   * @returns {Promise<Room[] | null>}
   */
  Skirmish.fetchRooms = async function (pageHref) {
    if (!/^https?:/.test(pageHref)) return null;
    try {
      const signal = AbortSignal.timeout(ANSWER_MAX_MS);
      const answer = await fetch(new URL("rooms", pageHref), { signal });
      return answer.ok ? Skirmish.readRooms(await answer.json()) : null;
    } catch {
      return null;
    }
  };

  /**
   * @param {any[]} rows
   * @returns {Room[]}
   */
  Skirmish.readRooms = function (rows) {
    return rows
      .filter((row) => typeof row?.name === "string" && typeof row.rules === "string")
      .map(({ name, rules, players: all, bots: some, cap }) => {
        // Older servers send no bots.
        const [count, bots, most] = [all, some, cap].map((one) => Number(one) || 0);
        const players = Math.max(0, count - bots);
        return { name, rules, players, bots, isFull: most > 0 && players >= most };
      })
      .sort((a, b) => b.players - a.players);
  };

  /**
   * A room keeps the game for which it was created. For a player on the page of another game: the
   * sentence, and the page that plays it, if there is one.
   * @param {{ room: string, rules: string }} room
   * @param {string} pageHref
   * @returns {{ sentence: string, out: string | null, outLabel?: string }}
   */
  Skirmish.elsewhere = function ({ room, rules }, pageHref) {
    const sentence = `The room “${room}” plays ${rules}.`;
    if (!Object.hasOwn(Skirmish.PAGES, rules)) return { sentence, out: null };
    const { searchParams } = new URL(pageHref);
    const [server, name] = ["server", "name"].map((key) => searchParams.get(key) || "");
    const page = new URL(Skirmish.PAGES[rules], pageHref);
    const out = Skirmish.pageWith(page, { server, room, name });
    return { sentence, out, outLabel: `Play ${rules} there` };
  };
}
