// Draws while the page is visible and something changes.
"use strict";
var Skirmish = Skirmish || {};
{
  // Longer frames than this on average are too slow.
  const SLOW_MS = 25;
  // Frames over which the average is made.
  const FRAMES = 30;
  // A longer time than this is a pause: nothing was drawn, or the page was suspended.
  const PAUSE_MS = 500;
  const COARSER = 0.75;
  const COARSEST = 0.4;
  // A coarser picture must shorten the frames by this part, or it is not worth it: then something
  // else is slow, or the screen is.
  const GAIN = 0.1;

  /**
   * Calls `draw` for each frame that is asked for with `wake`, and for the next one as long as it
   * returns true. When a hidden page becomes visible, `onShown` comes first, and the current state
   * is drawn at once.
   * @param {{ draw: (now: number) => boolean, onShown: () => void,
   *   scale: (scale: number) => void }} options `scale` sets the resolution, from 1 (full)
   */
  Skirmish.createLoop = function ({ draw, onShown, scale }) {
    const detail = Skirmish.createDetail(scale);
    let frame = 0;

    function run() {
      frame = 0;
      const now = performance.now();
      const isActive = draw(now);
      detail.frame(now, isActive);
      if (isActive) wake();
    }

    function wake() {
      if (frame === 0 && !document.hidden) frame = requestAnimationFrame(run);
    }

    function onVisibility() {
      cancelAnimationFrame(frame);
      frame = 0;
      if (document.hidden) return;
      onShown();
      run();
    }

    document.addEventListener("visibilitychange", onVisibility);
    onVisibility();
    return { wake };
  };

  /**
   * Lowers the resolution when frames take too long. Time is an argument.
   * @param {(scale: number) => void} set
   */
  Skirmish.createDetail = function (set) {
    let scale = 1;
    let isFinal = false;
    // The average at the resolution before this one.
    let beforeMs = Infinity;
    let lastAt = -Infinity;
    let sumMs = 0;
    let count = 0;

    /**
     * A frame was drawn. `isActive` is whether the next one follows at once.
     * @param {number} now
     * @param {boolean} isActive
     */
    function frame(now, isActive) {
      const ms = now - lastAt;
      lastAt = isActive ? now : -Infinity;
      if (isFinal || ms > PAUSE_MS) return;
      sumMs += ms;
      if (++count < FRAMES) return;
      judge(sumMs / count);
      sumMs = count = 0;
    }

    /** @param {number} averageMs */
    function judge(averageMs) {
      if (averageMs > beforeMs * (1 - GAIN)) {
        isFinal = true;
        change(scale / COARSER);
      } else if (averageMs > SLOW_MS && scale * COARSER >= COARSEST) {
        beforeMs = averageMs;
        change(scale * COARSER);
      } else {
        // What is fast enough now may be slow later, in a crowd.
        beforeMs = Infinity;
      }
    }

    /** @param {number} next */
    function change(next) {
      scale = next;
      set(scale);
    }

    return { frame };
  };
}
