// What happens on the board, in words. Pure: somebody else shows and speaks them.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // Clockwise, as y grows downward.
  const WAYS = [
    "to the right", "to the lower right", "below", "to the lower left",
    "to the left", "to the upper left", "above", "to the upper right",
  ];

  Skirmish.words = {
    nameOf: (player) => player.name || `Player ${player.id}`,

    // "3 players", "1 player".
    count: (players) => `${players} player${players === 1 ? "" : "s"}`,

    // The board for those who do not see it; `count` are here, of whom `players` count as near.
    board(players, me, count = players.length) {
      const own = players.find((player) => player.id === me);
      const said = [`The board. Players here: ${count}.`];
      if (own === undefined) return said[0];
      said.push(`You are ${own.x} from the left and ${own.y} from the top.`);
      const away = (player) => Math.hypot(player.x - own.x, player.y - own.y);
      const others = players.filter((player) => player !== own);
      if (others.length === 0) return said.join(" ");
      const nearest = others.reduce((best, one) => (away(one) < away(best) ? one : best));
      said.push(`The nearest is ${Skirmish.words.nameOf(nearest)}, ${where(own, nearest)}.`);
      return said.join(" ");
    },

    // Who came and who went: lists of names.
    people(came, went) {
      const tell = (names, verb) => {
        if (names.length === 0) return [];
        if (names.length <= 2) return [`${names.join(" and ")} ${verb}.`];
        return [`${names.length} players have ${verb}.`];
      };
      return [...tell(came, "joined"), ...tell(went, "left")].join(" ");
    },
  };

  function where(from, to) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const distance = Math.round(Math.hypot(dx, dy));
    if (distance === 0) return "at the same place";
    const eighth = Math.round(Math.atan2(dy, dx) / (Math.PI / 4));
    return `${distance} away, ${WAYS[(eighth + 8) % 8]}`;
  }
})();
