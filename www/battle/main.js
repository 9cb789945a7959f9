// The page of the battle: takes the parts and joins them.
"use strict";
(function () {
  const Skirmish = window.Skirmish;

  const RULES = "battle";
  // What stays in the address when the player goes to another room.
  const KEEP = ["dialect"];
  const SNAP_UNITS = 30;
  const HUD_EVERY_MS = 250;
  // A server that is well says something at least once in a second, if only to a ping.
  const LATE_MS = 2500;

  const { ARENA } = Skirmish;
  const address = Skirmish.address(location.href, { room: "battle", rules: RULES, keep: KEEP });
  const battle = Skirmish.createBattle({ onFact });
  const motion = Skirmish.createMotion({ snap: SNAP_UNITS });
  const prediction = Skirmish.createPrediction({ ...ARENA, snap: SNAP_UNITS });
  const view = Skirmish.createBattleView(document.getElementById("canvas"));
  const panel = Skirmish.createPanel();
  const hud = Skirmish.createHud({ address, onRetry: () => dialect && dialect.retryNow() });
  let dialect = null;
  let open = false;
  let me = null;
  let room = "";
  let lastTick = null;
  // Who killed us last.
  // Who has killed us: null if nobody knows, undefined until we are told of it.
  let killer;

  function onBegin({ id, room: name, rules }) {
    if (typeof rules === "string" && rules !== RULES) {
      dialect.stop(Skirmish.elsewhere({ room: name, rules }, location.href));
      return;
    }
    me = id;
    killer = undefined;
    for (const part of [motion, prediction]) part.clear();
    for (const part of [view, panel]) part.forget();
    // Socket.IO does not tell: then it is the room that we asked for.
    room = typeof name === "string" ? name : new URL(address.url).searchParams.get("room") ?? "";
    hud.put("room", room || "–");
    if (rules === undefined && !room.startsWith(RULES)) checkRules(room);
  }

  // Who is not told the rules of a room finds them in the list of rooms.
  async function checkRules(name) {
    const isAbroad = new URL(location.href).searchParams.get("server");
    const rooms = isAbroad ? null : await Skirmish.fetchRooms(location.href);
    const rules = rooms?.find((one) => one.name === name)?.rules;
    if (!open || room !== name || rules === undefined || rules === RULES) return;
    dialect.stop(Skirmish.elsewhere({ room, rules }, location.href));
  }

  // The battle is as it was at one moment.
  function onPicture(tick, now) {
    lastTick = tick;
    motion.push(battle.players(), tick, now);
    confirm(now);
  }

  function confirm(now) {
    const own = open && battle.own();
    if (own) prediction.confirm(own.x, own.y, now, dialect.rttMs());
  }

  function onFact(fact, now) {
    const { kind, player, by } = fact;
    const isMe = player.id === me;
    if (kind === "joined") hud.people([Skirmish.words.nameOf(player)], []);
    if (kind === "left" && !isMe) hud.people([], [Skirmish.words.nameOf(player)]);
    if (kind === "hit") {
      view.hit(player, fact.amount, now);
      if (by !== null && by.id !== me) view.swing(by, false, now);
      if (isMe) view.shock(now);
    }
    if (kind === "killed") {
      view.death(player, now);
      panel.killed(fact, me);
      if (isMe) killer = by;
    }
    if (kind === "respawned") {
      view.spawn(player, now);
      if (isMe) {
        prediction.clear();
        killer = undefined;
      }
    }
    const words = Skirmish.battleWords.toMe(fact, me);
    if (words !== "") hud.say(words);
  }

  function onState(status) {
    open = status.state === "open";
    hud.state(status);
    showNumbers();
  }

  function step(direction) {
    if (dialect === null) return;
    dialect.pressed();
    const place = prediction.ahead(direction);
    if (place === null || !battle.own()?.alive) return;
    if (dialect.move(direction, place)) prediction.sent(direction, performance.now());
  }

  function attack() {
    if (dialect === null) return;
    dialect.pressed();
    const own = battle.own();
    if (!own?.alive || !dialect.attack()) return;
    const now = performance.now();
    battle.swung(now);
    view.swing(own, true, now);
  }

  function showNumbers() {
    const now = performance.now();
    // Where facts are told, nothing is told of a step that was not taken.
    confirm(now);
    const players = open ? battle.players() : [];
    const own = open ? battle.own() : undefined;
    const rtt = open ? dialect.rttMs() : null;
    hud.put("my-id", own ? own.name || me : "–");
    hud.put("health", own ? own.hp : "–");
    hud.put("ping", rtt === null ? "–" : rtt < 1 ? "<1 ms" : `${Math.round(rtt)} ms`);
    hud.put("via", (open && dialect.transport()) || "–");
    hud.put("players", Skirmish.words.count(players.length));
    panel.scores(players, me);
    panel.dead(own, killer, now);
    // A hidden page may be asleep, so that it hears nothing proves nothing.
    const late = open && !document.hidden && now - dialect.toldAt() > LATE_MS;
    hud.late(late);
    const people = Skirmish.words.count(players.length);
    hud.title(!open || late ? "" : room === "" ? people : `${room}, ${people}`);
    hud.board(own ? Skirmish.battleWords.arena(players, me) : "The arena. Not connected.", now);
  }

  function draw(now) {
    const place = prediction.glide(now);
    const players = motion.sample(now).map((seen) => {
      const { hp, alive, respawnAt } = battle.get(seen.id) ?? seen;
      // Health is of now, and so is death. Who is back is shown where that is, when it is.
      if (seen.id !== me) return { ...seen, hp, alive: alive && seen.alive, respawnAt };
      return { ...seen, hp, alive, respawnAt, ...(alive && place) };
    });
    view.draw(players, me, now);
  }

  function onShown() {
    motion.skip();
    prediction.skip();
    view.forget();
  }

  async function start() {
    if (address.error) return refuse(address.error, address.out);
    const { name, io, error } = await Skirmish.chooseDialect(location.href);
    if (error) {
      const { searchParams } = new URL(location.href);
      searchParams.delete("dialect");
      const out = Skirmish.pageWith(location.href, Object.fromEntries(searchParams));
      return refuse(error, out, "Play with what there is");
    }
    const parts = { battle, onBegin, onPicture, onState };
    if (name === "json") dialect = Skirmish.createJsonDialect({ ...parts, address });
    else {
      const there = Skirmish.socketIoAddress(address, location.href);
      dialect = Skirmish.createSocketIoDialect({ ...parts, io, address: there });
    }
  }

  function refuse(sentence, out, outLabel) {
    onState({ state: "stopped", sentence, until: null, button: false, code: null, out, outLabel });
  }

  const pad = document.getElementById("pad");
  Skirmish.createInput({ pad, onStep: step });
  Skirmish.createTrigger({ button: document.getElementById("attack"), ...ARENA, onAttack: attack });
  Skirmish.createJoin({ pageHref: location.href, rules: RULES, keep: KEEP });
  hud.state({ state: "connecting", sentence: "", until: null, button: false });
  view.whenResized(() => draw(performance.now()));
  setInterval(showNumbers, HUD_EVERY_MS);
  Skirmish.createLoop({ draw, onShown });
  start();

  // For tests: what the server last said.
  Skirmish.game = Object.freeze({
    snapshot: () => ({
      id: open ? me : null,
      // Where ticks are not told, time will do.
      tick: lastTick ?? Math.floor(performance.now() / 50),
      players: open ? battle.players().map((player) => ({ ...player })) : [],
    }),
  });
})();
