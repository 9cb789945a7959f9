// The dots game: what its page does with the messages of the server.
"use strict";
var Skirmish = Skirmish || {};
{
  const RATE_WINDOW_MS = 2000;
  const RATE_MIN_MS = 1000;
  const LATE_MS = 2000;

  const page = Skirmish.createPage({
    rules: "dots",
    defaults: Skirmish.dotsDefaults,
    lateMs: LATE_MS,
    view: Skirmish.createDotsView(Skirmish.canvas()),
    move: (direction) => link?.connection()?.send({ type: "move", direction }),
    showNumbers,
  });
  const { hud } = page;
  /** @type {Link<JsonConnection> | null} */
  let link = null;
  /**
   * When the last states were received, from which the rate is computed.
   * @type {number[]}
   */
  let updatedAt = [];
  /** The list of the last message, which may come again, and its players. */
  let received = { list: /** @type {unknown} */ (null), players: /** @type {Player[]} */ ([]) };

  /**
   * @param {any} message
   * @param {number} now
   */
  function onMessage(message, now) {
    if (message.type === "init" && page.begin(message) !== null) updatedAt = [];
    if (message.type === "state_update") update(message, now);
  }

  /**
   * @param {any} message
   * @param {number} now
   */
  function update({ tick, players: list }, now) {
    const before = page.newest();
    if (list !== received.list) received = { list, players: readPlayers(list) };
    const { players } = received;
    page.take(players, Number.isFinite(tick) ? tick : null, now);
    updatedAt.push(now);
    if (before !== null && before.players !== players) announce(before.players, players);
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

  /**
   * @param {Player[]} before
   * @param {Player[]} after
   */
  function announce(before, after) {
    /**
     * @param {Player[]} some
     * @param {Player[]} others
     */
    const without = (some, others) => {
      const ids = new Set(others.map(({ id }) => id));
      return some.filter(({ id }) => id !== page.game()?.me && !ids.has(id))
        .map(Skirmish.words.nameOf);
    };
    hud.people(without(after, before), without(before, after));
  }

  /**
   * @param {number} now
   * @returns {Summary | null}
   */
  function showNumbers(now) {
    updatedAt = updatedAt.filter((at) => now - at < RATE_WINDOW_MS);
    const me = page.isOpen() ? page.game()?.me ?? null : null;
    const newest = page.newest();
    const name = newest?.byId.get(me ?? "")?.name;
    hud.put("my-id", me === null ? "–" : name ? `${name} (${me})` : me);
    hud.put("players", newest === null ? "–" : newest.players.length);
    const perSecond = newest === null ? null : rate();
    hud.put("rate", perSecond === null ? "–" : `${perSecond}/s`);
    if (newest === null) return null;
    const { players } = newest;
    return { count: players.length, board: () => Skirmish.words.board(players, me) };
  }

  /** States per second, as soon as there are enough to compute it. */
  function rate() {
    if (updatedAt.length < 2) return null;
    const span = updatedAt[updatedAt.length - 1] - updatedAt[0];
    return span < RATE_MIN_MS ? null : Math.round(((updatedAt.length - 1) * 1000) / span);
  }

  page.start();
  const { name: dialect, error } = Skirmish.dotsDialect;
  const createDriver = dialect === "v1" ? Skirmish.createV1Driver : Skirmish.createJsonDriver;
  if (error === undefined) link = page.connect((url) => createDriver({ url, onMessage }));
  else page.refuse(error, Skirmish.withoutDialect(location.href), "Play in another dialect");
}
