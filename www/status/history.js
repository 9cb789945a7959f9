// The numbers of the last ten minutes, which the page keeps: rates and percentiles from one answer of the
// server to the next.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Upper bounds of buckets in seconds, and the values in each; the last bucket has no bound.
 * @typedef {{ bounds_s: number[], counts: number[] }} StatusHistogram
 */

/** @typedef {{ reason: string, count: number }[]} StatusReasons */

/**
 * An answer of /status/data.
 * @typedef {object} StatusData
 * @property {string} version
 * @property {number} at_ms since the start of the server
 * @property {number | null} started_at_s since 1970
 * @property {boolean} is_draining
 * @property {{ resident_bytes: number | null, open_fds: number | null, fds_max: number | null }} process
 * @property {number} players
 * @property {number} absent
 * @property {number} bots
 * @property {number} connections
 * @property {number} overload_step
 * @property {number} busy_percent
 * @property {{ period_ms: number, total: number, missed: number,
 *   work: StatusHistogram, lateness: StatusHistogram, turn: StatusHistogram }} ticks
 * @property {{ received: number, sent: number,
 *   by_dialect: { dialect: string, received: number, sent: number }[] }} bytes
 * @property {{ rules: string, dialect: string, transport: string, players: number }[]} players_by
 * @property {{ bytes: number, max: number | null, by_kind: { kind: string, count: number }[] }} held
 * @property {{ name: string, count: number }[]} limits
 * @property {StatusReasons} drops
 * @property {StatusReasons} refusals
 * @property {StatusReasons} closes
 * @property {{ total: number, list: StatusRoom[] }} rooms
 * @property {StatusClient[]} slowest
 */

/**
 * @typedef {object} StatusRoom
 * @property {string} name
 * @property {string} rules
 * @property {number} players
 * @property {number} players_max
 * @property {number} absent
 * @property {number} bots
 */

/**
 * @typedef {object} StatusClient
 * @property {string} id
 * @property {string | null} name
 * @property {string} room
 * @property {string} address
 * @property {string} dialect
 * @property {string | null} transport
 * @property {number} behind_ms
 * @property {number} stall_ms
 * @property {number | null} rtt_ms
 * @property {number} held_bytes
 * @property {number} joined_ms how long ago
 * @property {number} sent_bytes
 */

/** @typedef {{ data: StatusData, atMs: number }} StatusAnswer and when it came, by the clock of the page */

/**
 * What is plotted of one answer.
 * @typedef {object} StatusSample
 * @property {number} atMs by the clock of the page
 * @property {number} sinceMs from when on its ticks and events count
 * @property {boolean} isFirst whether no line leads to it
 * @property {Readonly<Record<string, number | null>>} values null for what needs an earlier answer
 * @property {number[]} ticks that took as long as each bucket says
 * @property {Readonly<Record<string, number>>} events such as "drops rate", how often
 */

{
  const SPAN_MS = 600_000;
  // A line is interrupted where the page has not asked for so long, since it was hidden or had no answer.
  const GAP_MS = 5_000;

  /**
   * The value below which a share of the values in the buckets is, in milliseconds, as if those in a
   * bucket were evenly distributed; null without values.
   * @param {number[]} boundsS
   * @param {number[]} counts
   * @param {number} share
   */
  function quantileMs(boundsS, counts, share) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (total === 0) return null;
    let left = share * total;
    const at = counts.findIndex((count) => {
      if (count > 0 && left <= count) return true;
      left -= count;
      return false;
    });
    const from = at === 0 ? 0 : boundsS[at - 1];
    const to = at < boundsS.length ? boundsS[at] : from;
    return 1000 * (from + (to - from) * left / counts[at]);
  }

  const KINDS = /** @type {const} */ (["drops", "refusals", "closes"]);

  /** @param {StatusData} data */
  function counters(data) {
    return new Map(KINDS.flatMap((kind) =>
      data[kind].map(({ reason, count }) => /** @type {const} */ ([`${kind} ${reason}`, count]))));
  }

  Skirmish.statusHistory = function () {
    /** @type {StatusSample[]} */
    const samples = [];
    /** @type {StatusAnswer | null} */
    let last = null;

    return {
      samples,

      /**
       * Adds an answer. False if it is the same as before.
       * @param {StatusData} data
       * @param {number} atMs
       */
      add(data, atMs) {
        const isSameServer = last !== null && data.at_ms >= last.data.at_ms &&
          data.started_at_s === last.data.started_at_s;
        if (isSameServer && data.at_ms === last?.data.at_ms) return false;
        samples.push(sampleOf({ data, atMs }, isSameServer ? last : null));
        last = { data, atMs };
        while (samples[0].atMs <= atMs - SPAN_MS) samples.shift();
        return true;
      },

      /** The time in which the ticks and events have happened. */
      spanMs: () => (samples.length === 0 ? 0 : samples[samples.length - 1].atMs - samples[0].sinceMs),

      /** The ticks of all samples in each bucket. */
      ticks() {
        const sums = last === null ? [] : last.data.ticks.work.counts.map(() => 0);
        for (const { ticks } of samples) ticks.forEach((count, at) => (sums[at] += count));
        return sums;
      },

      /** @param {string} event how often it has happened */
      events: (event) => samples.reduce((sum, { events }) => sum + (events[event] ?? 0), 0),
    };
  };

  /**
   * @param {StatusAnswer} answer
   * @param {StatusAnswer | null} last the answer of the same server before it
   * @returns {StatusSample}
   */
  function sampleOf({ data, atMs }, last) {
    const { ticks: { work } } = data;
    const old = last === null ? null : last.data;
    // Counters lose nothing in a gap, but a rate or percentile over it is not that of a moment.
    const before = last !== null && atMs - last.atMs < GAP_MS ? old : null;
    /** @type {Record<string, number | null>} */
    const values = { players: data.players };
    /** @type {Record<string, number>} */
    const events = {};
    /**
     * @param {(data: StatusData) => number} read
     * @returns {number | null} how much it grew in a second
     */
    const rate = (read) => before === null ? null :
      1000 * (read(data) - read(before)) / (data.at_ms - before.at_ms);

    const ticks = work.counts.map((count, at) =>
      old === null ? 0 : count - old.ticks.work.counts[at]);
    /**
     * @param {"work" | "lateness" | "turn"} name
     * @param {number} share
     */
    const quantile = (name, share) => {
      const { bounds_s: bounds, counts } = data.ticks[name];
      const from = before?.ticks[name].counts;
      return from === undefined ? null :
        quantileMs(bounds, counts.map((count, at) => count - from[at]), share);
    };
    values.p50 = quantile("work", 0.5);
    values.p99 = quantile("work", 0.99);
    values.lateness = quantile("lateness", 0.99);
    values.turn = quantile("turn", 0.99);
    values.sent = rate(({ bytes }) => bytes.sent);
    values.received = rate(({ bytes }) => bytes.received);
    for (const [at, { dialect }] of data.bytes.by_dialect.entries()) {
      values[`sent ${dialect}`] = rate(({ bytes }) => bytes.by_dialect[at].sent);
      values[`received ${dialect}`] = rate(({ bytes }) => bytes.by_dialect[at].received);
    }
    for (const [at, { reason }] of data.drops.entries()) {
      values[`drops ${reason}`] = rate(({ drops }) => drops[at].count);
    }
    if (old !== null) {
      const from = counters(old);
      for (const [event, count] of counters(data)) {
        const more = count - (from.get(event) ?? 0);
        if (more > 0) events[event] = more;
      }
    }
    return { atMs, sinceMs: last?.atMs ?? atMs, isFirst: before === null, values, ticks, events };
  }
}
