// Space and the attack button, made into one attack at once and one more whenever the next is due
// while something is held.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // The server counts the cooldown in ticks, and one that comes a moment early is lost.
  const EARLY_MS = 10;

  Skirmish.createTrigger = function ({ button, cooldownMs, onAttack }) {
    const held = new Set();
    // A press that came too early: it counts when it is due, even if it was let go of by then.
    let wanted = false;
    let firedAt = -Infinity;
    let timer = 0;

    function attempt() {
      clearTimeout(timer);
      if (!wanted && held.size === 0) return;
      const period = cooldownMs + EARLY_MS;
      const dueMs = firedAt + period - performance.now();
      if (dueMs <= 0) {
        firedAt = performance.now();
        wanted = false;
        onAttack();
      }
      timer = setTimeout(attempt, dueMs <= 0 ? period : dueMs);
    }

    function press(source) {
      if (held.has(source)) return;
      held.add(source);
      button.classList.add("held");
      tap();
    }

    function tap() {
      wanted = true;
      attempt();
    }

    function release(source) {
      held.delete(source);
      button.classList.toggle("held", held.size > 0);
    }

    function clear() {
      wanted = false;
      held.clear();
      button.classList.remove("held");
    }

    listenToSpace({ button, press, release, clear });
    listenToButton(button, { press, release, tap });
  };

  function listenToSpace({ button, press, release, clear }) {
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

  // Whether Space already means something where it was pressed: to write, or to press a button.
  function isTaken(element, button) {
    if (!(element instanceof Element) || button.contains(element)) return false;
    return element.closest("input, textarea, select, button, dialog, [contenteditable]") !== null;
  }

  function listenToButton(button, { press, release, tap }) {
    button.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button !== 0) return;
      button.setPointerCapture(event.pointerId);
      press(`pointer ${event.pointerId}`);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(end, (event) => release(`pointer ${event.pointerId}`));
    }
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) press("Enter");
    });
    button.addEventListener("keyup", (event) => {
      // Space was heard with all keys; here it must only not click.
      if (event.key === " ") event.preventDefault();
      if (event.key === "Enter") release("Enter");
    });
    button.addEventListener("blur", () => release("Enter"));
    // Assistive tools click without a pointer and without a key.
    button.addEventListener("click", (event) => event.detail === 0 && tap());
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }
})();
