// A square map on a canvas, at the device's own resolution, with a wall around it. Colours come
// from the style sheet, so light and dark are decided in one place. Shared by every game page.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  // The wall is drawn outside the map, this wide in CSS pixels. The ring of a dot that stands at
  // the wall lies on it.
  const WALL_PX = 8;
  const COLOR = /^#[0-9a-f]{6}$/i;
  const NO_COLOR = "#808080";

  // What a server says may be anything: a colour is only drawn if it is one.
  Skirmish.colorOf = (player) => (COLOR.test(player.color) ? player.color : NO_COLOR);

  // createBoard(canvas, { size, apron, colors, paintField }): the side of the map in units, how
  // much floor there is around it, what the page's colours are called (`--board-NAME`), and
  // paintField(paint, board, from, to), which paints what does not move between the inner sides of
  // the walls, in pixels.
  Skirmish.createBoard = function (canvas, { size, apron = 0, colors: names, paintField }) {
    const context = canvas.getContext("2d");
    let background = null;
    let onResize = () => {};

    const board = {
      context,
      colors: readColors(),
      // Whether who looks has asked for less motion.
      calm: matchMedia("(prefers-reduced-motion: reduce)"),
      toPx,
      // A length in map units.
      lengthPx: (units) => toPx(units) - toPx(0),
      paintBackground() {
        if (background === null) paint();
        context.drawImage(background, 0, 0);
      },
      // A canvas that changes its size is blank until it is drawn again.
      whenResized: (callback) => (onResize = callback),
    };

    function readColors() {
      const style = getComputedStyle(canvas);
      return Object.fromEntries(names.map((name) =>
        [name, style.getPropertyValue(`--board-${name}`).trim()]));
    }

    function restyle() {
      board.colors = readColors();
      background = null;
    }

    // Whole device pixels, told by the browser where it can, so that lines are sharp.
    function fit(entries) {
      const about = Math.round(entries[0].contentRect.width * devicePixelRatio);
      const exact = entries[0].devicePixelContentBoxSize?.[0].inlineSize;
      // An emulated screen has its own pixel ratio, and there the exact number is not ours.
      const side = Math.abs(exact - about) <= 2 ? exact : about;
      if (side === 0 || side === canvas.width) return;
      canvas.width = canvas.height = side;
      background = null;
      onResize();
    }

    const observer = new ResizeObserver(fit);
    try {
      observer.observe(canvas, { box: "device-pixel-content-box" });
    } catch {
      observer.observe(canvas);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
    matchMedia("(prefers-contrast: more)").addEventListener("change", restyle);

    // From map units to pixels of the canvas, by the canvas as it is now.
    function toPx(units) {
      const wall = WALL_PX * devicePixelRatio;
      return wall + ((units + apron) / (size + 2 * apron)) * (canvas.width - 2 * wall);
    }

    function paint() {
      background = document.createElement("canvas");
      const side = (background.width = background.height = canvas.width);
      const paint = background.getContext("2d");
      paint.fillStyle = board.colors.wall;
      paint.fillRect(0, 0, side, side);
      const [from, to] = [Math.round(toPx(-apron)), Math.round(toPx(size + apron))];
      paint.beginPath();
      paint.roundRect(from, from, to - from, to - from, 6 * devicePixelRatio);
      paint.clip();
      paint.fillStyle = board.colors.field;
      paint.fillRect(from, from, to - from, to - from);
      paintField(paint, board, from, to);
    }

    return board;
  };
})();
