// The room and the dialect of the battle, if its address names none. It runs inline, before the
// deferred scripts have loaded.
"use strict";
var Skirmish = Skirmish || {};

/**
 * What the page adds to its address.
 * @type {PageDefaults}
 */
Skirmish.battleDefaults = { room: "battle", rules: "battle", keep: Skirmish.keptParameters };

Skirmish.dialect = Skirmish.chooseDialect(location.href, Skirmish.battleDefaults, null);
