// Which dialect the page of a fight uses: that of `?dialect=`, or else its own. It runs inline,
// before the deferred scripts have loaded, so that the client of Socket.IO loads beside them, or the
// socket opens.
"use strict";
var Skirmish = Skirmish || {};

/**
 * `io` is the official client of Socket.IO.
 * @typedef {{ name: "json" | "v1" } | { name: "socketio", io: typeof import("socket.io-client").io } |
 *   { name: "none", error: string }} Choice
 */

{
  const CLIENT_MAX_MS = 5000;

  /**
   * @param {string} pageHref
   * @param {PageDefaults} defaults
   * @param {Dialect | null} usual the dialect if the address names none; null is Socket.IO if the
   *   server has the official client, else JSON
   * @returns {Promise<Choice>}
   */
  Skirmish.chooseDialect = async function (pageHref, defaults, usual) {
    const page = new URL(pageHref);
    const { name, error } = Skirmish.askedDialect(pageHref, ["json", "v1", "socketio"]);
    if (error !== undefined) return { name: "none", error };
    const asked = name ?? usual;
    if (asked === "v1") {
      Skirmish.openEarly(defaults, "skirmish.v1");
      return { name: "v1" };
    }
    const hasServer = /^https?:$/.test(page.protocol) && !page.searchParams.get("server");
    const client = document.querySelector("meta[name=socketio-client]")?.getAttribute("content");
    if (asked === "json" || (asked === null && !(hasServer && client))) {
      Skirmish.openEarly(defaults);
      return { name: "json" };
    }
    if (client && await loads(client)) return { name: "socketio", io: /** @type {any} */ (window).io };
    if (asked === null) return { name: "json" };
    return {
      name: "none",
      error: "This server has no Socket.IO client. Start it with --socketio-client.",
    };
  };

  /**
   * Runs a script beside the page. Resolves to whether it defined `io`.
   * @param {string} src
   * @returns {Promise<boolean>}
   */
  function loads(src) {
    return new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = src;
      script.onload = () => resolve(typeof (/** @type {any} */ (window).io) === "function");
      script.onerror = () => resolve(false);
      setTimeout(resolve, CLIENT_MAX_MS, false);
      document.head.append(script);
    });
  }
}
