// Which dialect the page speaks: Socket.IO if the server has the official client, else JSON;
// `?dialect=` decides otherwise. It runs inline, before the other scripts have arrived, so that
// the client loads beside them.
"use strict";
var Skirmish = Skirmish || {};

/**
 * `io` is the official client of Socket.IO.
 * @typedef {{ name: "json" } | { name: "socketio", io: typeof import("socket.io-client").io } |
 *   { name: "none", error: string }} Choice
 */

{
  const CLIENT_MAX_MS = 5000;

  /**
   * @param {string} pageHref
   * @returns {Promise<Choice>}
   */
  async function choose(pageHref) {
    const page = new URL(pageHref);
    const asked = (page.searchParams.get("dialect") || "").trim().toLowerCase();
    if (!["", "json", "socketio"].includes(asked)) {
      const error = `“${asked.slice(0, 60)}” is not a dialect of this page. Use json or socketio.`;
      return { name: "none", error };
    }
    const hasServer = /^https?:$/.test(page.protocol) && !page.searchParams.get("server");
    if (asked === "json" || (asked === "" && !hasServer)) return { name: "json" };
    const client = document.querySelector("meta[name=socketio-client]")?.getAttribute("content");
    if (client && await loads(client)) return { name: "socketio", io: /** @type {any} */ (window).io };
    if (asked === "") return { name: "json" };
    return {
      name: "none",
      error: "This server has no Socket.IO client. Start it with --socketio-client.",
    };
  }

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

  Skirmish.dialect = choose(location.href);
}
