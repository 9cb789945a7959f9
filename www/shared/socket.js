// A WebSocket as the drivers use it: opened now or by early.js, counted, and with the lag that the
// address of the page asks for.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What a socket reports. Nothing is reported before `openSocket` has returned.
 * @typedef {object} SocketEvents
 * @property {(data: any, at: number) => void} message `at` is when it was received
 * @property {(code: number, reason: string) => void} closed
 */

/** @typedef {ReturnType<typeof Skirmish.openSocket>} Socket */

{
  /**
   * Throws if the browser refuses to connect.
   * @param {string} url
   * @param {string | null} protocol the subprotocol to ask for, whose messages are binary
   * @param {SocketEvents} events
   */
  Skirmish.openSocket = function (url, protocol, events) {
    const { socket, messages, closed } = takeEarly(url, protocol) ?? open(url, protocol);
    const lag = Skirmish.lagOf(location.href);
    const [sending, receiving] = lag === null ? [atOnce, atOnce]
      : [Skirmish.createDelayedQueue(lag, Math.random),
        Skirmish.createDelayedQueue(lag, Math.random)];
    let isClosed = false;
    let bytes = 0;
    let count = 0;

    /**
     * @param {any} data
     * @param {number} at
     */
    function receive(data, at) {
      if (isClosed) return;
      // A text is counted in characters, which are bytes in nearly all messages.
      bytes += typeof data === "string" ? data.length : data.byteLength;
      count++;
      events.message(data, at);
    }

    /**
     * @param {number} code
     * @param {string} reason
     */
    function end(code, reason) {
      if (!isClosed) events.closed(code, reason);
    }

    /**
     * Returns whether it was sent, or will be.
     * @param {string | Uint8Array} data copied if it is sent later
     */
    function send(data) {
      if (socket.readyState !== WebSocket.OPEN) return false;
      const kept = lag === null || typeof data === "string" ? data : data.slice();
      sending(() => {
        if (socket.readyState === WebSocket.OPEN) socket.send(kept);
      });
      return true;
    }

    /** Reports nothing afterwards. Returns how to close it, too. */
    function abandon() {
      isClosed = true;
      socket.onmessage = socket.onclose = null;
      return () => socket.close();
    }

    const onMessage = (/** @type {MessageEvent} */ { data }) =>
      receiving(() => receive(data, performance.now()));
    const onClose = (/** @type {CloseEvent} */ { code, reason }) =>
      receiving(() => end(code, reason));
    socket.onmessage = onMessage;
    socket.onclose = onClose;
    queueMicrotask(() => {
      for (const { data, at } of messages) receive(data, at);
      if (closed !== null) end(closed.code, closed.reason);
    });
    return {
      send,
      abandon,
      /** Reports nothing afterwards. */
      close: () => abandon()(),
      /** Messages that were received, and their bytes before compression. */
      received: () => ({ count, bytes }),
      /** Whether the connection is compressed. */
      isCompressed: () => socket.extensions.includes("permessage-deflate"),
      /** Whether the address of the page asks for a slow network. */
      isSlowed: lag !== null,
    };
  };

  /** @param {() => void} run */
  function atOnce(run) {
    run();
  }

  /**
   * @param {string} url
   * @param {string | null} protocol
   * @returns {Omit<EarlySocket, "url" | "protocol">}
   */
  function open(url, protocol) {
    const socket = protocol === null ? new WebSocket(url) : new WebSocket(url, protocol);
    socket.binaryType = "arraybuffer";
    return { socket, messages: [], closed: null };
  }

  /**
   * The socket that early.js opened, once, if it is this one.
   * @param {string} url
   * @param {string | null} protocol
   */
  function takeEarly(url, protocol) {
    const early = Skirmish.early ?? null;
    Skirmish.early = null;
    if (early === null || (early.url === url && early.protocol === protocol)) return early;
    early.socket.close();
    return null;
  }
}
