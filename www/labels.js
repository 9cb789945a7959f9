// The names beside the dots: as many as can be read, those near the own dot first. Text reaches
// the screen by fillText alone.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const CHARACTERS_MAX = 20;
  // In a crowd the far ones are not even measured: names must not cost more than dots.
  const WISHED_MAX = 200;
  // Who has a label keeps it against somebody who is nearer by less, or labels would flicker.
  const KEEP_PX = 40;
  const MEASURED_MAX = 3000;

  // Of each wish, a list of boxes with the best first, the first box that lies on no other: of
  // `taken`, or of a wish before. Boxes are { left, right, top, bottom }.
  Skirmish.apart = function (wishes, taken) {
    const all = Array.from(taken);
    const free = (box) => all.every((other) => box.right <= other.left ||
      box.left >= other.right || box.bottom <= other.top || box.top >= other.bottom);
    return wishes.flatMap((wish) => {
      const box = wish.find(free);
      if (box === undefined) return [];
      all.push(box);
      return [box];
    });
  };

  Skirmish.createLabels = function (context) {
    let had = new Set();
    let measured = new Map();
    let measuredAt = "";

    // Dots are { player, x, y, radius, above } in pixels of the canvas, where `above` is how much
    // is drawn on top of the disc, if anything; `own` is one of them or undefined.
    // Names stay between `from` and `to`, the inner sides of the walls.
    function draw(dots, own, { colors, dpr, from, to }) {
      const size = Math.min(20 * dpr, Math.max(12.5 * dpr, (to - from) * 0.0155));
      const place = { size, dpr, from, to };
      const near = wished(dots, own, dpr);
      const around = near.map(({ x, y, radius, above = 0 }) =>
        ({ left: x - radius, right: x + radius, top: y - radius - above, bottom: y + radius }));
      // The own name is always there, whatever it lies on.
      const mine = own === undefined ? [] : ownBox(boxesOf(own, true, place), around);
      const others = near.filter((dot) => dot !== own).map((dot) => boxesOf(dot, false, place));
      const boxes = [...mine, ...Skirmish.apart(others, [...around, ...mine])];
      had = new Set(boxes.map((box) => box.dot.player.id));
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = 3.5 * dpr;
      context.strokeStyle = colors.field;
      // The nearest are written last.
      for (const box of boxes.reverse()) {
        context.font = fontOf(size, box.dot === own);
        context.strokeText(box.text, box.x, box.base);
        context.fillStyle = box.dot === own ? colors.me : colors.text;
        context.fillText(box.text, box.x, box.base);
      }
    }

    function ownBox(boxes, around) {
      const free = Skirmish.apart([boxes], around);
      return free.length > 0 ? free : boxes.slice(0, 1);
    }

    function wished(dots, own, dpr) {
      const rank = new Map(dots.map((dot) => {
        const away = own === undefined ? 0 : Math.hypot(dot.x - own.x, dot.y - own.y);
        return [dot, dot === own ? -Infinity : away - (had.has(dot.player.id) ? KEEP_PX * dpr : 0)];
      }));
      return Array.from(dots).sort((a, b) => rank.get(a) - rank.get(b)).slice(0, WISHED_MAX);
    }

    // Above the dot and below it; above is better, if it is on the map.
    function boxesOf(dot, isOwn, { size, dpr, from, to }) {
      const text = textOf(dot.player, isOwn);
      const half = widthOf(text, fontOf(size, isOwn)) / 2 + 3 * dpr;
      const x = Math.min(to - half, Math.max(from + half, dot.x));
      const gap = dot.radius + (isOwn ? 9 : 6) * dpr;
      return [dot.y - gap - (dot.above ?? 0), dot.y + gap + size * 0.75]
        .map((base) => {
          const [top, bottom] = [base - size * 0.9, base + size * 0.25];
          return { dot, text, x, base, left: x - half, right: x + half, top, bottom };
        })
        .filter(({ top, bottom }) => top >= from && bottom <= to);
    }

    function fontOf(size, isOwn) {
      return `${isOwn ? 700 : 500} ${size}px system-ui, sans-serif`;
    }

    // Measuring is slow, and most frames have the same names at the same size.
    function widthOf(text, font) {
      const key = `${font} ${text}`;
      const at = String(context.canvas.width);
      if (at !== measuredAt || measured.size > MEASURED_MAX) measured = new Map();
      measuredAt = at;
      if (!measured.has(key)) {
        context.font = font;
        measured.set(key, context.measureText(text).width);
      }
      return measured.get(key);
    }

    function textOf(player, isOwn) {
      const characters = Array.from(player.name || player.id);
      const name = characters.length <= CHARACTERS_MAX ? characters.join("")
        : characters.slice(0, CHARACTERS_MAX - 1).join("") + "…";
      if (!isOwn) return name;
      return player.name ? `${name} (you)` : "you";
    }

    return { draw };
  };
})();
