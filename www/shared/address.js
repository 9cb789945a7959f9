// Where the server is, from the address of the page and its ?server=, ?room=, ?rules= and ?name=, or
// the remembered name. Every game page uses it. It opens no connection.
"use strict";
var Skirmish = Skirmish || {};

/**
 * A server to connect to.
 * @typedef {object} Server
 * @property {string} url of its WebSocket, with the room, the rules and the name in the query
 * @property {string} shown its host, as the player sees it
 * @property {string} room the room in the address of the page, or ""
 * @property {string} name from the address, else the remembered one
 * @property {string | null} out the address of the page for the default room; null if it is this
 *   one
 * @property {undefined} [error]
 */

/**
 * An address of a page that names no valid server or room.
 * @typedef {object} BadAddress
 * @property {string} error a sentence for the player
 * @property {string | null} out as in `Server`
 * @property {undefined} [url]
 * @property {undefined} [room]
 */

/**
 * What a page adds to its address.
 * @typedef {object} PageDefaults
 * @property {string} [room] the room if the address names none
 * @property {string} [rules] the rules if the address names none
 * @property {string[]} [keep] parameters of the query that stay when the player changes the room
 */

{
  // A page opened from disk connects to the default port of this machine.
  const FILE_SERVER = "ws://localhost:8765/";
  const HOST = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])$/;
  const ROOM = /^[a-z0-9_-]{1,32}$/i;
  // The server keeps 16 characters of a name. This limit only keeps the URL short.
  const NAME_MAX = 64;

  /**
   * Whether the server takes it as it is: without upper case.
   * @param {string} text
   */
  Skirmish.isRoomName = (text) => ROOM.test(text) && text === text.toLowerCase();

  /**
   * @param {string} pageHref
   * @param {PageDefaults} [defaults]
   * @returns {Server | BadAddress}
   */
  Skirmish.address = function (pageHref, defaults = {}) {
    const page = new URL(pageHref);
    /** @param {string} key */
    const param = (key) => (page.searchParams.get(key) || "").trim();
    const [server, room] = [param("server"), param("room")];
    const rules = param("rules") || defaults.rules || "";
    const kept = Object.fromEntries((defaults.keep ?? []).map((key) => [key, param(key)]));
    const named = Array.from(param("name")).slice(0, NAME_MAX).join("");
    const name = Skirmish.cleanName(named) === "" ? Skirmish.rememberedName() : named;
    const url = server === "" ? ownServer(page) : namedServer(server, page);
    if (url === null) {
      return {
        error: `“${shorten(server)}” is not a server address. ` +
          "Write it like ws://host:8765/ or host:8765.",
        out: Skirmish.pageWith(pageHref, { name: named, ...kept }),
      };
    }
    const query = { server, name: named, ...kept };
    const out = room === "" ? null : Skirmish.pageWith(pageHref, query);
    if (room !== "" && !ROOM.test(room)) {
      return {
        error: `“${shorten(room)}” is not a room name. ` +
          "Use 1 to 32 letters a to z, digits, - and _.",
        out,
      };
    }
    const serverHasRoom = url.searchParams.has("room");
    const wanted = room.toLowerCase() || (serverHasRoom ? "" : defaults.room ?? "");
    if (wanted !== "") url.searchParams.set("room", wanted);
    if (rules !== "") url.searchParams.set("rules", rules);
    if (name !== "") url.searchParams.set("name", name);
    return { url: url.href, shown: url.host, room, name, out };
  };

  /**
   * The address of a page with this query and no other, without the empty parameters.
   * @param {string | URL} pageHref
   * @param {Record<string, string>} query
   */
  Skirmish.pageWith = function (pageHref, query) {
    const page = new URL(pageHref);
    page.search = page.hash = "";
    for (const [key, value] of Object.entries(query)) {
      if (value !== "") page.searchParams.set(key, value);
    }
    return page.href;
  };

  /**
   * The address of a WebSocket that asks for a token to resume with, or presents one.
   * @param {string} url
   * @param {string | null} token
   */
  Skirmish.resumeUrl = function (url, token) {
    const resume = new URL(url);
    resume.searchParams.set("resume", token ?? "1");
    return resume.href;
  };

  /**
   * The address of this game for other players: the server, the room and the rules, and nothing
   * that belongs to this player.
   * @param {string} pageHref
   * @param {string} room the room that the player is in; "" is the one in the address
   */
  Skirmish.shareable = function (pageHref, room) {
    const { searchParams } = new URL(pageHref);
    /** @param {string} key */
    const param = (key) => (searchParams.get(key) || "").trim();
    const named = param("server");
    const url = named === "" ? null : namedServer(named, new URL(pageHref));
    return Skirmish.pageWith(pageHref, {
      server: url === null ? "" : `${url.protocol}//${url.host}${url.pathname}`,
      room: room || param("room") || (url?.searchParams.get("room") ?? ""),
      rules: param("rules"),
    });
  };

  /**
   * The server that sent the page: "ws" beside the page, so that it also works under a prefix.
   * @param {URL} page
   */
  function ownServer(page) {
    if (page.protocol !== "http:" && page.protocol !== "https:") return new URL(FILE_SERVER);
    const url = new URL("ws", page.origin + page.pathname);
    url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
    return url;
  }

  /**
   * @param {string} given
   * @param {URL} page
   */
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
    // Reject a link with a password.
    if (url.username !== "" || url.password !== "") return null;
    // Some browsers accept any host as long as it is escaped.
    if (!HOST.test(url.hostname)) return null;
    url.hash = "";
    const authority = text.slice(text.indexOf("//") + 2);
    if (!authority.includes("/")) url.pathname = "/ws";
    return url;
  }

  /** @param {string} text */
  function shorten(text) {
    const characters = Array.from(text);
    return characters.length <= 60 ? text : characters.slice(0, 60).join("") + "…";
  }
}
