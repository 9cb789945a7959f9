// The dots game: its rules, and what its page does with the messages of the server.
"use strict";
var Skirmish = Skirmish || {};
{
  const RULES = "dots";
  const MAP = { size: 500, grid: 50, step: 10, low: 10, high: 490 };
  const RATE_WINDOW_MS = 2000;
  const RATE_MIN_MS = 1000;
  // The server sends 20 states a second.
  const LATE_MS = 2000;

  const motion = Skirmish.createMotion();
  const prediction = Skirmish.createPrediction(MAP);
  const page = Skirmish.createPage({
    rules: RULES,
    lateMs: LATE_MS,
    view: Skirmish.createDotsView(Skirmish.canvas(), MAP),
    players,
    onStep,
    onShown() {
      motion.skip();
      prediction.skip();
    },
    showNumbers,
  });
  const { hud } = page;
  /** @type {Link<JsonConnection> | null} */
  let link = null;
  /**
   * The arrivals of the last states, from which the rate is computed.
   * @type {number[]}
   */
  let arrivals = [];

  /**
   * @param {any} message
   * @param {number} now
   */
  function onMessage(message, now) {
    if (message.type === "init" && page.begin(message)) {
      motion.clear();
      prediction.clear();
      arrivals = [];
    }
    if (message.type === "state_update") update(message, now);
  }

  /**
   * @param {any} message
   * @param {number} now
   */
  function update(message, now) {
    const before = motion.newest();
    const tick = Number.isFinite(message.tick) ? message.tick : null;
    motion.push(readPlayers(message.players), tick, now);
    const after = motion.newest();
    const own = ownPlayer();
    if (own !== undefined) prediction.confirm(own.x, own.y, now, link?.rttMs() ?? null);
    arrivals.push(now);
    if (before !== null && after !== null) announce(before.byId, after.byId);
  }

  /**
   * A page may be older or newer than the server, so every field is checked.
   * @param {unknown} list
   * @returns {Player[]}
   */
  function readPlayers(list) {
    if (!Array.isArray(list)) return [];
    return list.filter((player) => player && Number.isFinite(player.x) && Number.isFinite(player.y))
      .map(({ id, x, y, color, name }) => ({
        id: String(id), x, y, color, name: typeof name === "string" ? name : "",
      }));
  }

  function ownPlayer() {
    return motion.newest()?.byId.get(page.me() ?? "");
  }

  /**
   * @param {Map<string, Player>} before
   * @param {Map<string, Player>} after
   */
  function announce(before, after) {
    /**
     * @param {Map<string, Player>} some
     * @param {Map<string, Player>} others
     */
    const without = (some, others) => Array.from(some.values())
      .filter(({ id }) => id !== page.me() && !others.has(id)).map(Skirmish.words.nameOf);
    hud.people(without(after, before), without(before, after));
  }

  /** @param {Direction} direction */
  function onStep(direction) {
    const isSent = link?.connection()?.send({ type: "move", direction });
    if (isSent) prediction.sent(direction, performance.now());
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    arrivals = arrivals.filter((at) => now - at < RATE_WINDOW_MS);
    const me = page.isOpen() ? page.me() : null;
    const newest = page.isOpen() ? motion.newest() : null;
    const name = newest?.byId.get(me ?? "")?.name;
    hud.put("my-id", me === null ? "–" : name ? `${name} (${me})` : me);
    hud.put("players", newest === null ? "–" : newest.players.length);
    const perSecond = newest === null ? null : rate();
    hud.put("rate", perSecond === null ? "–" : `${perSecond}/s`);
    if (newest === null) return null;
    const { players } = newest;
    return { count: players.length, board: Skirmish.words.board(players, me) };
  }

  /** States a second, as soon as there are enough to compute it. */
  function rate() {
    if (arrivals.length < 2) return null;
    const span = arrivals[arrivals.length - 1] - arrivals[0];
    return span < RATE_MIN_MS ? null : Math.round(((arrivals.length - 1) * 1000) / span);
  }

  /**
   * @param {number} now
   * @returns {Player[]}
   */
  function players(now) {
    const place = prediction.glide(now);
    return motion.sample(now).map((player) =>
      (player.id === page.me() ? { ...player, ...place } : player));
  }

  page.start();
  if (page.address.error === undefined) {
    link = page.connect(Skirmish.createJsonDriver({ url: page.address.url, onMessage }));
  }

  // For tests: what the server told last.
  Skirmish.game = Object.freeze({
    snapshot() {
      const newest = page.isOpen() ? motion.newest() : null;
      return {
        id: page.isOpen() ? page.me() : null,
        tick: newest === null ? null : newest.tick,
        players: newest === null ? [] : newest.players.map((player) => ({ ...player })),
      };
    },
  });
}
