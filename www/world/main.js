// The world: what its page does with what the server sends, in each dialect.
"use strict";
var Skirmish = Skirmish || {};
{
  const RULES = "world";
  // The server answers a ping every second.
  const LATE_MS = 2500;
  const SCORES_EVERY_MS = 1000;
  const FULL = 4013;

  const battle = Skirmish.createBattle({ onFact: onWholeFact });
  const view = Skirmish.createWorldView(Skirmish.canvas());
  const panel = Skirmish.createPanel();
  // A world has none. The drivers take them for the battle.
  const rounds = Skirmish.createRounds({ onEnd() {}, onBegin() {} });
  const sounds = Skirmish.createSounds(Skirmish.element("mute"));
  const whole = Skirmish.createWholeSource(battle, () => page.game());
  /** @type {ReturnType<typeof Skirmish.createCellsSource> | null} */
  let cells = null;
  /** @type {Link<BattleConnection> | null} */
  let link = null;
  /** @type {Choice["name"]} */
  let dialect = "none";
  /**
   * The last killer of the own player; null if unknown, undefined before the server has sent it.
   * @type {Fighter | null | undefined}
   */
  let killer;
  /** @type {WorldFighter[]} */
  let scored = [];
  let scoredAt = -Infinity;

  const source = () => cells ?? whole;
  /** @type {PageOptions<Fighter>} */
  const options = {
    rules: RULES,
    numbers: ["hp", "reach", "cooldown_ms", "respawn_ms"],
    defaults: Skirmish.worldDefaults,
    lateMs: LATE_MS,
    view,
    move,
    turned: (direction) => source().own()?.alive && view.face(direction),
    players: () => source().players(),
    draw: (place, now) =>
      view.drawFrame(place, /** @type {Game<Fighter>} */ (page.game()).rules, now),
    explain,
    showNumbers,
  };
  const page = Skirmish.createPage(options);
  const { hud } = page;

  /** @type {BattleEvents["onBegin"]} */
  function onBegin(welcome) {
    const rules = page.begin({ ...welcome, room: welcome.room ?? requestedRoom() });
    if (rules === null) return null;
    const { session } = /** @type {{ session?: V1Session }} */ (welcome);
    cells = session === undefined ? null : Skirmish.createCellsSource(session, onFact);
    if (cells === null) battle.begin(welcome.id, rules, { name: welcome.name });
    view.show(source());
    killer = undefined;
    scored = [];
    scoredAt = -Infinity;
    panel.clear();
    return rules;
  }

  function requestedRoom() {
    const { url } = page.address;
    return url === undefined ? null : new URL(url).searchParams.get("room");
  }

  /** @type {BattleEvents["onSnapshot"]} */
  function onSnapshot(tick, now) {
    page.take(battle.players(), tick, now);
  }

  /**
   * A fact from the model of a dialect that sends all players.
   * @param {Fact} fact
   * @param {number} now
   */
  function onWholeFact(fact, now) {
    const player = whole.withKey(fact.player);
    const isMe = player.id === page.game()?.me;
    if (fact.kind === "hit" && !battle.sendsAttacks() && fact.by !== null &&
      fact.by.id !== page.game()?.me) view.swing(whole.withKey(fact.by), false, now);
    if (fact.kind === "left") whole.forget(player.id);
    else if (isMe && fact.kind === "respawned") page.game()?.prediction.clear();
    onFact({ ...fact, player }, now);
  }

  /**
   * @param {Fact} fact
   * @param {number} now
   */
  function onFact(fact, now) {
    const player = /** @type {WorldFighter} */ (fact.player);
    const me = page.game()?.me ?? null;
    const isMe = player.id === me;
    switch (fact.kind) {
      case "joined":
      case "left":
        // In a large room there are too many to announce.
        return page.wake();
      case "hit":
        view.hit(player, fact.amount, now);
        if (isMe) view.shock(now);
        if (isMe) sounds.play("hurt");
        else playAway("hit", player);
        break;
      case "attacked":
        // The own attack was shown when it was made.
        if (isMe) break;
        view.swing(player, false, now);
        playAway("swing", player);
        break;
      case "killed":
        view.mark(player, "death", now);
        panel.killed(fact, me);
        if (isMe) killer = fact.by;
        if (isMe) sounds.play("death");
        else if (fact.by?.id === me) sounds.play("kill");
        else playAway("death", player);
        break;
      case "respawned":
        view.mark(player, "spawn", now);
        if (isMe) {
          killer = undefined;
          if (!fact.wasAlive) sounds.play("respawn");
        }
        break;
    }
    page.wake();
    const words = Skirmish.battleWords.toMe(fact, me);
    if (words !== "") hud.say(words);
  }

  /**
   * The sound of another player, by where it is.
   * @param {Sound} sound
   * @param {Fighter} player
   */
  function playAway(sound, { x, y }) {
    const [own, reach] = [source().own(), page.game()?.rules.numbers.reach];
    if (own === undefined || reach === undefined) return;
    const gain = Skirmish.loudness(Math.hypot(x - own.x, y - own.y), reach);
    sounds.play(sound, { gain, pan: Math.max(-1, Math.min(1, (x - own.x) / (5 * reach))) });
  }

  /** @type {PageOptions<Fighter>["move"]} */
  function move(direction, place) {
    if (place === null || !source().own()?.alive) return false;
    view.face(direction);
    return link?.connection()?.move(direction, place);
  }

  function onAttack() {
    link?.pressed();
    const own = source().own();
    if (!own?.alive || !link?.connection()?.attack()) return;
    const now = performance.now();
    battle.attacked(now);
    sounds.play("swing");
    view.swing(own, true, now);
    page.wake();
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    const me = page.game()?.me ?? null;
    const own = page.isOpen() ? source().own() : undefined;
    hud.put("my-id", own === undefined ? "–" : own.name || own.id);
    hud.put("health", own === undefined ? "–" : own.hp);
    hud.put("via", link?.connection()?.transport() || "–");
    panel.countDown(own, killer, now);
    if (!page.isOpen()) scored = [];
    else if (now - scoredAt >= SCORES_EVERY_MS) {
      scored = source().players();
      scoredAt = now;
    }
    hud.put("players", Skirmish.words.count(scored.length));
    panel.scores(scored, me);
    const reach = page.game()?.rules.numbers.reach;
    if (own === undefined || reach === undefined) return null;
    return { count: scored.length, board: () => Skirmish.battleWords.arena(scored, me, reach) };
  }

  /**
   * A room takes fewer players over the dialects that send all of them.
   * @param {Status} status
   * @returns {Status}
   */
  function explain(status) {
    if (status.code !== FULL || dialect === "v1") return status;
    return {
      ...status, code: null,
      sentence: "This room has too many players for a dialect that sends all of them.",
      out: Skirmish.withoutDialect(location.href), outLabel: "Play over skirmish.v1",
    };
  }

  async function connect() {
    if (page.address.error !== undefined) return;
    const choice = await Skirmish.dialect;
    dialect = choice.name;
    if (choice.name === "none") {
      const out = Skirmish.withoutDialect(location.href);
      page.refuse(choice.error, out, "Play in another dialect");
      return;
    }
    const events = { battle, rounds, onBegin, onSnapshot };
    link = page.connect((url) => {
      switch (choice.name) {
        case "json":
          return Skirmish.createBattleJsonDriver(url, events, Skirmish.createJsonDriver);
        case "v1":
          return Skirmish.createBattleJsonDriver(url, events, createV1Driver);
        case "socketio":
          return Skirmish.createSocketIoDriver(
            choice.io, Skirmish.socketIoAddress(url, location.href), events);
      }
    });
  }

  /** @type {typeof Skirmish.createV1Driver} */
  function createV1Driver(options) {
    return Skirmish.createV1Driver({
      ...options,
      onTick: () => page.wake(),
      onEvent: (_, kind, values) => cells?.take(kind, values, performance.now()),
    });
  }

  Skirmish.createTrigger({
    button: Skirmish.element("attack"),
    cooldownMs: () => page.game()?.rules.numbers.cooldown_ms ?? 0,
    onAttack,
  });
  /** For tests: what the last frame has drawn. */
  Skirmish.world = Object.freeze({ drawn: view.drawn });
  page.start();
  connect();
}
