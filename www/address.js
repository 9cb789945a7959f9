// Where the server is: from the page's own address and its ?server=, ?room=, ?rules= and ?name=.
// Shared by every game page. Pure: it opens nothing.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // A page opened from the disk has no server of its own, so it asks the default port here.
  const FILE_SERVER = "ws://localhost:8765/";
  const HOST = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/;
  const ROOM = /^[a-z0-9_-]{1,32}$/i;
  // The server keeps 16 characters of a name. This bound only keeps the address short.
  const NAME_MAX = 64;

  // Returns { url, shown, room, name, out } to connect to, or { error, out } with a sentence for the
  // player. `out` is the address of the default room, or null for who asked for no other. A page
  // may have a default `room` and `rules` of its own, and keeps the query's parameters in `keep`.
  Skirmish.address = function (pageHref, { room: home = "", rules: own = "", keep = [] } = {}) {
    const page = new URL(pageHref);
    const asked = (key) => (page.searchParams.get(key) || "").trim();
    const [server, room, rules] = [asked("server"), asked("room"), asked("rules") || own];
    const kept = Object.fromEntries(keep.map((key) => [key, asked(key)]));
    const name = Array.from(asked("name")).slice(0, NAME_MAX).join("");
    const url = server === "" ? ownServer(page) : namedServer(server, page);
    if (url === null) {
      return {
        error: `“${shorten(server)}” is not a server address. ` +
          "Write it like ws://host:8765/ or host:8765.",
        out: Skirmish.pageWith(pageHref, { name, ...kept }),
      };
    }
    const out = room === "" ? null : Skirmish.pageWith(pageHref, { server, name, ...kept });
    if (room !== "" && !ROOM.test(room)) {
      return {
        error: `“${shorten(room)}” is not a room name. ` +
          "Use 1 to 32 letters a to z, digits, - and _.",
        out,
      };
    }
    const wanted = room.toLowerCase() || (url.searchParams.has("room") ? "" : home);
    if (wanted !== "") url.searchParams.set("room", wanted);
    if (rules !== "") url.searchParams.set("rules", rules);
    if (name !== "") url.searchParams.set("name", name);
    return { url: url.href, shown: url.host, room, name, out };
  };

  // The page's address with this query and no other; what is empty is left out.
  Skirmish.pageWith = function (pageHref, query) {
    const page = new URL(pageHref);
    page.search = page.hash = "";
    for (const [key, value] of Object.entries(query)) {
      if (value !== "") page.searchParams.set(key, value);
    }
    return page.href;
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
