// Opens the WebSocket of the page before the other scripts have arrived, which saves a round trip.
// The server puts it into the page (see src/http/bundle.rs); websocket.js takes the socket over.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A socket that was opened early, and what it has received since.
 * @typedef {object} EarlySocket
 * @property {string} url
 * @property {WebSocket} socket
 * @property {{ data: any, at: number }[]} messages `at` is the time of arrival (performance.now())
 * @property {CloseEvent | null} closed
 */

{
  // If the script has not arrived after this many messages, the page connects again later.
  const MESSAGES_MAX = 100;

  /**
   * @param {string} url
   * @returns {EarlySocket | null} null if the browser refuses, for example `ws:` from `https:`
   */
  function openEarly(url) {
    let socket;
    try {
      socket = new WebSocket(url);
    } catch {
      return null;
    }
    /** @type {EarlySocket} */
    const early = { url, socket, messages: [], closed: null };
    socket.onmessage = ({ data }) => {
      if (early.messages.push({ data, at: performance.now() }) < MESSAGES_MAX) return;
      Skirmish.early = null;
      socket.close();
    };
    socket.onclose = (event) => (early.closed = event);
    return early;
  }

  const { url } = Skirmish.address(location.href);
  /** @type {EarlySocket | null} */
  Skirmish.early = url === undefined ? null : openEarly(url);
}
