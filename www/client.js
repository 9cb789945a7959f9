// The page of the dots game: takes the parts and joins them. The rules of dots are these numbers.
"use strict";
(function () {
  const Skirmish = window.Skirmish;

  const RULES = "dots";
  const MAP = { size: 500, grid: 50, step: 10, low: 10, high: 490 };
  const HUD_EVERY_MS = 250;
  const RATE_OVER_MS = 2000;
  const RATE_LEAST_MS = 1000;
  // A server that is well tells where everybody is 20 times in a second.
  const LATE_MS = 2000;

  const address = Skirmish.address(location.href);
  const motion = Skirmish.createMotion();
  const prediction = Skirmish.createPrediction(MAP);
  const view = Skirmish.createView(document.getElementById("canvas"), MAP);
  const hud = Skirmish.createHud({ address, onRetry: () => link && link.retryNow() });
  let link = null;
  let open = false;
  let me = null;
  let room = "";
  // When the server last said where everybody is.
  let toldAt = 0;
  // Arrivals of the last seconds, from which the rate is counted.
  let arrivals = [];

  // What the server sent is only used after it was looked at: a page lives longer than a server.
  function readPlayers(list) {
    if (!Array.isArray(list)) return [];
    return list.filter((player) => player && Number.isFinite(player.x) && Number.isFinite(player.y))
      .map(({ id, x, y, color, name }) => ({
        id: String(id), x, y, color, name: typeof name === "string" ? name : "",
      }));
  }

  function onMessage(message, now) {
    if (message.type === "init") begin(message);
    else if (message.type === "state_update") update(message, now);
  }

  function begin(message) {
    if (typeof message.rules === "string" && message.rules !== RULES) {
      return link.stop(Skirmish.elsewhere(message, location.href));
    }
    me = String(message.id);
    motion.clear();
    prediction.clear();
    view.forget();
    arrivals = [];
    toldAt = performance.now();
    room = typeof message.room === "string" ? message.room : "";
    hud.put("room", room || "–");
  }

  function update(message, now) {
    const players = readPlayers(message.players);
    const tick = Number.isFinite(message.tick) ? message.tick : null;
    const before = motion.newest();
    motion.push(players, tick, now);
    const own = motion.newest().byId.get(me);
    if (own) prediction.confirm(own.x, own.y, now, link.rttMs());
    arrivals.push(now);
    toldAt = now;
    if (before !== null) tellPeople(before.byId, motion.newest().byId);
  }

  function tellPeople(before, after) {
    const without = (players, others) => Array.from(players.values())
      .filter(({ id }) => id !== me && !others.has(id)).map(Skirmish.words.nameOf);
    hud.people(without(after, before), without(before, after));
  }

  function onState(status) {
    open = status.state === "open";
    if (open) toldAt = performance.now();
    hud.state(status);
    showNumbers();
  }

  function step(direction) {
    if (link === null) return;
    link.pressed();
    if (link.send({ type: "move", direction })) prediction.sent(direction, performance.now());
  }

  function showNumbers() {
    const now = performance.now();
    arrivals = arrivals.filter((at) => now - at < RATE_OVER_MS);
    const newest = motion.newest();
    const seen = open && newest !== null;
    const players = seen ? newest.players : [];
    const count = players.length;
    const name = seen && newest.byId.get(me)?.name;
    const rtt = open ? link.rttMs() : null;
    hud.put("my-id", !open || me === null ? "–" : name ? `${name} (${me})` : me);
    hud.put("players", seen ? count : "–");
    hud.put("ping", rtt === null ? "–" : rtt < 1 ? "<1 ms" : `${Math.round(rtt)} ms`);
    hud.put("rate", seen && rate() !== null ? `${rate()}/s` : "–");
    // A hidden page may be asleep, so that it hears nothing proves nothing.
    const late = open && !document.hidden && now - toldAt > LATE_MS;
    hud.late(late);
    const people = Skirmish.words.count(count);
    hud.title(!seen || late ? "" : room === "" ? people : `${room}, ${people}`);
    hud.board(seen ? Skirmish.words.board(players, me) : "The board. Not connected.", now);
  }

  // From the first to the last arrival, as soon as that is long enough to mean something.
  function rate() {
    if (arrivals.length < 2) return null;
    const span = arrivals[arrivals.length - 1] - arrivals[0];
    return span < RATE_LEAST_MS ? null : Math.round(((arrivals.length - 1) * 1000) / span);
  }

  function draw(now) {
    const place = prediction.glide(now);
    const players = motion.sample(now).map((player) =>
      player.id === me && place !== null ? { ...player, ...place } : player);
    view.draw(players, me, now);
  }

  function onShown() {
    toldAt = performance.now();
    motion.skip();
    prediction.skip();
    view.forget();
  }

  Skirmish.createInput({ pad: document.getElementById("pad"), onStep: step });
  Skirmish.createJoin({ pageHref: location.href, rules: RULES });
  if (address.error) {
    const { error, out } = address;
    onState({ state: "stopped", sentence: error, until: null, button: false, code: null, out });
  } else {
    link = Skirmish.createLink({ ...address, onMessage, onState });
  }
  view.whenResized(() => draw(performance.now()));
  setInterval(showNumbers, HUD_EVERY_MS);
  Skirmish.createLoop({ draw, onShown });

  // For tests: what the server last said.
  Skirmish.game = Object.freeze({
    snapshot() {
      const newest = open ? motion.newest() : null;
      return {
        id: open ? me : null,
        tick: newest === null ? null : newest.tick,
        players: newest === null ? [] : newest.players.map((player) => ({ ...player })),
      };
    },
  });
})();
