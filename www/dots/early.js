// Runs inline, before the deferred scripts of the page have loaded.
"use strict";
var Skirmish = Skirmish || {};

/** The dialect that the address asks for. */
Skirmish.dotsDialect = Skirmish.askedDialect(location.href, ["json", "v1"]);

/**
 * What the page adds to its address. The default room of skirmish.v1 has another game.
 * @type {PageDefaults}
 */
Skirmish.dotsDefaults = {
  keep: Skirmish.keptParameters, ...(Skirmish.dotsDialect.name === "v1" && { room: "dots" }),
};

if (Skirmish.dotsDialect.name === "v1") Skirmish.openEarly(Skirmish.dotsDefaults, "skirmish.v1");
else if (Skirmish.dotsDialect.error === undefined) Skirmish.openEarly(Skirmish.dotsDefaults);
