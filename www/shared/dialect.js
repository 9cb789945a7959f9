// Which dialect the address of a page asks for (`?dialect=`). It runs inline, before the deferred
// scripts have loaded.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {"json" | "v1" | "socketio"} Dialect */

/** The parameters of the query that stay when the player changes the room. */
Skirmish.keptParameters = ["dialect", "net", "lag", "jitter", "stall"];

/**
 * @param {string} pageHref
 * @param {Dialect[]} dialects those of the page
 * @returns {{ name: Dialect | null, error?: undefined } | { name?: undefined, error: string }} `name`
 *   is null if the address does not say; `error` is a sentence
 */
Skirmish.askedDialect = function (pageHref, dialects) {
  const asked = (new URL(pageHref).searchParams.get("dialect") || "").trim().toLowerCase();
  if (asked === "") return { name: null };
  const name = dialects.find((one) => one === asked);
  if (name !== undefined) return { name };
  const others = dialects.slice(0, -1).join(", ");
  const last = dialects[dialects.length - 1];
  const error = `“${asked.slice(0, 60)}” is not a dialect of this page. Use ${others} or ${last}.`;
  return { error };
};

/**
 * The address of the same page without `?dialect=`.
 * @param {string} pageHref
 */
Skirmish.withoutDialect = function (pageHref) {
  const { searchParams } = new URL(pageHref);
  searchParams.delete("dialect");
  return Skirmish.pageWith(pageHref, Object.fromEntries(searchParams));
};
