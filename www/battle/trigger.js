// Space and the attack button: an attack at once, and another after each cooldown while held.
"use strict";
var Skirmish = Skirmish || {};

/**
 * Takes what is pressed. A `source` is a key or a pointer.
 * @typedef {object} Presses
 * @property {(source: string) => void} press
 * @property {(source: string) => void} release
 * @property {() => void} tap one attack
 * @property {() => void} clear releases everything
 */

{
  // The server counts the cooldown in ticks and drops an attack that comes a moment early.
  const MARGIN_MS = 10;

  /** @param {{ button: HTMLElement, cooldownMs: () => number, onAttack: () => void }} options */
  Skirmish.createTrigger = function ({ button, cooldownMs, onAttack }) {
    /** @type {Set<string>} */
    const held = new Set();
    // A press during the cooldown counts after it, even if it has been released by then.
    let isPending = false;
    let attackedAt = -Infinity;
    let timer = 0;

    function attempt() {
      clearTimeout(timer);
      if (!isPending && held.size === 0) return;
      const period = cooldownMs() + MARGIN_MS;
      const dueMs = attackedAt + period - performance.now();
      if (dueMs <= 0) {
        attackedAt = performance.now();
        isPending = false;
        onAttack();
      }
      timer = setTimeout(attempt, dueMs <= 0 ? period : dueMs);
    }

    /** @param {string} source */
    function press(source) {
      if (held.has(source)) return;
      held.add(source);
      button.classList.add("held");
      tap();
    }

    function tap() {
      isPending = true;
      attempt();
    }

    /** @param {string} source */
    function release(source) {
      held.delete(source);
      button.classList.toggle("held", held.size > 0);
    }

    function clear() {
      isPending = false;
      held.clear();
      button.classList.remove("held");
    }

    const presses = { press, release, tap, clear };
    listenToSpace(button, presses);
    listenToButton(button, presses);
  };

  /**
   * @param {HTMLElement} button
   * @param {Presses} presses
   */
  function listenToSpace(button, { press, release, clear }) {
    addEventListener("keydown", (event) => {
      if (event.key === "Meta") clear();
      if (event.code !== "Space" || event.isComposing || isTaken(event.target, button)) return;
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      if (!event.repeat) press("Space");
    });
    addEventListener("keyup", (event) => {
      if (event.code === "Space") release("Space");
    });
    addEventListener("blur", clear);
    addEventListener("pagehide", clear);
    document.addEventListener("visibilitychange", () => document.hidden && clear());
  }

  /**
   * Whether Space means something else at an element: a space in a text or a click on a button.
   * @param {EventTarget | null} element
   * @param {HTMLElement} button
   */
  function isTaken(element, button) {
    if (!(element instanceof Element) || button.contains(element)) return false;
    return element.closest("input, textarea, select, button, dialog, [contenteditable]") !== null;
  }

  /**
   * @param {HTMLElement} button
   * @param {Presses} presses
   */
  function listenToButton(button, { press, release, tap }) {
    button.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      press(`pointer ${event.pointerId}`);
    });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
      button.addEventListener(end, (event) => release(`pointer ${event.pointerId}`));
    }
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) press("Enter");
    });
    button.addEventListener("keyup", (event) => {
      // `listenToSpace` handles Space; here it must only not click.
      if (event.key === " ") event.preventDefault();
      if (event.key === "Enter") release("Enter");
    });
    button.addEventListener("blur", () => release("Enter"));
    // Assistive tools click without a pointer and without a key.
    button.addEventListener("click", (event) => event.detail === 0 && tap());
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }
}
