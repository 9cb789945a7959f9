// Sentences about what happens in the arena.
"use strict";
var Skirmish = Skirmish || {};
{
  const { nameOf } = Skirmish.words;

  Skirmish.battleWords = {
    /**
     * The names in a line of the kill feed.
     * @param {{ player: Fighter, by: Fighter | null }} kill
     */
    feed: ({ player, by }) => ({ killer: by && nameOf(by), victim: nameOf(player) }),

    /**
     * What a fact means to player `me`; "" if nothing.
     * @param {Fact} fact
     * @param {string | null} me
     */
    toMe(fact, me) {
      if (fact.kind === "killed" && fact.player.id === me) {
        return fact.by === null ? "You were killed." : `${nameOf(fact.by)} killed you.`;
      }
      if (fact.kind === "killed" && fact.by?.id === me) return `You killed ${nameOf(fact.player)}.`;
      return fact.kind === "respawned" && fact.player.id === me ? "You are back." : "";
    },

    /** @param {Fighter | null} by */
    dead: (by) => (by === null ? "You were killed" : `${nameOf(by)} killed you`),

    /**
     * @param {number | null} respawnAt
     * @param {number} now
     */
    back(respawnAt, now) {
      if (respawnAt === null) return "Back soon";
      return `Back in ${Math.max(1, Math.ceil((respawnAt - now) / 1000))}`;
    },

    /**
     * The arena for screen readers.
     * @param {Fighter[]} players
     * @param {string | null} me
     * @param {number} reach
     */
    arena(players, me, reach) {
      const own = players.find((player) => player.id === me);
      const living = players.filter((one) => one.alive || one === own);
      const board = Skirmish.words.board(living, me, players.length);
      if (own === undefined) return board;
      const near = players.filter((one) => one !== own && one.alive &&
        Math.hypot(one.x - own.x, one.y - own.y) <= reach).length;
      const health = own.alive ? `You have ${own.hp} health.` : "You are dead and will respawn.";
      return `${board} ${health} In your reach: ${near}.`;
    },
  };
}
