// The words and numbers around the board. Everything goes through textContent, and only when it
// has changed, so that nothing is read out twice.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const LABELS = {
    connecting: "Connecting", open: "Connected", waiting: "Reconnecting", stopped: "Not connected",
    late: "Waiting for the server",
  };
  // Comings and goings are told together, for a busy room would talk without end.
  const NEWS_EVERY_MS = 2000;
  // Then they fade from sight. They stay in the page for those who read it by ear.
  const NEWS_FOR_MS = 5000;
  // The board in words changes all the time; who reads it wants to get to the end of it.
  const BOARD_EVERY_MS = 2000;

  // Closes of a room that cannot be had: another one can.
  const NO_ROOM = [1008, 1013];

  // createHud({ address, onRetry }): `address` is that of Skirmish.address.
  Skirmish.createHud = function ({ address, onRetry }) {
    const byId = (id) => document.getElementById(id);
    const [notice, news, canvas] = [byId("notice"), byId("news"), byId("canvas")];
    let until = null;
    let came = [];
    let went = [];
    let newsTimer = 0;
    let fadeTimer = 0;
    let boardAt = -Infinity;

    byId("retry").addEventListener("click", onRetry);
    setInterval(countDown, 250);

    function put(id, value) {
      const element = byId(id);
      const text = String(value);
      if (element.textContent === text) return;
      element.textContent = text;
      // What is too long for its place can be read in full by pointing at it.
      if (element.tagName === "DD") element.title = text;
    }

    const outLabel = byId("out").textContent;

    // A `status` may have an address `out`, for who cannot play where they wanted to, and the words
    // for it.
    function state(status) {
      document.body.dataset.state = status.state;
      late(false);
      until = status.until;
      // An attempt that follows a loss keeps the notice as it is, or it would flicker.
      if (status.state === "connecting" && !notice.hidden) {
        byId("countdown").hidden = false;
        put("countdown", "Connecting …");
        return;
      }
      const { sentence, out } = withWayOut(status);
      // The button that has the focus goes away with the notice.
      const leaves = sentence === "" && notice.contains(document.activeElement);
      put("sentence", sentence);
      byId("countdown").hidden = until === null;
      byId("retry").hidden = !status.button;
      byId("out").hidden = !out;
      if (out) byId("out").href = out;
      put("out", status.outLabel ?? outLabel);
      notice.hidden = sentence === "";
      if (leaves) canvas.focus({ preventScroll: true });
      countDown();
      say(`${LABELS[status.state]}. ${sentence}`.trim());
    }

    // Who asked for a room that cannot be had reads which, and is shown the way to the default one.
    function withWayOut({ code, sentence, out }) {
      if (!NO_ROOM.includes(code) || address.out === null) return { sentence, out };
      return { sentence: `${sentence} You asked for “${address.room}”.`, out: address.out };
    }

    // A server that is connected and says nothing.
    function late(is) {
      const label = LABELS[is ? "late" : document.body.dataset.state];
      document.body.toggleAttribute("data-late", is);
      byId("state").hidden = false;
      put("state", label);
    }

    // The tab's title: `here` is what to tell of a game that is going on, or "".
    function title(here) {
      const text = `Skirmish: ${here || byId("state").textContent.toLowerCase()}`;
      if (document.title !== text) document.title = text;
    }

    function countDown() {
      if (until === null) return;
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      put("countdown", `Reconnecting in ${seconds} s`);
    }

    // Tells something at once, also to those who read by ear.
    function say(text) {
      clearTimeout(newsTimer);
      clearTimeout(fadeTimer);
      newsTimer = 0;
      came = [];
      went = [];
      put("news", text);
      news.classList.remove("old");
      fadeTimer = setTimeout(() => news.classList.add("old"), NEWS_FOR_MS);
    }

    // Who has come and who has gone since the last time: their names.
    function people(joined, left) {
      came.push(...joined);
      went.push(...left);
      if ((came.length > 0 || went.length > 0) && newsTimer === 0) {
        newsTimer = setTimeout(() => say(Skirmish.words.people(came, went)), NEWS_EVERY_MS);
      }
    }

    // The board in words, for those who do not see it.
    function board(words, now) {
      if (now - boardAt < BOARD_EVERY_MS) return;
      boardAt = now;
      if (canvas.getAttribute("aria-label") !== words) canvas.setAttribute("aria-label", words);
    }

    return { put, state, late, title, say, people, board };
  };
})();
