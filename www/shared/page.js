// A game page: the shell, the link to the server, input and drawing. A game gives it a view, what
// to draw, and what to do with a step; see dots/main.js and battle/main.js.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a game draws with.
 * @template {Player} P
 * @typedef {object} View
 * @property {(players: P[], me: string | null, now: number) => void} draw
 * @property {(callback: () => void) => void} whenResized
 * @property {() => void} forget forgets the past, for example trails
 */

/**
 * @template {Player} P
 * @typedef {object} PageOptions
 * @property {string} rules of the rooms that the page can play in
 * @property {PageDefaults} [defaults] what the page adds to its address
 * @property {number} lateMs the server is late when it has told nothing for so long
 * @property {View<P>} view
 * @property {(now: number) => P[]} players those to draw
 * @property {(direction: Direction) => void} onStep
 * @property {() => void} onShown forgets what a hidden page has missed
 * @property {(now: number) => Summary | null} showNumbers shows the numbers of the game; null
 *   while there is no game
 */

/** @typedef {{ count: number, board: string }} Summary the players, and the board in words */

{
  const NUMBERS_EVERY_MS = 250;

  /**
   * @template {Player} P
   * @param {PageOptions<P>} options
   */
  Skirmish.createPage = function (options) {
    const { rules, defaults = {}, lateMs, view } = options;
    const address = Skirmish.address(location.href, defaults);
    Skirmish.fillShell();
    const hud = Skirmish.createHud({ address, onRetry: () => link?.retryNow() });
    const emptyBoard = Skirmish.canvas().getAttribute("aria-label") ?? "";
    /** @type {Link<Connection> | null} */
    let link = null;
    let isOpen = false;
    /** @type {string | null} */
    let me = null;
    let room = "";

    /**
     * Connects. Not to be called where the address has an error.
     * @template {Connection} C
     * @param {Driver<C>} driver
     */
    function connect(driver) {
      if (address.error !== undefined) throw new Error(address.error);
      const fresh = Skirmish.createLink({ driver, shown: address.shown, onState });
      link = fresh;
      return fresh;
    }

    /**
     * Shows why the page cannot play, and a way out.
     * @param {string} sentence
     * @param {string | null} out
     * @param {string} [outLabel]
     */
    function refuse(sentence, out, outLabel) {
      const status = { until: null, button: false, code: null };
      onState({ state: "stopped", sentence, out, outLabel, ...status });
    }

    /**
     * The server let this player into a room. Returns false if the page cannot play there.
     * @param {{ id: unknown, room?: unknown, rules?: unknown }} welcome
     */
    function begin(welcome) {
      room = typeof welcome.room === "string" ? welcome.room : "";
      if (typeof welcome.rules === "string" && welcome.rules !== rules) {
        leaveFor(welcome.rules);
        return false;
      }
      me = String(welcome.id);
      view.forget();
      hud.put("room", room || "–");
      return true;
    }

    /**
     * The room plays another game: shows the page that does.
     * @param {string} otherRules
     */
    function leaveFor(otherRules) {
      link?.stop(Skirmish.elsewhere({ room, rules: otherRules }, location.href));
    }

    /** @param {Status} status */
    function onState(status) {
      isOpen = status.state === "open";
      hud.state(status);
      showNumbers();
    }

    function showNumbers() {
      const now = performance.now();
      const game = options.showNumbers(now);
      hud.put("ping", Skirmish.words.ping(isOpen && link !== null ? link.rttMs() : null));
      // A hidden page may be suspended, so its silence means nothing.
      const isLate = isOpen && !document.hidden && link !== null && now - link.toldAt() > lateMs;
      hud.late(isLate);
      const people = game === null || isLate ? "" : Skirmish.words.count(game.count);
      hud.title(people !== "" && room !== "" ? `${room}, ${people}` : people);
      hud.board(game?.board ?? emptyBoard, now);
    }

    /** @param {number} now */
    const draw = (now) => view.draw(options.players(now), me, now);

    /** Starts everything but the connection. */
    function start() {
      const onStep = (/** @type {Direction} */ direction) => {
        link?.pressed();
        options.onStep(direction);
      };
      Skirmish.createInput({ pad: Skirmish.element("pad"), onStep });
      Skirmish.createJoin({ pageHref: location.href, rules, keep: defaults.keep ?? [] });
      view.whenResized(() => draw(performance.now()));
      setInterval(showNumbers, NUMBERS_EVERY_MS);
      Skirmish.createLoop({
        draw,
        onShown() {
          options.onShown();
          view.forget();
        },
      });
      if (address.error !== undefined) refuse(address.error, address.out);
      else onState({ state: "connecting", sentence: "", until: null, button: false, code: null });
    }

    return {
      address,
      hud,
      start,
      connect,
      refuse,
      begin,
      leaveFor,
      /** The own id; null before the server has told it. */
      me: () => me,
      /** The room that the server told, or "". */
      room: () => room,
      isOpen: () => isOpen,
    };
  };
}
