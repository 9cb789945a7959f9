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
  const whole = Skirmish.createWholeSource(battle, () => page.game());
  /** @type {ReturnType<typeof Skirmish.createCellsSource> | null} */
  let cells = null;
  /** @type {Choice["name"]} */
  let dialect = "none";
  /** @type {WorldFighter[]} */
  let scored = [];
  let scoredAt = -Infinity;

  const source = () => cells ?? whole;
  /** @type {ReturnType<typeof Skirmish.createFight<WorldFighter>>} */
  const fight = Skirmish.createFight({
    battle, view, panel, onBegin, createV1Driver,
    // A world has none. The drivers take them for the battle.
    rounds: Skirmish.createRounds({ onEnd() {}, onBegin() {} }),
    page: () => page,
    own: () => source().own(),
    onDialect: (name) => void (dialect = name),
    // In a large room there are too many.
    announces: false,
  });
  /** @type {PageOptions<Fighter>} */
  const options = {
    rules: RULES,
    numbers: ["hp", "reach", "cooldown_ms", "respawn_ms"],
    defaults: Skirmish.worldDefaults,
    lateMs: LATE_MS,
    view,
    move: fight.move,
    turned: (direction) => source().own()?.alive && view.face(direction),
    players: () => source().players(),
    draw: (place, now) =>
      view.drawFrame(place, /** @type {Game<Fighter>} */ (page.game()).rules, now),
    explain,
    showNumbers,
  };
  const page = Skirmish.createPage(options);

  /** @type {BattleEvents["onBegin"]} */
  function onBegin(welcome) {
    const rules = fight.begin(welcome);
    if (rules === null) return null;
    const { session } = /** @type {{ session?: V1Session }} */ (welcome);
    cells = session === undefined ? null : Skirmish.createCellsSource(session, fight.onFact);
    if (cells === null) battle.begin(welcome.id, rules, { name: welcome.name });
    view.show(source());
    scored = [];
    scoredAt = -Infinity;
    return rules;
  }

  /**
   * A fact from the model of a dialect that sends all players.
   * @param {Fact} fact
   * @param {number} now
   */
  function onWholeFact(fact, now) {
    const player = whole.withKey(fact.player);
    const by = "by" in fact && fact.by !== null ? whole.withKey(fact.by) : null;
    if (fact.kind === "left") whole.forget(player.id);
    fight.onFact({ ...fact, player, by }, now);
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    const me = page.game()?.me ?? null;
    const own = page.isOpen() ? source().own() : undefined;
    if (!page.isOpen()) scored = [];
    else if (now - scoredAt >= SCORES_EVERY_MS) {
      scored = source().players();
      scoredAt = now;
    }
    fight.showNumbers(own, scored.length, now);
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

  /** @type {typeof Skirmish.createV1Driver} */
  function createV1Driver(options) {
    return Skirmish.createV1Driver({
      ...options,
      onTick: () => page.wake(),
      onEvent: (_, kind, values) => cells?.take(kind, values, performance.now()),
    });
  }

  /** For tests: what the last frame has drawn. */
  Skirmish.world = Object.freeze({ drawn: view.drawn });
  fight.start();
}
