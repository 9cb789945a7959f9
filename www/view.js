// Draws the board on a canvas at the device's own resolution. Colours come from the style sheet,
// so light and dark are decided in one place.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const COLOR = /^#[0-9a-f]{6}$/i;
  const NO_COLOR = "#808080";
  // The wall is drawn outside the map, this wide in CSS pixels. The ring of a dot that stands at
  // the wall lies on it.
  const WALL_PX = 8;
  // A dot is as large as its distance from the wall that it has run into...
  const DOT_UNITS = 10;
  // ... but on a small screen that would be too small to see its colour.
  const DOT_LEAST_PX = 7.5;

  // createView(canvas, { size, grid }): the side of the square map, and of its grid, in units.
  Skirmish.createView = function (canvas, { size, grid }) {
    const context = canvas.getContext("2d");
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let colors = readColors();
    let background = null;
    const trails = Skirmish.createTrails(context);
    const labels = Skirmish.createLabels(context);

    function readColors() {
      const style = getComputedStyle(canvas);
      const color = (name) => style.getPropertyValue(`--board-${name}`).trim();
      return {
        field: color("field"), line: color("line"), strong: color("strong"),
        wall: color("wall"), rim: color("rim"), text: color("text"), me: color("me"),
      };
    }

    function restyle() {
      colors = readColors();
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
    let onResize = () => {};

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
      return wall + (units / size) * (canvas.width - 2 * wall);
    }

    function paintBackground() {
      background = document.createElement("canvas");
      const side = (background.width = background.height = canvas.width);
      const paint = background.getContext("2d");
      paint.fillStyle = colors.wall;
      paint.fillRect(0, 0, side, side);
      const [from, to] = [Math.round(toPx(0)), Math.round(toPx(size))];
      paint.beginPath();
      paint.roundRect(from, from, to - from, to - from, 6 * devicePixelRatio);
      paint.clip();
      paint.fillStyle = colors.field;
      paint.fillRect(from, from, to - from, to - from);
      const width = Math.max(1, Math.round(devicePixelRatio));
      // Every second line is the stronger one, drawn last: the eye counts in hundreds.
      for (const odd of [1, 0]) {
        paint.fillStyle = odd ? colors.line : colors.strong;
        for (let i = odd ? 1 : 2; i < size / grid; i += 2) {
          const at = Math.round(toPx(i * grid) - width / 2);
          paint.fillRect(at, from, width, to - from);
          paint.fillRect(from, at, to - from, width);
        }
      }
    }

    // Players are { id, x, y, color, name } in map units; `me` is the own id or null.
    function draw(players, me, now) {
      if (background === null) paintBackground();
      const dpr = devicePixelRatio;
      context.drawImage(background, 0, 0);

      const radius = Math.max(toPx(DOT_UNITS) - toPx(0), DOT_LEAST_PX * dpr);
      const dots = players.map((player) => ({
        player,
        x: toPx(player.x),
        y: toPx(player.y),
        radius,
        color: COLOR.test(player.color) ? player.color : NO_COLOR,
      }));
      // The own dot lies on top of the others, and no name lies on a dot.
      dots.sort((a, b) => (a.player.id === me) - (b.player.id === me));
      const own = dots.at(-1)?.player.id === me ? dots.at(-1) : undefined;

      if (calm.matches) trails.forget();
      else trails.draw(dots, toPx, now);
      labels.draw(dots, own, { colors, dpr, from: toPx(0), to: toPx(size) });
      for (const dot of dots) drawDot(dot, dpr);
      if (own !== undefined) drawRing(own, dpr);
    }

    function drawDot({ x, y, radius, color }, dpr) {
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, y, radius - 0.6 * dpr, 0, 2 * Math.PI);
      context.fill();
      // Any colour may come, also the field's own: the rim keeps it visible.
      context.strokeStyle = colors.rim;
      context.lineWidth = 1.25 * dpr;
      context.stroke();
    }

    function drawRing({ x, y, radius }, dpr) {
      context.strokeStyle = colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 3.5 * dpr, 0, 2 * Math.PI);
      context.stroke();
    }

    return {
      draw,
      // A canvas that changes its size is blank until it is drawn again.
      whenResized: (callback) => (onResize = callback),
      forget: trails.forget,
    };
  };
})();
