// What the browser remembers for the player: the chosen name, and whether sounds are muted. A
// browser may refuse to store anything; then nothing is remembered.
"use strict";
var Skirmish = Skirmish || {};
{
  const PREFIX = "skirmish.";
  // Characters of a name that the server keeps.
  const NAME_MAX = 16;
  const INVISIBLE = new RegExp("[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}\\p{Co}\\p{Cs}\\u034f\\u115f\\u1160" +
    "\\u17b4\\u17b5\\u180b-\\u180f\\u2065\\u2800\\u3164\\ufe00-\\ufe0f\\uffa0\\ufff0-\\uffff" +
    "\\u{1d159}\\u{e0000}-\\u{10ffff}]", "gu");

  Skirmish.store = {
    /**
     * @param {"name" | "muted"} key
     * @returns {string} "" if nothing is stored
     */
    get(key) {
      try {
        return localStorage.getItem(PREFIX + key) ?? "";
      } catch {
        return "";
      }
    },

    /**
     * @param {"name" | "muted"} key
     * @param {string} value "" removes it
     */
    set(key, value) {
      try {
        if (value === "") localStorage.removeItem(PREFIX + key);
        else localStorage.setItem(PREFIX + key, value);
      } catch {
        // Without storage the page works, but remembers nothing.
      }
    },
  };

  /**
   * A name as the server would keep it (`clean_name` in src/server/join_request.rs); "" if nothing
   * of it is visible.
   * @param {string} text
   */
  Skirmish.cleanName = function (text) {
    const words = text.split(/\p{White_Space}+/u).map((word) => word.replace(INVISIBLE, ""));
    const name = Array.from(words.filter((word) => word !== "").join(" "))
      .slice(0, NAME_MAX).join("").trimEnd();
    // A combining mark alone has nothing to stand on.
    return /[^ \p{M}]/u.test(name) ? name : "";
  };

  /** The name that the player chose last; "" if none. */
  Skirmish.rememberedName = () => Skirmish.cleanName(Skirmish.store.get("name"));

  /**
   * Remembers a name that the player chose, cleaned, and returns it. The server may add a number to
   * it in the room; that is not remembered.
   * @param {string} name "" forgets it
   */
  Skirmish.rememberName = function (name) {
    const clean = Skirmish.cleanName(name);
    Skirmish.store.set("name", clean);
    return clean;
  };
}
