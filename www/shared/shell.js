// The parts of every game page: the state in the title bar, the notice over the board, the toolbar
// with the room button and the news, the pad, and the dialog. A page has an empty element for each.
"use strict";
var Skirmish = Skirmish || {};
{
  const NOTICE = `
    <p id="sentence"></p>
    <p id="countdown" hidden></p>
    <button id="retry" class="main" type="button">Reconnect now</button>
    <a id="out" hidden>Play in the default room</a>`;

  const ROOM_BUTTON = `<button id="choose-room" type="button">Name and room</button>`;
  const NEWS = `<p id="news" role="status" aria-live="polite"></p>`;

  /**
   * @param {string} direction
   * @param {string} path of the arrow, in a square of 24
   */
  const arrow = (direction, path) => {
    const label = direction[0] + direction.slice(1).toLowerCase();
    return `<button type="button" data-direction="${direction}" aria-label="${label}">` +
      `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg></button>`;
  };
  const PAD = arrow("UP", "M5 15l7-7 7 7") + arrow("LEFT", "M15 5l-7 7 7 7") +
    arrow("RIGHT", "M9 5l7 7-7 7") + arrow("DOWN", "M5 9l7 7 7-7");

  const DIALOG = `
    <form autocomplete="off">
      <label>Name <input name="name" maxlength="16" placeholder="Player" spellcheck="false"
        enterkeyhint="go"></label>
      <label>Room <input name="room" maxlength="32" placeholder="the default room"
        pattern="\\s*[A-Za-z0-9_\\-]*\\s*" title="1 to 32 letters a to z, digits, - and _"
        spellcheck="false" autocapitalize="none" enterkeyhint="go"></label>
      <div hidden>
        <h2>Open rooms</h2>
        <ul id="rooms"></ul>
      </div>
      <menu>
        <button id="cancel" type="button">Cancel</button>
        <button class="main">Play</button>
      </menu>
    </form>`;

  /**
   * The element of the page with this id.
   * @param {string} id
   */
  Skirmish.element = function (id) {
    const element = document.getElementById(id);
    if (element === null) throw new Error(`the page has no element “${id}”`);
    return element;
  };

  /** The canvas on which a game page draws. */
  Skirmish.canvas = () => /** @type {HTMLCanvasElement} */ (Skirmish.element("canvas"));

  /** Fills the empty elements of a game page. */
  Skirmish.fillShell = function () {
    Skirmish.element("notice").innerHTML = NOTICE;
    Skirmish.element("pad").innerHTML = PAD;
    Skirmish.element("join").innerHTML = DIALOG;
    const toolbar = Skirmish.element("toolbar");
    toolbar.insertAdjacentHTML("afterbegin", ROOM_BUTTON);
    toolbar.insertAdjacentHTML("beforeend", NEWS);
  };
}
