// The battle: what its page does with what the server tells, in either dialect.
"use strict";
var Skirmish = Skirmish || {};
{
  const RULES = "battle";
  const SNAP_UNITS = 30;
  // The server answers a ping every second.
  const LATE_MS = 2500;

  const { ARENA } = Skirmish;
  const battle = Skirmish.createBattle({ onFact });
  /** @type {ReturnType<typeof Skirmish.createMotion<Fighter>>} */
  const motion = Skirmish.createMotion({ snap: SNAP_UNITS });
  const prediction = Skirmish.createPrediction({ ...ARENA, snap: SNAP_UNITS });
  const view = Skirmish.createBattleView(Skirmish.canvas());
  const panel = Skirmish.createPanel();
  const page = Skirmish.createPage({
    rules: RULES,
    defaults: { room: RULES, rules: RULES, keep: ["dialect"] },
    lateMs: LATE_MS,
    view,
    players,
    onStep,
    onShown() {
      motion.skip();
      prediction.skip();
    },
    showNumbers,
  });
  const { hud } = page;
  /** @type {Link<BattleConnection> | null} */
  let link = null;
  /** @type {number | null} */
  let lastTick = null;
  /**
   * The last killer of the own player; null if unknown, undefined before the server has told it.
   * @type {Fighter | null | undefined}
   */
  let killer;

  /** @type {BattleEvents["onBegin"]} */
  function onBegin(welcome) {
    // Socket.IO does not tell the room: then it is the one that the page asked for.
    const room = welcome.room ?? askedRoom();
    if (!page.begin({ ...welcome, room })) return;
    killer = undefined;
    motion.clear();
    prediction.clear();
    panel.clear();
    const isUnsure = welcome.rules === undefined && !page.room().startsWith(RULES);
    if (isUnsure) checkRules(page.room());
  }

  function askedRoom() {
    const { url } = page.address;
    return url === undefined ? null : new URL(url).searchParams.get("room");
  }

  /**
   * Socket.IO does not tell the rules of a room, so they are looked up in the list of rooms.
   * @param {string} room
   */
  async function checkRules(room) {
    const isForeign = new URL(location.href).searchParams.get("server");
    const rooms = isForeign ? null : await Skirmish.fetchRooms(location.href);
    const rules = rooms?.find((one) => one.name === room)?.rules;
    const isHere = page.isOpen() && page.room() === room;
    if (isHere && rules !== undefined && rules !== RULES) page.leaveFor(rules);
  }

  /** @type {BattleEvents["onSnapshot"]} */
  function onSnapshot(tick, now) {
    lastTick = tick;
    motion.push(battle.players(), tick, now);
    confirm(now);
  }

  /** @param {number} now */
  function confirm(now) {
    const own = page.isOpen() ? battle.own() : undefined;
    if (own !== undefined) prediction.confirm(own.x, own.y, now, link?.rttMs() ?? null);
  }

  /**
   * @param {Fact} fact
   * @param {number} now
   */
  function onFact(fact, now) {
    const { player } = fact;
    const me = page.me();
    const isMe = player.id === me;
    switch (fact.kind) {
      case "joined":
        hud.people([Skirmish.words.nameOf(player)], []);
        break;
      case "left":
        if (!isMe) hud.people([], [Skirmish.words.nameOf(player)]);
        break;
      case "hit":
        view.hit(player, fact.amount, now);
        if (fact.by !== null && fact.by.id !== me) view.swing(fact.by, false, now);
        if (isMe) view.shock(now);
        break;
      case "killed":
        view.death(player, now);
        panel.killed(fact, me);
        if (isMe) killer = fact.by;
        break;
      case "respawned":
        view.spawn(player, now);
        if (isMe) {
          prediction.clear();
          killer = undefined;
        }
        break;
    }
    const words = Skirmish.battleWords.toMe(fact, me);
    if (words !== "") hud.say(words);
  }

  /** @param {Direction} direction */
  function onStep(direction) {
    const place = prediction.ahead(direction);
    if (place === null || !battle.own()?.alive) return;
    const isSent = link?.connection()?.move(direction, place);
    if (isSent) prediction.sent(direction, performance.now());
  }

  function onAttack() {
    link?.pressed();
    const own = battle.own();
    if (!own?.alive || !link?.connection()?.attack()) return;
    const now = performance.now();
    battle.attacked(now);
    view.swing(own, true, now);
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    // Over Socket.IO nothing is told about a step that the server did not take.
    confirm(now);
    const me = page.me();
    const players = page.isOpen() ? battle.players() : [];
    const own = page.isOpen() ? battle.own() : undefined;
    hud.put("my-id", own === undefined ? "–" : own.name || own.id);
    hud.put("health", own === undefined ? "–" : own.hp);
    hud.put("via", link?.connection()?.transport() || "–");
    hud.put("players", Skirmish.words.count(players.length));
    panel.scores(players, me);
    panel.countDown(own, killer, now);
    if (own === undefined) return null;
    return { count: players.length, board: Skirmish.battleWords.arena(players, me) };
  }

  /**
   * @param {number} now
   * @returns {Fighter[]}
   */
  function players(now) {
    const place = prediction.glide(now);
    return motion.sample(now).map((seen) => {
      const { hp, alive, respawnAt } = battle.get(seen.id) ?? seen;
      // Health and death are shown at once. A respawn is shown with its place, a moment later.
      if (seen.id !== page.me()) return { ...seen, hp, alive: alive && seen.alive, respawnAt };
      return { ...seen, hp, alive, respawnAt, ...(alive && place) };
    });
  }

  async function connect() {
    const { address } = page;
    if (address.error !== undefined) return;
    const choice = await Skirmish.dialect;
    if (choice.name === "none") {
      const { searchParams } = new URL(location.href);
      searchParams.delete("dialect");
      const out = Skirmish.pageWith(location.href, Object.fromEntries(searchParams));
      page.refuse(choice.error, out, "Play in another dialect");
      return;
    }
    const { url } = address;
    const events = { battle, onBegin, onSnapshot };
    link = page.connect(choice.name === "json" ? Skirmish.createBattleJsonDriver(url, events)
      : Skirmish.createSocketIoDriver(
        choice.io, Skirmish.socketIoAddress(url, location.href), events));
  }

  const button = Skirmish.element("attack");
  Skirmish.createTrigger({ button, cooldownMs: ARENA.cooldownMs, onAttack });
  page.start();
  connect();

  // For tests: what the server told last.
  Skirmish.game = Object.freeze({
    snapshot: () => ({
      id: page.isOpen() ? page.me() : null,
      // Socket.IO does not tell ticks, so the time stands in for them.
      tick: lastTick ?? Math.floor(performance.now() / 50),
      players: page.isOpen() ? battle.players().map((player) => ({ ...player })) : [],
    }),
  });
}
