// The battle over the JSON dialect: whole states 20 times a second over a plain WebSocket.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // createJsonDialect({ address, battle, onBegin, onPicture, onState }) connects at once.
  // onBegin({ id, room, rules }) is a new player of ours; onPicture(tick, now) says that the battle
  // is as it was at one moment; onState is that of net.js.
  Skirmish.createJsonDialect = function ({ address, battle, onBegin, onPicture, onState }) {
    const states = Skirmish.createStates(battle);
    let toldAt = performance.now();

    function onMessage(message, now) {
      if (message.type === "init") {
        const { id, room, rules } = message;
        states.clear();
        battle.begin(String(id));
        onBegin({ id: String(id), room, rules });
      } else if (message.type === "state_update") {
        toldAt = now;
        states.take(message.players, now);
        onPicture(Number.isFinite(message.tick) ? message.tick : null, now);
      }
    }

    const link = Skirmish.createLink({ ...address, onMessage, onState });
    return {
      move: (direction) => link.send({ type: "move", direction }),
      attack: () => link.send({ type: "attack" }),
      pressed: link.pressed,
      retryNow: link.retryNow,
      stop: link.stop,
      rttMs: link.rttMs,
      // What the bytes go through, and when the server last said something about the game.
      transport: () => "websocket",
      toldAt: () => toldAt,
    };
  };
})();
