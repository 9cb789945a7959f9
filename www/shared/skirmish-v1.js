// The driver of the binary dialect skirmish.v1 (docs/skirmish-v1.md). It passes on what it receives
// as the JSON dialect has it, so a page needs no other code for it. If the server refuses the
// subprotocol, the connection uses JSON.
"use strict";
var Skirmish = Skirmish || {};

/**
 * @typedef {object} V1DriverOptions
 * @property {string} url
 * @property {(message: any, now: number) => void} onMessage
 * @property {(session: V1Session, now: number) => void} [onTick] called instead of `onMessage` with
 *   whole states, for rooms of which a player sees a part
 * @property {(session: V1Session, kind: number, values: Int32Array) => void} [onEvent]
 */

{
  // The server sends a HEAD at least twice a second.
  const SILENCE_MAX_MS = 5000;
  const HIDDEN_HZ = 2;
  const SHOWN_HZ = 20;
  const NO_ANSWER = 1006;
  const BYTES_OVER_MS = 2000;

  /**
   * `onMessage` gets messages as those of the JSON dialect. The `init` also has the `parts` for the
   * page, and the session.
   * @param {V1DriverOptions} options
   * @returns {Driver<JsonConnection>}
   */
  Skirmish.createV1Driver = function (options) {
    const json = Skirmish.createJsonDriver(options);
    // Whether the server has spoken it: then a connection without an answer was lost.
    let isKnown = false;
    return {
      connect(events, token) {
        const connection = connectV1(options, token, {
          ...events,
          opened() {
            isKnown = true;
            events.opened();
          },
          closed(code, reason) {
            const isRefused = code === NO_ANSWER && connection.isNew() && !isKnown;
            if (!isRefused) return events.closed(code, reason);
            connection.close();
            // It also fails if there is no server, and reports that.
            try {
              Object.assign(connection, { hold: undefined, press: undefined },
                json.connect(events, token));
            } catch {
              events.closed(code, reason);
            }
          },
        });
        return connection;
      },
    };
  };

  /**
   * @param {V1DriverOptions} options
   * @param {string | null} token
   * @param {LinkEvents} events
   */
  function connectV1({ url, onMessage, onTick, onEvent }, token, events) {
    let isNew = true;
    let timer = 0;
    let begun = "";
    /**
     * What the room has sent about itself since the last tick.
     * @type {Record<string, number> | undefined}
     */
    let roomFields;
    const session = Skirmish.createV1Session({
      send, welcome, tick, rtt: events.rtt,
      event: (kind, values) => onEvent?.(session, kind, values),
    });
    const parts = Skirmish.createV1Parts(session);
    const socket = Skirmish.openSocket(Skirmish.resumeUrl(url, token), Skirmish.v1.SUBPROTOCOL, {
      message: receive,
      closed(code, reason) {
        end();
        events.closed(code, reason);
      },
    });
    const bytes = Skirmish.createRate(BYTES_OVER_MS);

    /**
     * @param {any} data
     * @param {number} at
     */
    function receive(data, at) {
      events.received(at);
      if (!(data instanceof ArrayBuffer)) return receiveText(data);
      session.receive(data, at);
      bytes.add(at, socket.received().bytes);
    }

    /**
     * A text message is one of the JSON dialect.
     * @param {string} text
     */
    function receiveText(text) {
      const message = JSON.parse(text);
      if (message.type === "notice") events.announced(String(message.text));
    }

    /** @param {Uint8Array} message */
    function send(message) {
      socket.send(message);
    }

    /** @param {V1Welcome} next */
    function welcome(next) {
      const { id, room, rules } = next;
      roomFields = next.room_fields;
      if (isNew || next.token !== undefined) events.welcomed(next);
      if (isNew) opened();
      // It comes again when the fields of the room change.
      if (begun === `${id} ${room}`) return;
      begun = `${id} ${room}`;
      const message = { type: "init", id, room, rules, rules_data: Skirmish.v1Rules(next), parts,
        session };
      onMessage(message, performance.now());
    }

    function opened() {
      isNew = false;
      events.opened();
      sendRate();
      document.addEventListener("visibilitychange", sendRate);
    }

    function tick() {
      const now = performance.now();
      events.updated(now);
      if (onTick !== undefined) onTick(session, now);
      else passState(now);
      if (timer === 0) run();
    }

    /** @param {number} now */
    function passState(now) {
      const state = {
        type: "state_update", tick: session.replica.head.tick, room: roomFields,
        players: Skirmish.v1Players(session),
      };
      roomFields = undefined;
      onMessage(state, now);
    }

    /** Makes the own steps, also while no frames are drawn. */
    function run() {
      clearTimeout(timer);
      session.run(performance.now());
      if (parts.prediction.isGliding()) parts.moved();
      const dueMs = (session.prediction()?.dueAt() ?? NaN) - performance.now();
      timer = setTimeout(run, dueMs >= 0 ? dueMs : 0);
    }

    /** A page that cannot be seen needs few ticks. */
    function sendRate() {
      send(Skirmish.v1.encodeRate(document.hidden ? HIDDEN_HZ : SHOWN_HZ));
    }

    /** @param {Direction | null} direction */
    function hold(direction) {
      session.hold(direction, performance.now());
      if (timer !== 0) run();
    }

    function press() {
      session.press(performance.now());
      return !isNew;
    }

    function end() {
      clearTimeout(timer);
      timer = 0;
      document.removeEventListener("visibilitychange", sendRate);
    }

    return {
      hold,
      press,
      ping: () => session.ping(performance.now()),
      close() {
        end();
        socket.close();
      },
      abandon() {
        end();
        return socket.abandon();
      },
      send: () => false,
      transport: () => "websocket",
      silenceMaxMs: () => SILENCE_MAX_MS,
      isNew: () => isNew,
      /** @returns {NetworkNumbers} */
      network() {
        const clock = session.view()?.clock;
        const prediction = session.prediction();
        return {
          dialect: Skirmish.v1.SUBPROTOCOL,
          jitterMs: clock?.jitterMs() ?? null,
          delayMs: clock?.delayMs() ?? null,
          bytesPerSecond: bytes.perSecond(performance.now()),
          isCompressed: socket.isCompressed(),
          skipped: session.skipped(),
          error: prediction?.error() ?? null,
          unconfirmed: prediction?.unconfirmed() ?? null,
        };
      },
    };
  }
}
