// The battle: what its page does with what the server sends, in either dialect.
"use strict";
var Skirmish = Skirmish || {};
{
  const RULES = "battle";
  // The server answers a ping every second.
  const LATE_MS = 2500;

  const battle = Skirmish.createBattle({ onFact: (fact, now) => fight.onFact(fact, now) });
  const view = Skirmish.createBattleView(Skirmish.canvas());
  const panel = Skirmish.createPanel();
  const result = Skirmish.createResult();
  const rounds = Skirmish.createRounds({ onEnd, onBegin: onRound });
  /** @type {ReturnType<typeof Skirmish.createFight<Fighter>>} */
  const fight = Skirmish.createFight({
    battle, view, panel, rounds, onBegin,
    page: () => page,
    own: battle.own,
    announces: true,
    createV1Driver: Skirmish.createV1Driver,
  });
  /** @type {PageOptions<Fighter>} */
  const options = {
    rules: RULES,
    numbers: ["hp", "reach", "cooldown_ms", "respawn_ms"],
    defaults: Skirmish.battleDefaults,
    lateMs: LATE_MS,
    view,
    move: fight.move,
    turned: (direction) => battle.own()?.alive && view.face(direction),
    players: battle.players,
    drawn,
    showNumbers,
  };
  const page = Skirmish.createPage(options);
  const { hud } = page;

  /** @type {BattleEvents["onBegin"]} */
  function onBegin(welcome) {
    const rules = fight.begin(welcome);
    if (rules === null) return null;
    battle.begin(welcome.id, rules, { name: welcome.name });
    if (page.game()?.isResumed) return rules;
    view.face(null);
    rounds.clear();
    result.clear();
    return rules;
  }

  /** @type {Parameters<typeof Skirmish.createRounds>[0]["onEnd"]} */
  function onEnd(round) {
    const me = page.game()?.me ?? null;
    const winner = result.end(round, battle.players());
    fight.sounds.play(winner !== null && winner.id === me ? "win" : "end");
    hud.say(Skirmish.battleWords.ended(round.number, winner, me));
    showNumbers(performance.now());
  }

  /** @type {Parameters<typeof Skirmish.createRounds>[0]["onBegin"]} */
  function onRound(round) {
    fight.sounds.play("begin");
    hud.say(`Round ${round.number} begins.`);
    showNumbers(performance.now());
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    const me = page.game()?.me ?? null;
    const players = page.isOpen() ? battle.players() : [];
    const own = page.isOpen() ? battle.own() : undefined;
    fight.showNumbers(own, players.length, now);
    panel.scores(players, me);
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

  fight.start();
}
