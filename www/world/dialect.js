// The room and the dialect of the world, if its address names none. It runs inline, before the
// deferred scripts have loaded.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What the page adds to its address.
 * @type {PageDefaults}
 */
Skirmish.worldDefaults = { room: "world", rules: "world", keep: Skirmish.keptParameters };

Skirmish.dialect = Skirmish.chooseDialect(location.href, Skirmish.worldDefaults, "v1");
