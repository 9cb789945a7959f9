// A game page: the shell, the link to the server, the players between two snapshots, input and
// drawing. A game adds a view, its commands and its numbers; see dots/main.js and battle/main.js.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A game between two joins: it ends when the server lets the player in again.
 * @template {Player} P
 * @typedef {object} Game
 * @property {Rules} rules
 * @property {string} me the own id
 * @property {string} room "" if the server does not name it
 * @property {boolean} isResumed whether the game before was that of the same player
 * @property {ReturnType<typeof Skirmish.createMotion<P>>} motion
 * @property {ReturnType<typeof Skirmish.createPrediction>} prediction
 */

/**
 * What a game draws with.
 * @template {Player} P
 * @typedef {object} View
 * @property {(rules: Rules) => void} begin
 * @property {(players: P[], frame: { rules: Rules, me: string, now: number }) => boolean} [draw]
 *   returns whether the next frame differs although no player moves, as during an effect
 * @property {() => void} drawEmpty draws the board before the rules are known
 * @property {Board["whenStale"]} whenStale
 * @property {Board["setScale"]} setScale
 * @property {() => void} forget forgets the past, for example trails
 */

/**
 * @template {Player} P
 * @typedef {object} PageOptions
 * @property {string} rules the name of those that the page can play
 * @property {string[]} [numbers] names of the numbers of the rules that the page uses
 * @property {PageDefaults} [defaults] what the page adds to its address
 * @property {number} lateMs the server is late if it has sent no news of the game for this long
 * @property {View<P>} view
 * @property {(direction: Direction, place: Place | null) => boolean | undefined} move sends a step,
 *   which leads to `place`; returns whether it was sent
 * @property {(direction: Direction) => void} [turned] a direction is held, over a connection that
 *   makes its own steps
 * @property {() => P[]} [players] those that the game knows, if it may know more than the newest
 *   snapshot
 * @property {(player: P, place: Place | null) => P} [drawn] changes a player before it is drawn;
 *   `place` is where to draw the own player, and null for others
 * @property {(place: Readonly<Place> | null, now: number) => boolean} [draw] draws a frame in place
 *   of the view, for a game that keeps its players itself; `place` is that of the own player, and
 *   is used again. Returns the same as that of the view
 * @property {(status: Status) => Status} [explain] changes what is shown of the connection
 * @property {(now: number) => Summary | null} showNumbers shows the numbers of the game; null
 *   while there is no game
 */

/** @typedef {{ count: number, board: () => string }} Summary the players, and the board in words */

{
  const NUMBERS_EVERY_MS = 250;
  /**
   * For tests: what the server sent last.
   * @type {object | null}
   */
  Skirmish.game = null;

  const NO_RULES = "The server does not send the numbers that this page needs.";

  /**
   * @template {Player} P
   * @param {PageOptions<P>} options
   */
  Skirmish.createPage = function (options) {
    const { rules: rulesName, numbers = [], defaults = {}, lateMs, view } = options;
    const drawn = options.drawn ?? ((player, place) => ({ ...player, ...place }));
    const address = Skirmish.address(location.href, defaults);
    Skirmish.fillShell();
    const hud = Skirmish.createHud({ address, onRetry: () => link?.retryNow() });
    const emptyBoard = Skirmish.canvas().getAttribute("aria-label") ?? "";
    /** @type {Link<Connection> | null} */
    let link = null;
    let isOpen = false;
    let isLate = false;
    /** @type {Game<P> | null} */
    let game = null;
    /** @type {ReturnType<typeof Skirmish.createLoop> | null} */
    let loop = null;
    /**
     * When the last frame was drawn, where the own player was, and whether another one follows.
     * @type {{ at: number, place: Readonly<Place> | null, isActive: boolean }}
     */
    const drew = { at: 0, place: null, isActive: false };
    const input = Skirmish.createInput({ pad: Skirmish.element("pad"), onStep, onHold });
    const net = Skirmish.createNetPanel({
      numbers: () => link?.connection()?.network?.() ?? null,
      rttMs: () => link?.rttMs() ?? null,
    });
    /** @type {Direction | null} */
    let held = null;

    /**
     * Connects, unless the address has an error.
     * @template {Connection} C
     * @param {(url: string) => Driver<C>} createDriver
     */
    function connect(createDriver) {
      if (address.error !== undefined) return null;
      const driver = createDriver(address.url);
      const newLink = Skirmish.createLink({
        driver, shown: address.shown, onState, onAnnounced: hud.announce,
        onAnswer(sentAt, tick) {
          game?.prediction.answered(sentAt, tick);
          if (game?.prediction.isGliding()) loop?.wake();
        },
      });
      link = newLink;
      return newLink;
    }

    /**
     * Shows why the page cannot play, and a link to another page.
     * @param {string} sentence
     * @param {string | null} out
     * @param {string} [outLabel]
     */
    function refuse(sentence, out, outLabel) {
      const status = { until: null, button: false, code: null };
      onState({ state: "stopped", sentence, out, outLabel, ...status });
    }

    /**
     * The server let this player into a room. Returns null if the page cannot play there.
     * @param {{ id: unknown, room?: unknown, rules?: unknown, rules_data?: any,
     *   parts?: Parts }} welcome `parts` are those of a connection that makes its own steps
     * @returns {Rules | null}
     */
    function begin(welcome) {
      const room = typeof welcome.room === "string" ? welcome.room : "";
      const name = welcome.rules ?? welcome.rules_data?.name;
      // Another page plays the game of this room.
      if (typeof name === "string" && name !== rulesName) {
        link?.stop(Skirmish.elsewhere({ room, rules: name }, location.href));
        return null;
      }
      const rules = Skirmish.readRules(welcome.rules_data, numbers);
      if (rules === null) {
        link?.stop({ sentence: NO_RULES, button: true });
        return null;
      }
      const { parts } = welcome;
      const me = String(welcome.id);
      const isResumed = game?.me === me && game.room === room &&
        JSON.stringify(game.rules) === JSON.stringify(rules);
      const before = isResumed ? game : null;
      before?.motion.skip();
      before?.prediction.restart();
      game = {
        rules, room, me, isResumed,
        motion: parts?.motion ?? before?.motion ?? Skirmish.createMotion(rules),
        prediction: parts?.prediction ?? before?.prediction ?? Skirmish.createPrediction(rules),
      };
      parts?.whenMoved(() => loop?.wake());
      if (held !== null) link?.connection()?.hold?.(held);
      input.setTick(rules.tickMs);
      hud.put("room", room || "–");
      if (isResumed) return rules;
      view.begin(rules);
      view.forget();
      loop?.wake();
      return rules;
    }

    /**
     * The players as the server sent them.
     * @param {P[]} players
     * @param {number | null} tick
     * @param {number} now
     */
    function take(players, tick, now) {
      const isChanged = game?.motion.push(players, tick, now);
      const own = players.find(({ id }) => id === game?.me);
      const rttMs = link?.rttMs() ?? null;
      if (own !== undefined) game?.prediction.confirm(own, { tick, now, rttMs });
      if (isChanged || game?.prediction.isGliding()) loop?.wake();
    }

    /** @param {Direction} direction */
    function onStep(direction) {
      link?.pressed();
      if (link?.connection()?.hold !== undefined) return;
      if (game?.prediction.isFull(link?.rttMs() ?? null)) return;
      const place = game?.prediction.ahead(direction) ?? null;
      if (!options.move(direction, place)) return;
      game?.prediction.sent(direction, performance.now());
      loop?.wake();
    }

    /** @param {Direction | null} direction */
    function onHold(direction) {
      held = direction;
      const hold = link?.connection()?.hold;
      if (hold === undefined) return;
      hold(direction);
      if (direction !== null) options.turned?.(direction);
      loop?.wake();
    }

    /** @param {Status} status */
    function onState(status) {
      isOpen = status.state === "open";
      hud.state(options.explain?.(status) ?? status);
      showNumbers();
    }

    /** @param {boolean} [wasBlocked] whether messages may wait that the page has not seen */
    function showNumbers(wasBlocked = false) {
      const now = performance.now();
      // The server sends nothing about a step that it dropped.
      if (game?.prediction.isOverdue(now, link?.rttMs() ?? null)) link?.connection()?.ping();
      const summary = options.showNumbers(now);
      hud.put("ping", Skirmish.words.ping(isOpen && link !== null ? link.rttMs() : null));
      // A hidden page may be suspended, so its silence means nothing.
      isLate = isOpen && !document.hidden && link !== null && now - link.updatedAt() > lateMs &&
        (isLate || !wasBlocked);
      hud.late(isLate);
      const people = summary === null || isLate ? "" : Skirmish.words.count(summary.count);
      hud.title(people !== "" && game?.room ? `${game.room}, ${people}` : people);
      hud.board(summary?.board ?? (() => emptyBoard), now);
      hud.countDown();
      net.show();
    }

    /** @param {number} now */
    function draw(now) {
      if (game === null) {
        view.drawEmpty();
        return false;
      }
      const { motion, prediction } = game;
      const place = prediction.glide(now);
      const hasEffects = options.draw?.(place, now) ?? drawPlayers(game, place, now);
      drew.isActive = hasEffects || motion.isMoving() || prediction.isGliding();
      drew.at = now;
      drew.place = place;
      return drew.isActive;
    }

    /**
     * @param {Game<P>} game
     * @param {Readonly<Place> | null} place
     * @param {number} now
     */
    function drawPlayers({ rules, me, motion }, place, now) {
      const players = motion.sample(now).map((player) =>
        drawn(player, player.id === me ? place : null));
      return view.draw?.(players, { rules, me, now }) ?? false;
    }

    /** Starts everything except the connection. */
    function start() {
      Skirmish.createJoin({
        pageHref: location.href, rules: rulesName, keep: defaults.keep ?? [],
      });
      Skirmish.createShare({
        button: Skirmish.element("share"), say: hud.say,
        href: () => Skirmish.shareable(location.href, isOpen ? game?.room ?? "" : ""),
      });
      // A canvas that was resized is blank until it is drawn again.
      view.whenStale(() => draw(performance.now()));
      Skirmish.every(NUMBERS_EVERY_MS, showNumbers);
      loop = Skirmish.createLoop({
        draw,
        scale: view.setScale,
        onShown() {
          game?.motion.skip();
          game?.prediction.skip();
          view.forget();
        },
      });
      if (address.error !== undefined) refuse(address.error, address.out);
      else onState({ state: "connecting", sentence: "", until: null, button: false, code: null });
    }

    /** The newest snapshot; null while not connected. */
    const newest = () => (isOpen ? game?.motion.newest() ?? null : null);

    /** The players as they are known; none while not connected. */
    function known() {
      if (!isOpen) return [];
      return options.players?.() ?? newest()?.players ?? [];
    }

    Skirmish.game = Object.freeze({
      rules: () => game?.rules,
      snapshot: () => ({
        id: (isOpen && game?.me) || null,
        // Socket.IO sends no ticks, so they are counted from the time.
        tick: newest()?.tick ?? Math.floor(performance.now() / (game?.rules.tickMs ?? Infinity)),
        players: known().map((player) => ({ ...player })),
      }),
      drew: () => ({ ...drew, place: drew.place && { ...drew.place } }),
    });

    return {
      address,
      hud,
      start,
      connect,
      refuse,
      begin,
      take,
      /** Draws the next frame: something has changed that was not passed to `take`. */
      wake: () => loop?.wake(),
      newest,
      /** The game, once the server has let the player in; it stays until the next one. */
      game: () => game,
      isOpen: () => isOpen,
    };
  };
}
