// Held keys and the pad on the screen, made into one step every 50 ms while something is held.
// Shared by every game page. It knows directions and nothing else.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const STEP_MS = 50;
  // Codes name places on the keyboard, so W/A/S/D is the same cross on every layout.
  const KEYS = {
    ArrowUp: "UP", ArrowDown: "DOWN", ArrowLeft: "LEFT", ArrowRight: "RIGHT",
    KeyW: "UP", KeyS: "DOWN", KeyA: "LEFT", KeyD: "RIGHT",
  };

  // createInput({ pad, onStep }) calls onStep(direction): at once for what is newly pressed, then
  // every 50 ms for what was pressed last and is still held.
  Skirmish.createInput = function ({ pad, onStep }) {
    // What is held, oldest first: from a key code or a pointer to its direction.
    const held = new Map();
    let timer = 0;

    function press(source, direction) {
      if (held.get(source) === direction) return;
      held.delete(source);
      held.set(source, direction);
      clearInterval(timer);
      timer = setInterval(() => onStep(newest()), STEP_MS);
      onStep(direction);
      light();
    }

    function release(source) {
      if (!held.delete(source)) return;
      if (held.size === 0) clearInterval(timer);
      light();
    }

    function clear() {
      held.clear();
      clearInterval(timer);
      light();
    }

    function newest() {
      return Array.from(held.values()).pop();
    }

    // The pad shows what is being done, also when it is done by key.
    function light() {
      const direction = newest();
      for (const button of pad.querySelectorAll("[data-direction]")) {
        button.classList.toggle("held", button.dataset.direction === direction);
      }
    }

    listenToKeys({ press, release, clear });
    listenToPad(pad, { press, release, onStep });
  };

  function listenToKeys({ press, release, clear }) {
    addEventListener("keydown", (event) => {
      // With Meta held, systems do not tell when a key comes up: nothing must stay held.
      if (event.key === "Meta") clear();
      const direction = KEYS[event.code];
      if (direction === undefined || event.isComposing) return;
      if (event.ctrlKey || event.altKey || event.metaKey || isWriting(event.target)) return;
      event.preventDefault();
      if (!event.repeat) press(event.code, direction);
    });
    addEventListener("keyup", (event) => release(event.code));
    // Keys that come up elsewhere are never told to us.
    addEventListener("blur", clear);
    addEventListener("pagehide", clear);
    document.addEventListener("visibilitychange", () => document.hidden && clear());
  }

  function isWriting(element) {
    return element instanceof Element &&
      element.closest("input, textarea, select, dialog, [contenteditable]") !== null;
  }

  // A finger may come down anywhere on the pad and slide: the quarter that it is in counts.
  function listenToPad(pad, { press, release, onStep }) {
    const sourceOf = (event) => `pointer ${event.pointerId}`;
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
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      pad.addEventListener(end, (event) => {
        down.delete(event.pointerId);
        release(sourceOf(event));
      });
    }
    // A button is held by Enter or Space like by a finger. The key that comes up is heard with all
    // other keys; here it must only not click.
    for (const kind of ["keydown", "keyup"]) {
      pad.addEventListener(kind, (event) => {
        const button = event.target.closest("[data-direction]");
        if (button === null || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        if (kind === "keydown" && !event.repeat) press(event.code, button.dataset.direction);
      });
    }
    // Assistive tools click without a pointer and without a key; pointers were served above.
    pad.addEventListener("click", (event) => {
      const button = event.target.closest("[data-direction]");
      if (event.detail === 0 && button !== null) onStep(button.dataset.direction);
    });
    // A click leaves the focus where it is, or the next Space would hold a button of the pad.
    pad.addEventListener("mousedown", (event) => event.preventDefault());
    pad.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  // The direction from the middle of the pad, or null where it cannot be told.
  function quarter(pad, event) {
    const box = pad.getBoundingClientRect();
    const x = event.clientX - (box.left + box.width / 2);
    const y = event.clientY - (box.top + box.height / 2);
    if (Math.hypot(x, y) < box.width * 0.06) return null;
    if (Math.abs(x) > Math.abs(y)) return x < 0 ? "LEFT" : "RIGHT";
    return y < 0 ? "UP" : "DOWN";
  }
})();
