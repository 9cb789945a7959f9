// The texts and numbers around the board. Text is set with textContent, and only when it has
// changed, so that screen readers do not read it twice.
"use strict";
var Skirmish = Skirmish || {};
{
  const LABELS = {
    connecting: "Connecting", open: "Connected", waiting: "Reconnecting", stopped: "Not connected",
  };
  const LATE_LABEL = "Waiting for the server";
  // Joins and leaves are announced together, so that a busy room stays readable.
  const NEWS_EVERY_MS = 2000;
  // Then the news fade. Screen readers can still read them.
  const NEWS_FOR_MS = 5000;
  // The description of the board changes all the time; a screen reader needs time to read it.
  const BOARD_EVERY_MS = 2000;
  // Close codes after which another room may work.
  const ROOM_CODES = [1008, 4013, 1013];

  // A text of the operator stays this long, unless the player closes it.
  const ANNOUNCED_FOR_MS = 30000;

  /** @param {{ address: Server | BadAddress, onRetry: () => void }} options */
  Skirmish.createHud = function ({ address, onRetry }) {
    const byId = Skirmish.element;
    const [notice, news, canvas] = [byId("notice"), byId("news"), byId("canvas")];
    const outLink = /** @type {HTMLAnchorElement} */ (byId("out"));
    const defaultOutLabel = outLink.textContent;
    /** @type {LinkState} */
    let linkState = "connecting";
    /** @type {number | null} */
    let until = null;
    /** @type {string[]} */
    let joined = [];
    /** @type {string[]} */
    let left = [];
    let newsTimer = 0;
    let fadeTimer = 0;
    let boardAt = -Infinity;
    let shownTitle = "";

    let announcedTimer = 0;
    const hideAnnouncement = () => void (byId("announcement").hidden = true);

    byId("retry").addEventListener("click", onRetry);
    byId("announced-close").addEventListener("click", hideAnnouncement);

    /**
     * @param {string} id of an element
     * @param {string | number} value
     */
    const put = (id, value) => Skirmish.putText(id, String(value));

    /** @param {Status} status */
    function state(status) {
      document.body.dataset.state = linkState = status.state;
      late(false);
      until = status.until;
      // Between two attempts the notice stays as it is, so that it does not flicker.
      if (status.state === "connecting" && !notice.hidden) {
        byId("countdown").hidden = false;
        put("countdown", "Connecting …");
        return;
      }
      const { sentence, out } = withLink(status);
      // The button that has the focus disappears with the notice.
      const movesFocus = sentence === "" && notice.contains(document.activeElement);
      put("sentence", sentence);
      byId("countdown").hidden = until === null;
      byId("retry").hidden = !status.button;
      outLink.hidden = !out;
      if (out) outLink.href = out;
      put("out", status.outLabel ?? defaultOutLabel);
      notice.hidden = sentence === "";
      if (movesFocus) canvas.focus({ preventScroll: true });
      countDown();
      say(`${LABELS[status.state]}. ${sentence}`.trim());
    }

    /**
     * If a room cannot be joined, the sentence names it, and there is a link to the default room.
     * @param {Status} status
     */
    function withLink({ code, sentence, out }) {
      const isRoom = code !== null && ROOM_CODES.includes(code) && address.out !== null;
      if (!isRoom) return { sentence, out };
      return { sentence: `${sentence} You asked for “${address.room}”.`, out: address.out };
    }

    /**
     * @param {boolean} isLate whether the server is connected but sends nothing
     */
    function late(isLate) {
      document.body.toggleAttribute("data-late", isLate);
      byId("state").hidden = false;
      put("state", isLate ? LATE_LABEL : LABELS[linkState]);
    }

    /**
     * The title of the tab.
     * @param {string} game what to show of the game, or "" for the state of the connection
     */
    function title(game) {
      const text = `Skirmish: ${game || byId("state").textContent?.toLowerCase()}`;
      if (text !== shownTitle) document.title = shownTitle = text;
    }

    /** Shows the time until the next attempt to connect. */
    function countDown() {
      if (until === null) return;
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      put("countdown", `Reconnecting in ${seconds} s`);
    }

    /**
     * Shows a text at once, also to screen readers.
     * @param {string} text
     */
    function say(text) {
      clearTimeout(newsTimer);
      clearTimeout(fadeTimer);
      newsTimer = 0;
      joined = [];
      left = [];
      put("news", text);
      news.classList.remove("old");
      fadeTimer = setTimeout(() => news.classList.add("old"), NEWS_FOR_MS);
    }

    /**
     * Shows a text of the operator.
     * @param {string} text
     */
    function announce(text) {
      clearTimeout(announcedTimer);
      byId("announcement").hidden = false;
      put("announced", text);
      announcedTimer = setTimeout(hideAnnouncement, ANNOUNCED_FOR_MS);
    }

    /**
     * @param {string[]} newlyJoined names
     * @param {string[]} newlyLeft names
     */
    function people(newlyJoined, newlyLeft) {
      joined.push(...newlyJoined);
      left.push(...newlyLeft);
      if ((joined.length > 0 || left.length > 0) && newsTimer === 0) {
        newsTimer = setTimeout(() => say(Skirmish.words.people(joined, left)), NEWS_EVERY_MS);
      }
    }

    /**
     * Describes the board for screen readers.
     * @param {() => string} words
     * @param {number} now
     */
    function board(words, now) {
      if (now - boardAt < BOARD_EVERY_MS) return;
      boardAt = now;
      const text = words();
      if (canvas.getAttribute("aria-label") !== text) canvas.setAttribute("aria-label", text);
    }

    return { put, state, late, title, say, announce, people, board, countDown };
  };
}
