// The texts of elements.
"use strict";
var Skirmish = Skirmish || {};
{
  /**
   * The last text that `setText` has set.
   * @type {WeakMap<Element, string>}
   */
  const texts = new WeakMap();

  /**
   * Sets the text of an element, which nothing else sets. Setting it to what it is would make screen
   * readers repeat it, and reading it from the page takes longer.
   * @param {HTMLElement} element
   * @param {string} text
   */
  Skirmish.setText = function (element, text) {
    if (texts.get(element) === text) return;
    texts.set(element, text);
    element.textContent = text;
    // A text that is cut off can be read by pointing at it.
    if (element.tagName === "DD") element.title = text;
  };
}
