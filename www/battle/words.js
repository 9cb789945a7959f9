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
      const isBack = fact.kind === "respawned" && !fact.wasAlive && fact.player.id === me;
      return isBack ? "You are back." : "";
    },

    /**
     * @param {Fighter | null} winner null if unknown
     * @param {string | null} me
     */
    winner(winner, me) {
      if (winner === null) return "The round is over";
      return winner.id === me ? "You win!" : `${nameOf(winner)} wins`;
    },

    /**
     * The end of a round for screen readers.
     * @param {number} round
     * @param {Fighter | null} winner
     * @param {string | null} me
     */
    ended(round, winner, me) {
      if (winner === null) return `Round ${round} is over.`;
      const kills = `${winner.kills} kill${winner.kills === 1 ? "" : "s"}`;
      const name = winner.id === me ? "You win" : `${nameOf(winner)} wins`;
      return `Round ${round} is over. ${name} with ${kills}.`;
    },

    /** @param {number} ms */
    clock(ms) {
      const seconds = Math.max(0, Math.ceil(ms / 1000));
      return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
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
