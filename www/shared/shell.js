// The parts of every game page: the state in the title bar, the notice over the board, the toolbar
// with the room button, the link button and the news, the pad, and the dialogs. A page has an empty
// element for each, except for the dialog of the link.
"use strict";
var Skirmish = Skirmish || {};
{
  const NOTICE = `
    <p id="sentence"></p>
    <p id="countdown" hidden></p>
    <button id="retry" class="main" type="button">Reconnect now</button>
    <a id="out" hidden>Play in the default room</a>`;

  const ANNOUNCEMENT = `
    <div id="announcement" role="alert" hidden>
      <p id="announced"></p>
      <button id="announced-close" class="tool" type="button" aria-label="Close the message">×</button>
    </div>`;

  const ROOM_BUTTON = `<button id="choose-room" type="button">Name and room</button>`;
  const SHARE_BUTTON = `
    <button id="share" class="tool" type="button" title="Copy the link to this room"
      aria-label="Copy the link to this room"><svg viewBox="0 0 24 24" aria-hidden="true"><path
      d="M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0
      5.7 5.7l1.1-1.1"/><path class="tick" d="M5 12.5l5 5 9-10"/></svg></button>`;
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

  const LINK_DIALOG = `
    <dialog id="link" aria-label="Link to this room">
      <div>
        <label>Copy this link <input id="link-field" readonly></label>
        <menu><button id="link-close" class="main" type="button">Close</button></menu>
      </div>
    </dialog>`;

  /**
   * The element of the page with this id.
   * @param {string} id
   */
  Skirmish.element = function (id) {
    const element = document.getElementById(id);
    if (element === null) throw new Error(`the page has no element “${id}”`);
    return element;
  };

  /**
   * @param {string} id of an element
   * @param {string} text
   */
  Skirmish.putText = (id, text) => Skirmish.setText(Skirmish.element(id), text);

  /** The canvas on which a game page draws. */
  Skirmish.canvas = () => /** @type {HTMLCanvasElement} */ (Skirmish.element("canvas"));

  /** Fills the empty elements of a game page. */
  Skirmish.fillShell = function () {
    Skirmish.element("notice").innerHTML = NOTICE;
    Skirmish.element("notice").insertAdjacentHTML("beforebegin", ANNOUNCEMENT);
    Skirmish.element("pad").innerHTML = PAD;
    Skirmish.element("join").innerHTML = DIALOG;
    const toolbar = Skirmish.element("toolbar");
    toolbar.insertAdjacentHTML("afterbegin", ROOM_BUTTON);
    toolbar.insertAdjacentHTML("beforeend", SHARE_BUTTON + NEWS);
    document.body.insertAdjacentHTML("beforeend", LINK_DIALOG);
  };
}
