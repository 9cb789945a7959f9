// What happens in the arena, in words. Pure: somebody else shows and speaks them.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const nameOf = (player) => Skirmish.words.nameOf(player);

  Skirmish.battleWords = {
    // A line of the kill feed: { killer, victim }, of which the killer may be null.
    feed: ({ player, by }) => ({ killer: by && nameOf(by), victim: nameOf(player) }),

    // What a fact means to player `me`, to be read out; "" if it is nothing to them.
    toMe({ kind, player, by }, me) {
      if (kind === "killed" && player.id === me) {
        return by === null ? "You were killed." : `${nameOf(by)} killed you.`;
      }
      if (kind === "killed" && by?.id === me) return `You killed ${nameOf(player)}.`;
      return kind === "respawned" && player.id === me ? "You are back." : "";
    },

    fallen: (by) => (by === null ? "You were killed" : `${nameOf(by)} killed you`),

    // "Back in 3", counted down.
    back(respawnAt, now) {
      if (respawnAt === null) return "Back soon";
      return `Back in ${Math.max(1, Math.ceil((respawnAt - now) / 1000))}`;
    },

    // The arena for those who do not see it.
    arena(players, me) {
      const own = players.find((player) => player.id === me);
      const living = players.filter((one) => one.alive || one === own);
      const here = Skirmish.words.board(living, me, players.length);
      if (own === undefined) return here;
      const { reach } = Skirmish.ARENA;
      const near = players.filter((one) => one !== own && one.alive &&
        Math.hypot(one.x - own.x, one.y - own.y) <= reach).length;
      const health = own.alive ? `You have ${own.hp} health.` : "You are dead, and will be back.";
      return `${here} ${health} In your reach: ${near}.`;
    },
  };
})();
