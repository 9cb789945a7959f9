// Held keys and the pad on the screen, as one step per tick while something is held. Steps go by
// the time that has passed, so a slow page makes as many.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {"UP" | "DOWN" | "LEFT" | "RIGHT"} Direction */

/**
 * Takes what is pressed. A `source` is a key code or a pointer.
 * @typedef {object} Steps
 * @property {(source: string, direction: Direction) => void} press
 * @property {(source: string) => void} release
 * @property {() => void} clear releases everything
 * @property {(direction: Direction) => void} tap one step
 */

{
  /**
   * Codes are places on the keyboard, so W/A/S/D is the same cross on every layout.
   * @type {Record<string, Direction>}
   */
  const KEYS = {
    ArrowUp: "UP", ArrowDown: "DOWN", ArrowLeft: "LEFT", ArrowRight: "RIGHT",
    KeyW: "UP", KeyS: "DOWN", KeyA: "LEFT", KeyD: "RIGHT",
  };

  // After a longer stall of the page than this many ticks the steps between are dropped.
  const LATE_STEPS_MAX = 10;

  /**
   * Calls `onStep` at once for what is newly pressed, then on each tick for what was pressed last
   * and is still held. `onHold` gets what was pressed last and is still held when that changes.
   * @param {{ pad: HTMLElement, onStep: (direction: Direction) => void,
   *   onHold: (direction: Direction | null) => void }} options
   */
  Skirmish.createInput = function ({ pad, onStep, onHold }) {
    /**
     * What is held, oldest first: the direction of each source.
     * @type {Map<string, Direction>}
     */
    const held = new Map();
    let timer = 0;
    let dueAt = 0;
    /**
     * Null before the server has sent the rules.
     * @type {number | null}
     */
    let tickMs = null;

    function repeat() {
      clearInterval(timer);
      if (tickMs === null || held.size === 0) return;
      dueAt = performance.now() + tickMs;
      timer = setInterval(step, tickMs, tickMs);
    }

    /** @param {number} tickMs */
    function step(tickMs) {
      const direction = newest();
      if (direction === undefined) return;
      // A timer may also fire a moment early.
      const passed = Math.round((performance.now() - dueAt) / tickMs) + 1;
      dueAt += passed * tickMs;
      for (let i = 0; i < Math.min(passed, LATE_STEPS_MAX); i++) onStep(direction);
    }

    /**
     * @param {string} source
     * @param {Direction} direction
     */
    function press(source, direction) {
      if (held.get(source) === direction) return;
      held.delete(source);
      held.set(source, direction);
      repeat();
      onHold(direction);
      onStep(direction);
      highlight();
    }

    /** @param {string} source */
    function release(source) {
      if (!held.delete(source)) return;
      if (held.size === 0) clearInterval(timer);
      onHold(newest() ?? null);
      highlight();
    }

    function clear() {
      held.clear();
      clearInterval(timer);
      onHold(null);
      highlight();
    }

    function newest() {
      return Array.from(held.values()).pop();
    }

    /** Highlights the direction on the pad, also when it comes from a key. */
    function highlight() {
      const direction = newest();
      for (const button of pad.querySelectorAll("button")) {
        button.classList.toggle("held", button.dataset.direction === direction);
      }
    }

    /**
     * One step, without holding anything.
     * @param {Direction} direction
     */
    function tap(direction) {
      onHold(direction);
      onStep(direction);
      onHold(newest() ?? null);
    }

    const steps = { press, release, clear, tap };
    listenToKeys(steps);
    listenToPad(pad, steps);
    return {
      /** @param {number} ms */
      setTick(ms) {
        tickMs = ms;
        repeat();
      },
    };
  };

  /** @param {Steps} steps */
  function listenToKeys({ press, release, clear }) {
    addEventListener("keydown", (event) => {
      // With Meta held, some systems report no keyup.
      if (event.key === "Meta") clear();
      const direction = KEYS[event.code];
      if (direction === undefined || event.isComposing) return;
      if (event.ctrlKey || event.altKey || event.metaKey || Skirmish.isWriting(event.target)) return;
      event.preventDefault();
      if (!event.repeat) press(event.code, direction);
    });
    addEventListener("keyup", (event) => release(event.code));
    // Another window gets the keyup of keys that are released there.
    addEventListener("blur", clear);
    addEventListener("pagehide", clear);
    document.addEventListener("visibilitychange", () => document.hidden && clear());
  }

  /**
   * Whether a key belongs to an element that takes text.
   * @param {EventTarget | null} element
   */
  Skirmish.isWriting = (element) => element instanceof Element &&
    element.closest("input, textarea, select, dialog, [contenteditable]") !== null;

  /**
   * A finger may touch the pad anywhere and slide: the quarter that it is in counts.
   * @param {HTMLElement} pad
   * @param {Steps} steps
   */
  function listenToPad(pad, { press, release, tap }) {
    /** @param {PointerEvent} event */
    const sourceOf = (event) => `pointer ${event.pointerId}`;
    /** @type {Set<number>} */
    const down = new Set();

    pad.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) return;
      pad.setPointerCapture(event.pointerId);
      down.add(event.pointerId);
      press(sourceOf(event), quarter(pad, event) || "UP");
    });
    pad.addEventListener("pointermove", (event) => {
      if (!down.has(event.pointerId)) return;
      const direction = quarter(pad, event);
      if (direction !== null) press(sourceOf(event), direction);
    });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel", "lostpointercapture"])) {
      pad.addEventListener(end, (event) => {
        down.delete(event.pointerId);
        release(sourceOf(event));
      });
    }
    // Enter or Space holds a button like a finger. `listenToKeys` gets the keyup; here the key
    // must only not click.
    for (const kind of /** @type {const} */ (["keydown", "keyup"])) {
      pad.addEventListener(kind, (event) => {
        const direction = directionAt(event.target);
        if (direction === null || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        if (kind === "keydown" && !event.repeat) press(event.code, direction);
      });
    }
    // Assistive tools click without a pointer and without a key. Pointers are handled above.
    pad.addEventListener("click", (event) => {
      const direction = directionAt(event.target);
      if (event.detail === 0 && direction !== null) tap(direction);
    });
    // A click must not move the focus, or the next Space would hold a button of the pad.
    pad.addEventListener("mousedown", (event) => event.preventDefault());
    pad.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /**
   * The direction of the button at an element.
   * @param {EventTarget | null} target
   */
  function directionAt(target) {
    if (!(target instanceof Element)) return null;
    const button = /** @type {HTMLElement | null} */ (target.closest("[data-direction]"));
    return /** @type {Direction | null} */ (button?.dataset.direction ?? null);
  }

  /**
   * The direction from the middle of the pad, or null near the middle.
   * @param {HTMLElement} pad
   * @param {PointerEvent} event
   * @returns {Direction | null}
   */
  function quarter(pad, event) {
    const box = pad.getBoundingClientRect();
    const x = event.clientX - (box.left + box.width / 2);
    const y = event.clientY - (box.top + box.height / 2);
    if (Math.hypot(x, y) < box.width * 0.06) return null;
    if (Math.abs(x) > Math.abs(y)) return x < 0 ? "LEFT" : "RIGHT";
    return y < 0 ? "UP" : "DOWN";
  }
}
