// Draws for as long as somebody looks. Shared by every game page.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // createLoop({ draw, onShown }) calls draw(now) for each frame. A hidden page draws nothing; when
  // it is seen again, onShown() comes first, and what is so now is drawn at once.
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
})();
