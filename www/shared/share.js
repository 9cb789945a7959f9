// The button that copies the address of the game for other players. A page without access to the
// clipboard, as every page over plain HTTP, copies from a field, or shows the field to copy by hand.
"use strict";
var Skirmish = Skirmish || {};
{
  const DONE_FOR_MS = 2000;

  /**
   * @param {{ button: HTMLElement, href: () => string, say: (text: string) => void }} options
   *   `href` is the address to copy; `say` shows a sentence, also to screen readers
   */
  Skirmish.createShare = function ({ button, href, say }) {
    const dialog = /** @type {HTMLDialogElement} */ (Skirmish.element("link"));
    const field = /** @type {HTMLInputElement} */ (Skirmish.element("link-field"));
    let doneTimer = 0;

    // A page opened from disk has no address for others.
    button.hidden = !/^https?:$/.test(location.protocol);
    button.addEventListener("click", copy);
    // The button gets no focus, so that the next Space attacks and does not click it again.
    button.addEventListener("mousedown", (event) => event.preventDefault());
    Skirmish.element("link-close").addEventListener("click", () => dialog.close());
    field.addEventListener("focus", () => field.select());

    async function copy() {
      const text = href();
      try {
        await navigator.clipboard.writeText(text);
        done();
      } catch {
        copyFromField(text);
      }
    }

    /** @param {string} text */
    function copyFromField(text) {
      field.value = text;
      dialog.showModal();
      field.select();
      // Deprecated, but the only way on a page without HTTPS.
      if (!document.execCommand("copy")) return;
      dialog.close();
      done();
    }

    function done() {
      say("The link to this room was copied.");
      button.classList.add("done");
      clearTimeout(doneTimer);
      doneTimer = setTimeout(() => button.classList.remove("done"), DONE_FOR_MS);
    }
  };
}
