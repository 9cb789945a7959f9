// What is drawn for a moment: attacks, hits, deaths and respawns. In map units until it is drawn.
"use strict";
var Skirmish = Skirmish || {};

/**
 * `at` is when it began. An effect with an `id` is drawn where that player is.
 * @typedef {object} Effect
 * @property {"swing" | "hit" | "death" | "spawn"} kind
 * @property {string} id
 * @property {number} x
 * @property {number} y
 * @property {number} at
 * @property {number} [angle] of a swing
 * @property {number} [amount] of a hit
 * @property {string} [color] of a death or a spawn
 */

{
  const DURATION_MS = { swing: 260, hit: 800, death: 900, spawn: 600 };
  // In a crowd only the newest effects are drawn.
  const EFFECTS_MAX = 120;
  const SPARKS = 9;
  const HURT_MS = 220;
  const SHOCK_MS = 450;
  const TURN = 2 * Math.PI;
  const WEDGE = TURN / 7;

  /**
   * @param {Pick<Board, "context" | "colors" | "calm" | "dpr" | "toX" | "toY" | "lengthPx">} board
   */
  Skirmish.createEffects = function (board) {
    const { context, toX, toY, lengthPx } = board;
    /**
     * Oldest first.
     * @type {Effect[]}
     */
    let effects = [];
    let shockAt = -Infinity;

    /**
     * @param {Effect["kind"]} kind
     * @param {Fighter} player
     * @param {number} now
     * @param {{ angle?: number, amount?: number, color?: string }} more
     */
    function add(kind, player, now, more) {
      effects.push({ kind, id: player.id, x: player.x, y: player.y, at: now, ...more });
      if (effects.length > EFFECTS_MAX) effects.shift();
    }

    /**
     * Fast hits on one player are added up in one number, which stays readable.
     * @param {Fighter} player
     * @param {number} amount
     * @param {number} now
     */
    function hit(player, amount, now) {
      const last = effects.find((one) => one.kind === "hit" && one.id === player.id);
      const isOn = last !== undefined && now - last.at < DURATION_MS.hit;
      const sum = (isOn ? last.amount : undefined) ?? 0;
      effects = effects.filter((one) => one !== last);
      add("hit", player, now, { amount: sum + amount });
    }

    /**
     * If the server does not send attacks, they are derived from hits; one swing is enough.
     * @param {Fighter} player
     * @param {number} angle
     * @param {number} now
     */
    function swing(player, angle, now) {
      const isOn = effects.some((one) => one.kind === "swing" && one.id === player.id &&
        one.angle === angle && now - one.at < DURATION_MS.swing / 2);
      if (!isOn) add("swing", player, now, { angle });
    }

    /**
     * From 0, just begun, to 1.
     * @param {Effect} effect
     * @param {number} now
     */
    const partOf = (effect, now) =>
      Math.min(1, Math.max(0, (now - effect.at) / DURATION_MS[effect.kind]));

    /**
     * Draws what is under the players.
     * @param {number} now
     * @param {(id: string) => Place | undefined} placeOf where a player is drawn now
     * @param {number} reach of an attack, in map units
     */
    function drawBelow(now, placeOf, reach) {
      effects = effects.filter((one) => now - one.at < DURATION_MS[one.kind]);
      for (const effect of effects) {
        const part = partOf(effect, now);
        if (effect.kind === "swing") drawSwing({ ...effect, ...placeOf(effect.id) }, reach, part);
        if (effect.kind === "spawn") drawSpawn(effect, part);
      }
    }

    /**
     * Draws what is over the players.
     * @param {number} now
     * @param {(id: string) => Place | undefined} placeOf
     */
    function drawAbove(now, placeOf) {
      for (const effect of effects) {
        const part = partOf(effect, now);
        if (effect.kind === "death") drawDeath(effect, part);
        if (effect.kind === "hit") drawHit({ ...effect, ...placeOf(effect.id) }, part);
      }
      const shock = 1 - (now - shockAt) / SHOCK_MS;
      if (shock > 0 && !board.calm.matches) drawShock(shock);
    }

    /**
     * The blade turns once, since an attack hits every player in reach. It begins and ends where the
     * attacker looks, and a wedge shows that direction.
     * @param {Effect} effect
     * @param {number} reach
     * @param {number} part
     */
    function drawSwing({ x, y, angle = 0 }, reach, part) {
      const [px, py, far] = [toX(x), toY(y), lengthPx(reach)];
      context.globalAlpha = 1 - part * part;
      context.fillStyle = `${board.colors.swing}59`;
      context.beginPath();
      context.moveTo(px, py);
      context.arc(px, py, far, angle - WEDGE / 2, angle + WEDGE / 2);
      context.closePath();
      context.fill();
      context.strokeStyle = board.colors.swing;
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

    /**
     * @param {Effect} effect
     * @param {number} part
     */
    function drawHit({ x, y, amount }, part) {
      const rise = board.calm.matches ? 0 : lengthPx(5) * (1 - (1 - part) ** 2);
      const size = Math.max(13 * board.dpr(), lengthPx(3.2));
      context.globalAlpha = 1 - part ** 3;
      context.font = `800 ${size}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.lineJoin = "round";
      context.lineWidth = size * 0.22;
      context.strokeStyle = board.colors.field;
      context.fillStyle = board.colors.bad;
      const [px, py] = [toX(x) + lengthPx(4.4), toY(y) - lengthPx(1.5) - rise];
      context.strokeText(`−${amount}`, px, py);
      context.fillText(`−${amount}`, px, py);
      context.globalAlpha = 1;
    }

    /**
     * @param {Effect} effect
     * @param {number} part
     */
    function drawDeath({ x, y, color = "" }, part) {
      if (board.calm.matches) return;
      context.fillStyle = color;
      context.globalAlpha = 1 - part;
      for (let i = 0; i < SPARKS; i++) {
        // Derived from the place, so that it looks the same on every screen.
        const angle = (i / SPARKS) * TURN + (x + y + i * i) % 1.3;
        const far = (1 - (1 - part) ** 3) * (6 + ((i * 37) % 5));
        context.beginPath();
        context.arc(toX(x + Math.cos(angle) * far), toY(y + Math.sin(angle) * far),
          lengthPx(0.9) * (1 - part * 0.7), 0, TURN);
        context.fill();
      }
      context.globalAlpha = 1;
    }

    /**
     * @param {Effect} effect
     * @param {number} part
     */
    function drawSpawn({ x, y, color = "" }, part) {
      context.globalAlpha = 1 - part;
      context.strokeStyle = color;
      context.lineWidth = lengthPx(0.7) * (1 - part * 0.6);
      context.beginPath();
      context.arc(toX(x), toY(y), lengthPx(board.calm.matches ? 5 : 2 + 9 * part), 0, TURN);
      context.stroke();
      context.globalAlpha = 1;
    }

    /**
     * The edges of the arena turn red when the own player is hit.
     * @param {number} strength from 0 to 1
     */
    function drawShock(strength) {
      const { width, height } = context.canvas;
      const side = Math.max(width, height);
      const glow = context.createRadialGradient(
        width / 2, height / 2, side * 0.46, width / 2, height / 2, side * 0.74);
      glow.addColorStop(0, `${board.colors.bad}00`);
      glow.addColorStop(1, board.colors.bad);
      context.globalAlpha = strength * 0.5;
      context.fillStyle = glow;
      context.fillRect(0, 0, width, height);
      context.globalAlpha = 1;
    }

    return {
      add, hit, swing, drawBelow, drawAbove,
      /**
       * Whether the next frame shows an effect further on.
       * @param {number} now
       */
      isActive: (now) => now - shockAt < SHOCK_MS ||
        (effects.length > 0 && effects.some((effect) => partOf(effect, now) < 1)),
      /** @param {number} now */
      shock: (now) => void (shockAt = now),
      /**
       * How much of a hit is still to be seen on a player: from 1, just hit, to 0.
       * @param {string} id
       * @param {number} now
       */
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
}
