// What is seen for a moment: swings, hits, deaths and returns. In map units until it is drawn.
"use strict";
(function () {
  const Skirmish = (window.Skirmish = window.Skirmish || {});

  const { reach } = Skirmish.ARENA;
  const LASTS_MS = { swing: 260, hit: 800, death: 900, spawn: 600 };
  // A crowd shows its newest effects: more than this nobody can tell apart.
  const EFFECTS_MAX = 120;
  const SPARKS = 9;
  const HURT_MS = 220;
  const SHOCK_MS = 450;
  const TURN = 2 * Math.PI;

  Skirmish.createEffects = function (board) {
    const { context, toPx, lengthPx } = board;
    // { kind, id, x, y, at, ... }, oldest first.
    let effects = [];
    let shockAt = -Infinity;

    function add(kind, player, now, more) {
      effects.push({ kind, id: player.id, x: player.x, y: player.y, at: now, ...more });
      if (effects.length > EFFECTS_MAX) effects.shift();
    }

    // Hits that come fast are one number that grows: nobody can read five of them.
    function hit(player, amount, now) {
      const last = effects.find((one) => one.kind === "hit" && one.id === player.id);
      const sum = last !== undefined && now - last.at < LASTS_MS.hit ? last.amount : 0;
      effects = effects.filter((one) => one !== last);
      add("hit", player, now, { amount: sum + amount });
    }

    // Another's swing is a guess made once for each who was hit; one is enough.
    function swing(player, angle, now) {
      const isOn = effects.some((one) => one.kind === "swing" && one.id === player.id &&
        now - one.at < LASTS_MS.swing / 2);
      if (!isOn) add("swing", player, now, { angle });
    }

    const partOf = (effect, now) => Math.min(1, Math.max(0, (now - effect.at) / LASTS_MS[effect.kind]));

    // Under the players. `placeOf(id)` is where somebody is drawn now, if at all.
    function drawBelow(now, placeOf) {
      effects = effects.filter((one) => now - one.at < LASTS_MS[one.kind]);
      for (const effect of effects) {
        const part = partOf(effect, now);
        if (effect.kind === "swing") drawSwing({ ...effect, ...placeOf(effect.id) }, part);
        if (effect.kind === "spawn") drawSpawn(effect, part);
      }
    }

    function drawAbove(now, placeOf) {
      for (const effect of effects) {
        const part = partOf(effect, now);
        if (effect.kind === "death") drawDeath(effect, part);
        if (effect.kind === "hit") drawHit({ ...effect, ...placeOf(effect.id) }, part);
      }
      const shock = 1 - (now - shockAt) / SHOCK_MS;
      if (shock > 0 && !board.calm.matches) drawShock(shock);
    }

    // A blade goes around once: an attack hits whoever is in reach, wherever.
    function drawSwing({ x, y, angle, color }, part) {
      const [px, py, far] = [toPx(x), toPx(y), lengthPx(reach)];
      context.globalAlpha = 1 - part * part;
      context.strokeStyle = color ?? board.colors.swing;
      context.lineWidth = lengthPx(0.5);
      context.beginPath();
      if (board.calm.matches) {
        context.arc(px, py, far, 0, TURN);
        context.stroke();
      } else {
        const head = angle + TURN * (1 - (1 - part) ** 2);
        const tail = Math.max(angle, head - TURN * 0.42);
        const fan = context.createConicGradient(tail, px, py);
        const share = (head - tail) / TURN;
        fan.addColorStop(0, `${board.colors.swing}00`);
        fan.addColorStop(Math.max(0.001, share), `${board.colors.swing}66`);
        fan.addColorStop(Math.min(1, share + 0.001), `${board.colors.swing}00`);
        context.fillStyle = fan;
        context.moveTo(px, py);
        context.arc(px, py, far, tail, head);
        context.closePath();
        context.fill();
        context.beginPath();
        context.lineCap = "round";
        context.moveTo(px + Math.cos(head) * far * 0.3, py + Math.sin(head) * far * 0.3);
        context.lineTo(px + Math.cos(head) * far, py + Math.sin(head) * far);
        context.stroke();
        context.lineCap = "butt";
      }
      context.globalAlpha = 1;
    }

    function drawHit({ x, y, amount }, part) {
      const rise = board.calm.matches ? 0 : lengthPx(5) * (1 - (1 - part) ** 2);
      const size = Math.max(13 * devicePixelRatio, lengthPx(3.2));
      context.globalAlpha = 1 - part ** 3;
      context.font = `800 ${size}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = size * 0.22;
      context.strokeStyle = board.colors.field;
      context.fillStyle = board.colors.bad;
      const [px, py] = [toPx(x) + lengthPx(4.4), toPx(y) - lengthPx(1.5) - rise];
      context.strokeText(`−${amount}`, px, py);
      context.fillText(`−${amount}`, px, py);
      context.globalAlpha = 1;
    }

    function drawDeath({ x, y, color }, part) {
      if (board.calm.matches) return;
      context.fillStyle = color;
      context.globalAlpha = 1 - part;
      for (let i = 0; i < SPARKS; i++) {
        // Alike on every screen, and no two sparks alike.
        const angle = (i / SPARKS) * TURN + (x + y + i * i) % 1.3;
        const far = (1 - (1 - part) ** 3) * (6 + ((i * 37) % 5));
        context.beginPath();
        context.arc(toPx(x + Math.cos(angle) * far), toPx(y + Math.sin(angle) * far),
          lengthPx(0.9) * (1 - part * 0.7), 0, TURN);
        context.fill();
      }
      context.globalAlpha = 1;
    }

    function drawSpawn({ x, y, color }, part) {
      context.globalAlpha = 1 - part;
      context.strokeStyle = color;
      context.lineWidth = lengthPx(0.7) * (1 - part * 0.6);
      context.beginPath();
      context.arc(toPx(x), toPx(y), lengthPx(board.calm.matches ? 5 : 2 + 9 * part), 0, TURN);
      context.stroke();
      context.globalAlpha = 1;
    }

    // The edges of the arena redden when it is oneself who was hit.
    function drawShock(strength) {
      const side = context.canvas.width;
      const glow = context.createRadialGradient(
        side / 2, side / 2, side * 0.46, side / 2, side / 2, side * 0.74);
      glow.addColorStop(0, `${board.colors.bad}00`);
      glow.addColorStop(1, board.colors.bad);
      context.globalAlpha = strength * 0.5;
      context.fillStyle = glow;
      context.fillRect(0, 0, side, side);
      context.globalAlpha = 1;
    }

    return {
      add, hit, swing, drawBelow, drawAbove,
      shock: (now) => (shockAt = now),
      // From 1, just hit, down to 0.
      hurt(id, now) {
        const hit = effects.findLast((one) => one.kind === "hit" && one.id === id);
        return hit === undefined ? 0 : Math.max(0, 1 - (now - hit.at) / HURT_MS);
      },
      forget() {
        effects = [];
        shockAt = -Infinity;
      },
    };
  };
})();
