// The battle: what its page does with what the server sends, in either dialect.
"use strict";
var Skirmish = Skirmish || {};
{
  const RULES = "battle";
  // The server answers a ping every second.
  const LATE_MS = 2500;

  const battle = Skirmish.createBattle({ onFact });
  const view = Skirmish.createBattleView(Skirmish.canvas());
  const panel = Skirmish.createPanel();
  const result = Skirmish.createResult();
  const rounds = Skirmish.createRounds({ onEnd, onBegin: onRound });
  const sounds = Skirmish.createSounds(Skirmish.element("mute"));
  /** @type {PageOptions<Fighter>} */
  const options = {
    rules: RULES,
    numbers: ["hp", "reach", "cooldown_ms", "respawn_ms"],
    defaults: Skirmish.battleDefaults,
    lateMs: LATE_MS,
    view,
    move,
    turned: (direction) => battle.own()?.alive && view.face(direction),
    players: battle.players,
    drawn,
    showNumbers,
  };
  const page = Skirmish.createPage(options);
  const { hud } = page;
  /** @type {Link<BattleConnection> | null} */
  let link = null;
  /**
   * The last killer of the own player; null if unknown, undefined before the server has sent it.
   * @type {Fighter | null | undefined}
   */
  let killer;

  /** @type {BattleEvents["onBegin"]} */
  function onBegin(welcome) {
    // Socket.IO does not send the room: then it is the one that the page asked for.
    const rules = page.begin({ ...welcome, room: welcome.room ?? requestedRoom() });
    if (rules === null) return null;
    battle.begin(welcome.id, rules, { name: welcome.name });
    killer = undefined;
    view.face(null);
    rounds.clear();
    result.clear();
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
   * @param {Fact} fact
   * @param {number} now
   */
  function onFact(fact, now) {
    const { player } = fact;
    const me = page.game()?.me ?? null;
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
        if (!battle.sendsAttacks() && fact.by !== null && fact.by.id !== me) {
          view.swing(fact.by, false, now);
        }
        if (isMe) view.shock(now);
        if (isMe) sounds.play("hurt");
        else if (fact.by?.id === me) sounds.play("hit");
        else playAway("hit", player);
        break;
      case "attacked":
        // The own attack was shown when it was made.
        if (isMe) break;
        view.swing(player, false, now);
        playAway("swing", player);
        break;
      case "killed":
        view.death(player, now);
        panel.killed(fact, me);
        if (isMe) killer = fact.by;
        if (isMe) sounds.play("death");
        else if (fact.by?.id === me) sounds.play("kill");
        else playAway("death", player);
        break;
      case "respawned":
        view.spawn(player, now);
        if (isMe) {
          page.game()?.prediction.clear();
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
    const [own, reach] = [battle.own(), battle.numbers()?.reach];
    if (own === undefined || reach === undefined) return;
    const gain = Skirmish.loudness(Math.hypot(x - own.x, y - own.y), reach);
    sounds.play(sound, { gain, pan: Math.max(-1, Math.min(1, (x - own.x) / (5 * reach))) });
  }

  /** @type {Parameters<typeof Skirmish.createRounds>[0]["onEnd"]} */
  function onEnd(round) {
    const me = page.game()?.me ?? null;
    const winner = result.end(round, battle.players());
    sounds.play(winner !== null && winner.id === me ? "win" : "end");
    hud.say(Skirmish.battleWords.ended(round.number, winner, me));
    showNumbers(performance.now());
  }

  /** @type {Parameters<typeof Skirmish.createRounds>[0]["onBegin"]} */
  function onRound(round) {
    sounds.play("begin");
    hud.say(`Round ${round.number} begins.`);
    showNumbers(performance.now());
  }

  /** @type {PageOptions<Fighter>["move"]} */
  function move(direction, place) {
    if (place === null || !battle.own()?.alive) return false;
    view.face(direction);
    return link?.connection()?.move(direction, place);
  }

  function onAttack() {
    link?.pressed();
    const own = battle.own();
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
    const players = page.isOpen() ? battle.players() : [];
    const own = page.isOpen() ? battle.own() : undefined;
    hud.put("my-id", own === undefined ? "–" : own.name || own.id);
    hud.put("health", own === undefined ? "–" : own.hp);
    hud.put("via", link?.connection()?.transport() || "–");
    hud.put("players", Skirmish.words.count(players.length));
    panel.scores(players, me);
    panel.countDown(own, killer, now);
    result.show(own === undefined ? null : rounds.current(), players, me,
      page.game()?.rules.map, now);
    const reach = battle.numbers()?.reach;
    if (own === undefined || reach === undefined) return null;
    return { count: players.length, board: () => Skirmish.battleWords.arena(players, me, reach) };
  }

  /**
   * Health and death are shown at once. A respawn is shown with its place, a moment later.
   * @type {NonNullable<PageOptions<Fighter>["drawn"]>}
   */
  function drawn(seen, place) {
    const { hp, heals, alive, respawnAt } = battle.get(seen.id) ?? seen;
    if (place === null) return { ...seen, hp, heals, alive: alive && seen.alive, respawnAt };
    return { ...seen, hp, heals, alive, respawnAt, ...(alive && place) };
  }

  async function connect() {
    if (page.address.error !== undefined) return;
    const choice = await Skirmish.dialect;
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
          return Skirmish.createBattleJsonDriver(url, events, Skirmish.createV1Driver);
        case "socketio":
          return Skirmish.createSocketIoDriver(
            choice.io, Skirmish.socketIoAddress(url, location.href), events);
      }
    });
  }

  Skirmish.createTrigger({
    button: Skirmish.element("attack"),
    cooldownMs: () => battle.numbers()?.cooldown_ms ?? 0,
    onAttack,
  });
  page.start();
  connect();
}
