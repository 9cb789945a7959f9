// Which dialect the page speaks: Socket.IO where the server gives us the official client, else
// JSON; `?dialect=` decides otherwise.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const CLIENT = "socket.io/socket.io.js";
  // A server that has not given it by then counts as one that has none.
  const CLIENT_MAX_MS = 5000;

  // Resolves to { name: "json" }, { name: "socketio", io }, or { error }, a sentence.
  Skirmish.chooseDialect = async function (pageHref) {
    const page = new URL(pageHref);
    const asked = (page.searchParams.get("dialect") || "").trim().toLowerCase();
    if (!["", "json", "socketio"].includes(asked)) {
      return { error: `“${asked.slice(0, 60)}” is no dialect of this page. It is json or socketio.` };
    }
    const isAtHome = /^https?:$/.test(page.protocol) && !page.searchParams.get("server");
    if (asked === "json" || (asked === "" && !isAtHome)) return { name: "json" };
    if (await loads(CLIENT)) return { name: "socketio", io: window.io };
    if (asked === "") return { name: "json" };
    return {
      error: "This server has no Socket.IO client to give. It is started with --socketio-client.",
    };
  };

  // Runs a script of the server's own, which lies beside the page; resolves to whether it came.
  function loads(src) {
    return new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = src;
      script.onload = () => resolve(typeof window.io === "function");
      script.onerror = () => resolve(false);
      setTimeout(resolve, CLIENT_MAX_MS, false);
      document.head.append(script);
    });
  }

  // From the address of the WebSocket to what the official client takes.
  Skirmish.socketIoAddress = function ({ url, shown }, pageHref) {
    const page = new URL(pageHref);
    const socket = new URL(url);
    const isAbroad = Boolean(page.searchParams.get("server"));
    const origin = isAbroad ? socket.origin.replace(/^ws/, "http") : page.origin;
    const path = isAbroad ? "/socket.io/" : new URL("socket.io/", page.origin + page.pathname).pathname;
    const auth = {};
    for (const key of ["room", "rules", "name"]) {
      if (socket.searchParams.has(key)) auth[key] = socket.searchParams.get(key);
    }
    return { origin, path, isAbroad, auth, shown };
  };
})();
