// Opens the WebSocket of a page before the deferred scripts have loaded, which saves two round trips.
// The server puts it into the page (see src/http/bundle.rs); socket.js takes the socket over.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A socket that was opened early, and what it has received since.
 * @typedef {object} EarlySocket
 * @property {string} url
 * @property {string | null} protocol the subprotocol
 * @property {WebSocket} socket
 * @property {{ data: any, at: number }[]} messages `at` is when it was received (performance.now())
 * @property {CloseEvent | null} closed
 */

{
  // If the script has not loaded after this many messages, the page connects again later.
  const MESSAGES_MAX = 100;

  /**
   * What a page has opened early; null if it has not, or after socket.js took it.
   * @type {EarlySocket | null}
   */
  Skirmish.early = null;

  /**
   * Opens the socket at the address of the page, unless the address has an error.
   * @param {PageDefaults} [defaults]
   * @param {string | null} [protocol] the subprotocol to ask for
   */
  Skirmish.openEarly = function (defaults, protocol = null) {
    const { url } = Skirmish.address(location.href, defaults);
    if (url !== undefined) Skirmish.early = open(Skirmish.resumeUrl(url, null), protocol);
  };

  /**
   * @param {string} url
   * @param {string | null} protocol
   * @returns {EarlySocket | null} null if the browser refuses, for example `ws:` from `https:`
   */
  function open(url, protocol) {
    let socket;
    try {
      socket = protocol === null ? new WebSocket(url) : new WebSocket(url, protocol);
    } catch {
      return null;
    }
    socket.binaryType = "arraybuffer";
    /** @type {EarlySocket} */
    const early = { url, protocol, socket, messages: [], closed: null };
    socket.onmessage = ({ data }) => {
      if (early.messages.push({ data, at: performance.now() }) < MESSAGES_MAX) return;
      Skirmish.early = null;
      socket.close();
    };
    socket.onclose = (event) => (early.closed = event);
    return early;
  }
}
