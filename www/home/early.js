// Requests the rooms before the deferred scripts have loaded, which saves a round trip. The server puts
// it into the page (see src/http/bundle.rs).
"use strict";
var Skirmish = Skirmish || {};

/**
 * The answer for home.js; null if the page is hidden, since it would be old once the page is shown.
 * @type {ReturnType<typeof Skirmish.fetchRooms> | null}
 */
Skirmish.earlyRooms = document.hidden ? null : Skirmish.fetchRooms(location.href);
