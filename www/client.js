// The page of the dots game: takes the parts and joins them. The rules of dots are these numbers.
"use strict";
(function () {
  const Skirmish = window.Skirmish;

  const MAP = { size: 500, grid: 50, step: 10, low: 10, high: 490 };
  const HUD_EVERY_MS = 250;
  const RATE_OVER_MS = 2000;

  const motion = Skirmish.createMotion();
  const prediction = Skirmish.createPrediction(MAP);
  const view = Skirmish.createView(document.getElementById("canvas"), MAP);
  const hud = Skirmish.createHud({ onRetry: () => link && link.retryNow() });
  let link = null;
  let open = false;
  let me = null;
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
    me = String(message.id);
    motion.clear();
    prediction.clear();
    view.forget();
    arrivals = [];
    hud.put("my-id", me);
    hud.put("room", typeof message.room === "string" ? message.room : "–");
  }

  function update(message, now) {
    const players = readPlayers(message.players);
    const tick = Number.isFinite(message.tick) ? message.tick : null;
    const before = motion.newest();
    motion.push(players, tick, now);
    const own = motion.newest().byId.get(me);
    if (own) prediction.confirm(own.x, own.y, now, link.rttMs());
    arrivals.push(now);
    if (before !== null) tellPeople(before.byId, motion.newest().byId);
  }

  function tellPeople(before, after) {
    const joined = [];
    let stayed = 0;
    for (const [id, player] of after) {
      if (before.has(id)) stayed++;
      else if (id !== me) joined.push(player.name || `Player ${id}`);
    }
    hud.people(joined, before.size - stayed);
  }

  function onState(status) {
    open = status.state === "open";
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
    const own = seen ? newest.byId.get(me) : undefined;
    const rtt = open ? link.rttMs() : null;
    if (!open) hud.put("my-id", "–");
    hud.put("players", seen ? newest.players.length : "–");
    hud.put("ping", rtt === null ? "–" : rtt < 1 ? "<1 ms" : `${Math.round(rtt)} ms`);
    hud.put("rate", seen && rate() !== null ? `${rate()}/s` : "–");
    hud.label(seen ? label(newest.players.length, own) : "The board. Not connected.");
  }

  function label(count, own) {
    const where = own ? ` You are ${own.x} from the left and ${own.y} from the top.` : "";
    return `The board. Players here: ${count}.${where}`;
  }

  // From the first to the last arrival, as soon as that is long enough to mean something.
  function rate() {
    if (arrivals.length < 2) return null;
    const span = arrivals[arrivals.length - 1] - arrivals[0];
    return span < 500 ? null : Math.round(((arrivals.length - 1) * 1000) / span);
  }

  function draw(now) {
    const place = prediction.glide(now);
    const players = motion.sample(now).map((player) =>
      player.id === me && place !== null ? { ...player, ...place } : player);
    view.draw(players, me, now);
  }

  let frame = 0;
  function loop() {
    draw(performance.now());
    frame = requestAnimationFrame(loop);
  }

  // A hidden page draws nothing; a page that is seen again draws what is so now, at once.
  function onVisibility() {
    cancelAnimationFrame(frame);
    if (document.hidden) return;
    motion.skip();
    prediction.skip();
    view.forget();
    loop();
  }

  Skirmish.createInput({ pad: document.getElementById("pad"), onStep: step });
  const address = Skirmish.address(location.href);
  if (address.error) {
    onState({ state: "stopped", sentence: address.error, until: null, button: false });
  } else {
    link = Skirmish.createLink({ ...address, onMessage, onState });
  }
  view.whenResized(() => draw(performance.now()));
  document.addEventListener("visibilitychange", onVisibility);
  setInterval(showNumbers, HUD_EVERY_MS);
  onVisibility();

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
