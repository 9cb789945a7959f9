// Runs inline, before the deferred scripts of the page have loaded.
"use strict";
var Skirmish = Skirmish || {};

Skirmish.openEarly();
