// The words and numbers around the board. Everything goes through textContent, and only when it
// has changed, so that nothing is read out twice.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const LABELS = {
    connecting: "Connecting", open: "Connected", waiting: "Reconnecting", stopped: "Not connected",
  };
  // Comings and goings are told together, for a busy room would talk without end.
  const NEWS_EVERY_MS = 2000;

  Skirmish.createHud = function ({ onRetry }) {
    const byId = (id) => document.getElementById(id);
    const notice = byId("notice");
    let until = null;
    let came = [];
    let went = 0;
    let newsTimer = 0;

    byId("retry").addEventListener("click", onRetry);
    setInterval(countDown, 250);

    function put(id, value) {
      const element = byId(id);
      const text = String(value);
      if (element.textContent !== text) element.textContent = text;
    }

    function state(status) {
      document.body.dataset.state = status.state;
      put("state", LABELS[status.state]);
      until = status.until;
      // An attempt that follows a loss keeps the notice as it is, or it would flicker.
      if (status.state === "connecting" && !notice.hidden) {
        put("countdown", "Connecting …");
        return;
      }
      put("sentence", status.sentence);
      byId("countdown").hidden = until === null;
      byId("retry").hidden = !status.button;
      notice.hidden = status.sentence === "";
      countDown();
      say(`${LABELS[status.state]}. ${status.sentence}`.trim());
    }

    function countDown() {
      if (until === null) return;
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      put("countdown", `Reconnecting in ${seconds} s`);
    }

    function say(text) {
      clearTimeout(newsTimer);
      newsTimer = 0;
      came = [];
      went = 0;
      put("news", text);
    }

    // Who is here now: `joined` are names, `left` is how many.
    function people(joined, left) {
      came.push(...joined);
      went += left;
      if ((came.length > 0 || went > 0) && newsTimer === 0) {
        newsTimer = setTimeout(tell, NEWS_EVERY_MS);
      }
    }

    function tell() {
      const words = [];
      if (came.length > 0 && came.length <= 3) words.push(`${came.join(", ")} joined.`);
      if (came.length > 3) words.push(`${came.length} players joined.`);
      if (went > 0) words.push(went === 1 ? "One player left." : `${went} players left.`);
      say(words.join(" "));
    }

    return {
      put,
      state,
      people,
      label: (text) => {
        const canvas = byId("canvas");
        if (canvas.getAttribute("aria-label") !== text) canvas.setAttribute("aria-label", text);
      },
    };
  };
})();
