// What the pages of the battle and of the world have in common: what they show and play of what
// happens, the attacks of the own player, and the connection.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What shows a fight.
 * @template {Fighter} P
 * @typedef {object} FightView
 * @property {(direction: Direction | null) => void} face
 * @property {(player: P, isOwn: boolean, now: number) => void} swing
 * @property {(player: P, amount: number, now: number) => void} hit
 * @property {(player: P, now: number) => void} death
 * @property {(player: P, now: number) => void} spawn
 * @property {(now: number) => void} shock
 */

/**
 * @template {Fighter} P
 * @typedef {Fact & { player: P, by?: P | null }} FightFact
 */

/**
 * @template {Fighter} P
 * @typedef {object} FightOptions
 * @property {Battle} battle
 * @property {FightView<P>} view
 * @property {ReturnType<typeof Skirmish.createPanel>} panel
 * @property {Rounds} rounds
 * @property {() => ReturnType<typeof Skirmish.createPage<Fighter>>} page
 * @property {() => P | undefined} own
 * @property {BattleEvents["onBegin"]} onBegin
 * @property {(dialect: Choice["name"]) => void} [onDialect]
 * @property {boolean} announces whether it says who joins and leaves
 * @property {typeof Skirmish.createV1Driver} createV1Driver
 */

/**
 * @template {Fighter} P
 * @param {FightOptions<P>} options
 */
Skirmish.createFight = function (options) {
  const { battle, view, panel, rounds, own, announces } = options;
  const sounds = Skirmish.createSounds(Skirmish.element("mute"));
  /** @type {Link<BattleConnection> | null} */
  let link = null;
  /**
   * The last killer of the own player; null if unknown, undefined before the server has sent it.
   * @type {Fighter | null | undefined}
   */
  let killer;

  const me = () => options.page().game()?.me ?? null;
  /** @param {string} name */
  const numberOf = (name) => options.page().game()?.rules.numbers[name];

  /**
   * A welcome for the page. Returns the rules; null if the page cannot play by them.
   * @param {Parameters<BattleEvents["onBegin"]>[0]} welcome
   */
  function begin(welcome) {
    // Socket.IO does not send the room: then it is the one that the page asked for.
    const { url } = options.page().address;
    const asked = url === undefined ? null : new URL(url).searchParams.get("room");
    const rules = options.page().begin({ ...welcome, room: welcome.room ?? asked });
    if (rules === null || options.page().game()?.isResumed) return rules;
    killer = undefined;
    panel.clear();
    return rules;
  }

  /**
   * @param {FightFact<P>} fact
   * @param {number} now
   */
  function onFact(fact, now) {
    const { hud, game, wake } = options.page();
    const { player } = fact;
    const isMe = player.id === me();
    switch (fact.kind) {
      case "joined":
        if (announces) hud.people([Skirmish.words.nameOf(player)], []);
        break;
      case "left":
        if (announces && !isMe) hud.people([], [Skirmish.words.nameOf(player)]);
        break;
      case "hit":
        view.hit(player, fact.amount, now);
        if (!battle.sendsAttacks() && fact.by && fact.by.id !== me()) {
          view.swing(fact.by, false, now);
        }
        if (isMe) view.shock(now);
        if (isMe) sounds.play("hurt");
        else if (fact.by && fact.by.id === me()) sounds.play("hit");
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
        panel.killed(fact, me());
        if (isMe) killer = fact.by;
        if (isMe) sounds.play("death");
        else if (fact.by && fact.by.id === me()) sounds.play("kill");
        else playAway("death", player);
        break;
      case "respawned":
        view.spawn(player, now);
        if (isMe) {
          game()?.prediction.clear();
          killer = undefined;
          if (!fact.wasAlive) sounds.play("respawn");
        }
        break;
    }
    wake();
    const words = Skirmish.battleWords.toMe(fact, me());
    if (words !== "") hud.say(words);
  }

  /**
   * The sound of another player, by where it is.
   * @param {Sound} sound
   * @param {Fighter} player
   */
  function playAway(sound, { x, y }) {
    const [ownPlayer, reach] = [own(), numberOf("reach")];
    if (ownPlayer === undefined || reach === undefined) return;
    const gain = Skirmish.loudness(Math.hypot(x - ownPlayer.x, y - ownPlayer.y), reach);
    const pan = Math.max(-1, Math.min(1, (x - ownPlayer.x) / (5 * reach)));
    sounds.play(sound, { gain, pan });
  }

  /** @type {PageOptions<Fighter>["move"]} */
  function move(direction, place) {
    if (place === null || !own()?.alive) return false;
    view.face(direction);
    return link?.connection()?.move(direction, place);
  }

  function onAttack() {
    link?.pressed();
    const attacker = own();
    if (!attacker?.alive || !link?.connection()?.attack()) return;
    const now = performance.now();
    battle.attacked(now);
    sounds.play("swing");
    view.swing(attacker, true, now);
    options.page().wake();
  }

  /**
   * The numbers beside the arena that are about the own player, and how many players there are.
   * @param {P | undefined} player
   * @param {number} count
   * @param {number} now
   */
  function showNumbers(player, count, now) {
    const { hud } = options.page();
    hud.put("my-id", player === undefined ? "–" : player.name || player.id);
    hud.put("health", player === undefined ? "–" : player.hp);
    hud.put("via", link?.connection()?.transport() || "–");
    hud.put("players", Skirmish.words.count(count));
    panel.countDown(player, killer, now);
  }

  async function connect() {
    const page = options.page();
    if (page.address.error !== undefined) return;
    const choice = await Skirmish.dialect;
    options.onDialect?.(choice.name);
    if (choice.name === "none") {
      const out = Skirmish.withoutDialect(location.href);
      page.refuse(choice.error, out, "Play in another dialect");
      return;
    }
    /** @type {BattleEvents["onSnapshot"]} */
    const onSnapshot = (tick, now) => page.take(battle.players(), tick, now);
    const events = { battle, rounds, onBegin: options.onBegin, onSnapshot };
    link = page.connect((url) => {
      switch (choice.name) {
        case "json":
          return Skirmish.createBattleJsonDriver(url, events, Skirmish.createJsonDriver);
        case "v1":
          return Skirmish.createBattleJsonDriver(url, events, options.createV1Driver);
        case "socketio":
          return Skirmish.createSocketIoDriver(
            choice.io, Skirmish.socketIoAddress(url, location.href), events);
      }
    });
  }

  return {
    sounds, begin, onFact, move, showNumbers,
    /** Starts the page. */
    start() {
      Skirmish.createTrigger({
        button: Skirmish.element("attack"),
        cooldownMs: () => numberOf("cooldown_ms") ?? 0,
        onAttack,
      });
      options.page().start();
      connect();
    },
  };
};
