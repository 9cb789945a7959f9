// Draws the board on a canvas at the device's own resolution. Colours come from the style sheet,
// so light and dark are decided in one place. Text reaches the screen by fillText alone.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const COLOR = /^#[0-9a-f]{6}$/i;
  const NAME_CHARACTERS_MAX = 20;
  // In a crowd names are a grey cloud, and slow: then only those near the own dot are drawn.
  const NAMES_MAX = 100;
  const NAMES_NEAR_UNITS = 80;
  const TRAILS_MAX = 200;
  const TRAIL_MS = 320;
  // A strip outside the map, in units, so that a ring at the wall is drawn whole.
  const RIM_UNITS = 6;

  // createView(canvas, { size, grid }): the side of the square map, and of its grid, in units.
  Skirmish.createView = function (canvas, { size, grid }) {
    const context = canvas.getContext("2d");
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let colors = readColors();
    let background = null;
    let trails = new Map();

    function readColors() {
      const style = getComputedStyle(canvas);
      const color = (name) => style.getPropertyValue(`--board-${name}`).trim();
      return {
        field: color("field"), line: color("line"), strong: color("strong"),
        rim: color("rim"), text: color("text"), me: color("me"),
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

    function scaleOf(side) {
      return side / (size + 2 * RIM_UNITS);
    }

    function paintBackground() {
      background = document.createElement("canvas");
      const side = (background.width = background.height = canvas.width);
      const paint = background.getContext("2d");
      paint.fillStyle = colors.field;
      paint.fillRect(0, 0, side, side);
      const width = Math.max(1, Math.round(devicePixelRatio));
      // Every second line is the stronger one, drawn last: the eye counts in hundreds.
      for (const odd of [1, 0]) {
        paint.fillStyle = odd ? colors.line : colors.strong;
        for (let i = odd ? 1 : 2; i < size / grid; i += 2) {
          const at = Math.round((i * grid + RIM_UNITS) * scaleOf(side) - width / 2);
          paint.fillRect(at, 0, width, side);
          paint.fillRect(0, at, side, width);
        }
      }
    }

    // Players are { id, x, y, color, name } in map units; `me` is the own id or null.
    function draw(players, me, now) {
      if (background === null) paintBackground();
      const scale = scaleOf(canvas.width);
      const dpr = devicePixelRatio;
      context.drawImage(background, 0, 0);

      const mine = players.find((player) => player.id === me);
      const dots = players.map((player) => ({
        player,
        x: (player.x + RIM_UNITS) * scale,
        y: (player.y + RIM_UNITS) * scale,
        // On a small screen a dot in scale would be too small to see its colour.
        radius: Math.max(7 * scale, 5 * dpr),
        color: COLOR.test(player.color) ? player.color : colors.rim,
      }));
      // The own dot lies on top of the others.
      dots.sort((a, b) => (a.player === mine) - (b.player === mine));

      drawTrails(dots, scale, now);
      for (const dot of dots) drawDot(dot, dpr);
      const own = mine === undefined ? undefined : dots[dots.length - 1];
      if (own !== undefined) drawRing(own, dpr);
      drawNames(dots, own, scale, dpr);
    }

    function drawTrails(dots, scale, now) {
      if (calm.matches || dots.length > TRAILS_MAX) {
        trails = new Map();
        return;
      }
      const next = new Map();
      const px = (units) => (units + RIM_UNITS) * scale;
      for (const { player, radius, color } of dots) {
        const trail = (trails.get(player.id) || []).filter((point) => now - point.now < TRAIL_MS);
        const last = trail[trail.length - 1];
        // Nobody walked from there to here: a trail between would be a lie.
        if (last && Math.hypot(last.x - player.x, last.y - player.y) > 40) trail.length = 0;
        trail.push({ x: player.x, y: player.y, now });
        next.set(player.id, trail);
        context.strokeStyle = color;
        context.lineCap = "butt";
        for (let i = 1; i < trail.length; i++) {
          const [a, b] = [trail[i - 1], trail[i]];
          if (a.x === b.x && a.y === b.y) continue;
          const fresh = 1 - (now - b.now) / TRAIL_MS;
          context.globalAlpha = 0.5 * fresh;
          context.lineWidth = radius * 1.8 * fresh;
          context.beginPath();
          context.moveTo(px(a.x), px(a.y));
          context.lineTo(px(b.x), px(b.y));
          context.stroke();
        }
      }
      context.globalAlpha = 1;
      trails = next;
    }

    function drawDot({ x, y, radius, color }, dpr) {
      context.fillStyle = color;
      context.globalAlpha = 0.22;
      disc(x, y, radius * 1.75);
      context.globalAlpha = 1;
      disc(x, y, radius);
      // Any colour may come, also the field's own: the rim keeps it visible.
      context.strokeStyle = colors.rim;
      context.lineWidth = 1.25 * dpr;
      context.stroke();
    }

    function drawRing({ x, y, radius }, dpr) {
      context.strokeStyle = colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 4.5 * dpr, 0, 2 * Math.PI);
      context.stroke();
    }

    function disc(x, y, radius) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }

    function drawNames(dots, own, scale, dpr) {
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = 3.5 * dpr;
      const near = NAMES_NEAR_UNITS * scale;
      for (const dot of dots) {
        const crowd = dots.length > NAMES_MAX && dot !== own;
        if (crowd && !(own && Math.hypot(dot.x - own.x, dot.y - own.y) < near)) continue;
        drawName(dot, dot === own, dpr);
      }
    }

    function drawName({ player, x, y, radius }, isOwn, dpr) {
      const name = shown(player);
      const text = !isOwn ? name : player.name ? `${name} (you)` : "you";
      context.font = `${isOwn ? 700 : 500} ${12.5 * dpr}px system-ui, sans-serif`;
      const half = context.measureText(text).width / 2 + 4 * dpr;
      const left = Math.min(canvas.width - half, Math.max(half, x));
      const gap = radius + (isOwn ? 10 : 6) * dpr;
      // Above the dot, except under the upper wall, where there is no above.
      const top = y - gap > 14 * dpr ? y - gap : y + gap + 10 * dpr;
      context.strokeStyle = colors.field;
      context.strokeText(text, left, top);
      context.fillStyle = isOwn ? colors.me : colors.text;
      context.fillText(text, left, top);
    }

    function shown(player) {
      const characters = Array.from(player.name || player.id);
      if (characters.length <= NAME_CHARACTERS_MAX) return characters.join("");
      return characters.slice(0, NAME_CHARACTERS_MAX - 1).join("") + "…";
    }

    return {
      draw,
      // A canvas that changes its size is blank until it is drawn again.
      whenResized: (callback) => (onResize = callback),
      forget: () => trails.clear(),
    };
  };
})();
