// Draws while the page is visible.
"use strict";
var Skirmish = Skirmish || {};
{
  /**
   * Calls `draw` for each frame. When a hidden page becomes visible, `onShown` comes first, and
   * the current state is drawn at once.
   * @param {{ draw: (now: number) => void, onShown: () => void }} options
   */
  Skirmish.createLoop = function ({ draw, onShown }) {
    let frame = 0;

    function loop() {
      draw(performance.now());
      frame = requestAnimationFrame(loop);
    }

    function onVisibility() {
      cancelAnimationFrame(frame);
      if (document.hidden) return;
      onShown();
      loop();
    }

    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
  };
}
