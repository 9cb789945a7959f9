// The page of the operator: it asks the server for its numbers once a second while it is visible.
"use strict";
var Skirmish = Skirmish || {};
{
  const POLL_MS = 1000;
  const ANSWER_MAX_MS = 5000;
  const STATES = { open: "Live", lost: "No numbers", stopped: "Refused" };
  // The page stops at these: the same request would not succeed later. Others may come from a proxy
  // whose server is away.
  const REFUSED = [401, 403, 404, 421, 429];

  const { bytes, count, ms, rate, span } = Skirmish.statusWords;
  const history = Skirmish.statusHistory();
  const state = element("state");
  const notice = element("notice");
  /** @type {StatusData | null} */
  let data = null;
  let shownAt = "";
  let timer = 0;
  let isAsking = false;
  /** @type {number | null} */
  let pointedMs = null;

  const onPoint = (/** @type {number | null} */ agoMs) => {
    pointedMs = agoMs;
    draw();
  };
  const plots = [
    Skirmish.statusPlot("plot-players", {
      lines: [{ key: "players", label: "players" }], format: count, least: 3, onPoint,
    }),
    Skirmish.statusPlot("plot-ticks", {
      lines: [{ key: "p99", label: "p99" }, { key: "p50", label: "p50" }],
      format: ms, least: 1, onPoint,
    }),
    Skirmish.statusPlot("plot-turns", {
      lines: [{ key: "turn", label: "turns" }, { key: "lateness", label: "lateness of ticks" }],
      format: ms, least: 1, onPoint,
    }),
    Skirmish.statusPlot("plot-bytes", {
      lines: [{ key: "sent", label: "sent" }, { key: "received", label: "received" }],
      format: bytes, least: 1000, onPoint,
    }),
    Skirmish.statusPlot("plot-drops", {
      lines: [
        { key: "drops rate", label: "too fast" }, { key: "drops invalid_json", label: "invalid JSON" },
        { key: "drops unknown", label: "unknown" },
      ],
      format: rate, least: 3, onPoint,
    }),
  ];
  const bars = Skirmish.statusBars("bars-ticks");

  /** @param {string} id */
  function element(id) {
    return /** @type {HTMLElement} */ (document.getElementById(id));
  }

  /**
   * @param {keyof typeof STATES} name
   * @param {string} [sentence] what is wrong
   */
  function setState(name, sentence = "") {
    document.body.dataset.state = name;
    Skirmish.setText(state, STATES[name]);
    Skirmish.setText(notice, sentence);
    notice.hidden = sentence === "";
  }

  function draw() {
    for (const plot of plots) plot.draw(history.samples, pointedMs);
    if (data === null) return;
    const { work: { bounds_s: bounds }, period_ms: periodMs } = data.ticks;
    bars.draw(bounds, history.ticks(), periodMs, `the last ${Skirmish.statusWords.roughSpan(history.spanMs())}`);
  }

  /** @param {StatusData} data */
  function showNumbers(data) {
    const { p99, sent, received } = history.samples[history.samples.length - 1].values;
    const limits = new Map(data.limits.map(({ name, count }) => [name, count]));
    /**
     * @param {string} value
     * @param {string | null} max
     */
    const of = (value, max) => (max === null ? value : `${value} of ${max}`);
    const { resident_bytes: resident, open_fds: fds, fds_max: fdsMax } = data.process;
    /** @type {Record<string, string>} */
    const numbers = {
      players: count(data.players) + (data.bots > 0 ? ` + ${count(data.bots)} bots` : ""),
      rooms: of(count(data.rooms.total), count(limits.get("rooms_max") ?? null)),
      connections: of(count(data.connections), count(limits.get("connections_max") ?? null)),
      busy: `${data.busy_percent} %`,
      tick: ms(p99),
      missed: count(data.ticks.missed),
      overload: data.overload_step === 0 ? "none" : `step ${data.overload_step}`,
      sent: `${bytes(sent)}/s`,
      received: `${bytes(received)}/s`,
      held: of(bytes(data.held.bytes), data.held.max === null ? null : bytes(data.held.max)),
      memory: bytes(resident),
      fds: of(count(fds), fdsMax === null ? null : count(fdsMax)),
    };
    for (const number of document.querySelectorAll("[data-number]")) {
      const shown = /** @type {HTMLElement} */ (number);
      Skirmish.setText(shown, numbers[shown.dataset.number ?? ""]);
      shown.classList.toggle("bad", shown.dataset.number === "overload" && data.overload_step > 0);
    }
    const since = data.started_at_s === null ? data.at_ms : Date.now() - 1000 * data.started_at_s;
    const drains = data.is_draining ? ", shutting down" : "";
    Skirmish.setText(element("about"),
      `Version ${data.version}, running for ${span(Math.max(0, since))}${drains}`);
  }

  /** @param {StatusData} answer */
  function show(answer) {
    setState("open");
    if (!history.add(answer, performance.now())) return;
    data = answer;
    shownAt = new Date().toLocaleTimeString();
    draw();
    showNumbers(answer);
    Skirmish.fillStatusTables(answer, history);
  }

  /** @returns {Promise<{ answer: StatusData } | { refusal: string } | { problem: string }>} */
  async function request() {
    try {
      const signal = AbortSignal.timeout(ANSWER_MAX_MS);
      const response = await fetch("status/data", { cache: "no-store", signal });
      if (response.ok) return { answer: await response.json() };
      if (REFUSED.includes(response.status)) return { refusal: (await response.text()).trim() };
      return { problem: `The server, or a proxy in front of it, answers ${response.status}.` };
    } catch {
      // There is no connection, or the answer takes too long.
      return { problem: "The server does not answer." };
    }
  }

  async function ask() {
    if (isAsking || document.hidden) return;
    isAsking = true;
    const asked = await request();
    isAsking = false;
    if ("refusal" in asked) {
      setState("stopped",
        `The server refuses this page: ${asked.refusal} Load the page again to go on.`);
      return;
    }
    if ("problem" in asked) {
      const old = shownAt === "" ? "" : ` The numbers are those of ${shownAt}.`;
      setState("lost", `${asked.problem}${old} The page goes on when there is an answer with numbers.`);
    } else {
      show(asked.answer);
    }
    timer = setTimeout(ask, POLL_MS);
  }

  function onVisibility() {
    clearTimeout(timer);
    if (document.body.dataset.state !== "stopped") ask();
  }

  document.addEventListener("visibilitychange", onVisibility);
  // Back from the back/forward cache.
  addEventListener("pageshow", (event) => event.persisted && onVisibility());
  new ResizeObserver(draw).observe(element("plots"));
  ask();
}
