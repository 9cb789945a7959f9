// Where the server is: from the page's own address and its ?server=, ?room= and ?name=.
// Shared by every game page. Pure: it opens nothing.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // A page opened from the disk has no server of its own, so it asks the default port here.
  const FILE_SERVER = "ws://localhost:8765/";
  const HOST = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/;
  const ROOM = /^[a-z0-9_-]{1,32}$/;
  // The server keeps 16 characters of a name. This bound only keeps the address short.
  const NAME_MAX = 64;

  // Returns { url, shown } to connect to, or { error } with a sentence for the player.
  Skirmish.address = function (pageHref) {
    const page = new URL(pageHref);
    const given = (page.searchParams.get("server") || "").trim();
    const url = given === "" ? ownServer(page) : namedServer(given, page);
    if (url === null) {
      return {
        error: `“${shorten(given)}” is not a server address. ` +
          "Write it like ws://host:8765/ or host:8765.",
      };
    }
    const room = (page.searchParams.get("room") || "").trim().toLowerCase();
    if (room !== "" && !ROOM.test(room)) {
      return {
        error: `“${shorten(room)}” is not a room name. ` +
          "Use 1 to 32 letters a to z, digits, - and _.",
      };
    }
    const wish = (page.searchParams.get("name") || "").trim();
    const name = Array.from(wish).slice(0, NAME_MAX).join("");
    if (room !== "") url.searchParams.set("room", room);
    if (name !== "") url.searchParams.set("name", name);
    return { url: url.href, shown: url.host };
  };

  // The server that sent the page: its "ws", beside the page, so that it also works under a prefix.
  function ownServer(page) {
    if (page.protocol !== "http:" && page.protocol !== "https:") return new URL(FILE_SERVER);
    const url = new URL("ws", page.origin + page.pathname);
    url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  function namedServer(given, page) {
    let text = given;
    if (/^https?:\/\//i.test(text)) text = text.replace(/^http/i, "ws");
    if (!/^wss?:\/\//i.test(text)) {
      if (text.includes("://")) return null;
      text = (page.protocol === "https:" ? "wss://" : "ws://") + text;
    }
    let url;
    try {
      url = new URL(text);
    } catch {
      return null;
    }
    // Whoever puts a password into a link did not mean this page.
    if (url.username !== "" || url.password !== "") return null;
    // Some browsers let a host be made of anything, if only it is escaped.
    if (!HOST.test(url.hostname)) return null;
    url.hash = "";
    const authority = text.slice(text.indexOf("//") + 2);
    if (!authority.includes("/")) url.pathname = "/ws";
    return url;
  }

  function shorten(text) {
    const characters = Array.from(text);
    return characters.length <= 60 ? text : characters.slice(0, 60).join("") + "…";
  }
})();
