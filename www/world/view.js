// Draws the part of the world around the own player: the floor, the bodies that the camera sees,
// health and names, effects, and the minimap. A frame builds no object for a body.
"use strict";
var Skirmish = Skirmish || {};
{
  const BODY_UNITS = 10;
  // What the player sees at most, as on the server.
  const VIEW_UNITS = /** @type {[number, number]} */ ([1024, 768]);
  // The border of the map is visible.
  const MARGIN_UNITS = 40;
  // The effects are those of the battle, whose bodies are smaller by this factor.
  const EFFECT_UNITS = 4;
  const HURT_MS = 220;
  const TURN = 2 * Math.PI;
  const COLORS = ["field", "tile", "strong", "wall", "rim", "text", "me", "good", "warn", "bad",
    "swing", "bar"];
  /** By the index in `Skirmish.FACINGS`. */
  const ANGLES = [-TURN / 4, TURN / 4, TURN / 2, 0];

  /**
   * A blade in the right hand that points forward. Its pictures do not depend on the player.
   * @type {PaintBody}
   */
  function paintBlade(context, { side, radiusPx, rim, variant }) {
    const middle = side / 2;
    context.lineCap = "round";
    const angle = ANGLES[variant];
    const handX = middle + Math.cos(angle + 0.9) * radiusPx;
    const handY = middle + Math.sin(angle + 0.9) * radiusPx;
    context.beginPath();
    context.moveTo(handX, handY);
    context.lineTo(handX + Math.cos(angle) * radiusPx, handY + Math.sin(angle) * radiusPx);
    context.strokeStyle = rim;
    context.lineWidth = radiusPx * 0.34;
    context.stroke();
  }

  /**
   * A disc, or a cross for a dead body.
   * @type {PaintBody}
   */
  function paintFighter(context, { side, radiusPx, color, rim, variant }) {
    if (variant === Skirmish.DEAD_LOOK) {
      const middle = side / 2;
      const arm = radiusPx * 0.55;
      context.lineCap = "round";
      context.globalAlpha = 0.5;
      context.strokeStyle = color;
      context.lineWidth = Math.max(2, radiusPx * 0.34);
      context.beginPath();
      context.moveTo(middle - arm, middle - arm);
      context.lineTo(middle + arm, middle + arm);
      context.moveTo(middle + arm, middle - arm);
      context.lineTo(middle - arm, middle + arm);
      context.stroke();
      return;
    }
    Skirmish.paintDisc(context, { side, radiusPx, color, rim, variant });
  }

  /** @param {number} side */
  function createPicture(side) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    return { canvas, context: Skirmish.contextOf(canvas) };
  }

  /** @param {HTMLCanvasElement} canvas */
  Skirmish.createWorldView = function (canvas) {
    const screen = Skirmish.createScreen(canvas, COLORS);
    const { context } = screen;
    const names = Skirmish.createNames();
    const discs = Skirmish.createDiscs(context, createPicture, { paint: paintFighter });
    const blades = Skirmish.createDiscs(context, createPicture, { paint: paintBlade, room: 2.1 });
    let map = { left: 0, top: 0, right: VIEW_UNITS[0], bottom: VIEW_UNITS[1] };
    let camera = Skirmish.createCamera({ map, view: VIEW_UNITS });
    const effects = Skirmish.createEffects({
      context, calm: screen.calm, dpr: screen.dpr,
      get colors() {
        return screen.colors;
      },
      toX: (x) => camera.toX(x * EFFECT_UNITS),
      toY: (y) => camera.toY(y * EFFECT_UNITS),
      lengthPx: (units) => camera.lengthPx(units * EFFECT_UNITS),
    });
    /** @type {CrowdSource | null} */
    let source = null;
    /** @type {() => void} */
    let onStale = () => {};
    const hurtAt = new Float64Array(0x10000).fill(-Infinity);
    let attackedAt = -Infinity;
    /**
     * Where the own player looks: known before the server sends it.
     * @type {Direction | null}
     */
    let ownFacing = null;
    let drawnCount = 0;
    // Reused by each frame.
    const middle = { x: 0, y: 0 };
    const look = { map, colors: screen.colors, dpr: 1, middle, above: 0, now: 0 };
    const place = { atX: 0, atY: 0, side: 0, dpr: 1 };
    const small = { field: "", edge: "", body: "", me: "" };
    /** @type {Parameters<typeof Skirmish.drawMinimap>[2]} */
    const seen = { map, area: camera.area, own: null, colors: small,
      drawn: { count: 0, x: new Float32Array(0), y: new Float32Array(0) } };
    const bodies = {
      radius: BODY_UNITS, rim: "",
      /** @param {number} index */
      colorOf: (index) => /** @type {CrowdSource} */ (source).crowd.color[index],
      /** @param {number} index */
      variantOf: (index) => isDead(index) ? Skirmish.DEAD_LOOK : 0,
    };
    const arms = {
      radius: BODY_UNITS, rim: "",
      /** @param {number} index */
      colorOf: (index) => isDead(index) ? null : "",
      /** @param {number} index */
      variantOf: (index) => /** @type {CrowdSource} */ (source).crowd.look[index],
    };
    /** @param {number} index */
    const isDead = (index) =>
      /** @type {CrowdSource} */ (source).crowd.look[index] === Skirmish.DEAD_LOOK;

    screen.whenStale(() => {
      camera.resize(canvas.width, canvas.height);
      onStale();
    });

    function drawEmpty() {
      context.fillStyle = screen.colors.field;
      context.fillRect(0, 0, canvas.width, canvas.height);
    }

    /**
     * Returns whether the next frame differs although no body moves.
     * @param {Readonly<Place> | null} ownPlace where the own player is drawn
     * @param {Rules} rules
     * @param {number} now
     */
    function drawFrame(ownPlace, { numbers }, now) {
      if (source === null) {
        drawEmpty();
        return false;
      }
      source.sample(now);
      const { crowd } = source;
      const { own } = crowd;
      const isAlive = own >= 0 && crowd.look[own] !== Skirmish.DEAD_LOOK;
      if (isAlive && ownPlace !== null) {
        crowd.x[own] = ownPlace.x;
        crowd.y[own] = ownPlace.y;
        if (ownFacing !== null) crowd.look[own] = Skirmish.FACINGS.indexOf(ownFacing);
      }
      if (own >= 0) {
        middle.x = crowd.x[own];
        middle.y = crowd.y[own];
      } else if (ownPlace !== null) {
        middle.x = ownPlace.x;
        middle.y = ownPlace.y;
      }
      camera.follow(middle.x, middle.y);
      const dpr = screen.dpr();
      look.colors = screen.colors;
      look.dpr = dpr;
      look.now = now;
      look.above = camera.lengthPx(BODY_UNITS) + 9 * dpr;
      bodies.rim = arms.rim = screen.colors.rim;
      Skirmish.drawGround(context, camera, look);
      if (isAlive) drawReach(crowd, numbers, now, dpr);
      const hasEffects = effects.isActive(now);
      if (hasEffects) effects.drawBelow(now, placeOf, numbers.reach / EFFECT_UNITS);
      blades(crowd, camera, arms);
      drawnCount = discs(crowd, camera, bodies);
      if (isAlive) drawOwn(crowd, dpr);
      drawHealth(crowd, numbers.hp, now, dpr);
      names.draw(context, source, camera, look);
      if (hasEffects) effects.drawAbove(now, placeOf);
      drawMap(crowd, dpr);
      return hasEffects || now - attackedAt < numbers.cooldown_ms;
    }

    /**
     * Where a body is drawn, in the units of the effects.
     * @param {string} id its key
     */
    function placeOf(id) {
      const crowd = /** @type {CrowdSource} */ (source).crowd;
      const index = Skirmish.indexInCrowd(crowd, Number(id));
      if (index < 0) return undefined;
      return { x: crowd.x[index] / EFFECT_UNITS, y: crowd.y[index] / EFFECT_UNITS };
    }

    /**
     * A fighter as the effects take it.
     * @param {WorldFighter} player
     */
    function asEffect(player) {
      const [x, y] = [player.x / EFFECT_UNITS, player.y / EFFECT_UNITS];
      const id = String(player.key);
      return { ...player, x, y, id, ...placeOf(id) };
    }

    /**
     * @param {"death" | "spawn"} kind
     * @param {WorldFighter} player
     * @param {number} now
     */
    function mark(kind, player, now) {
      effects.add(kind, asEffect(player), now, { color: Skirmish.colorOf(player) });
    }

    /**
     * The reach of the own attack: red while it would hit a player, stronger when it is ready.
     * @param {Crowd} crowd
     * @param {Record<string, number>} numbers
     * @param {number} now
     * @param {number} dpr
     */
    function drawReach(crowd, { reach, cooldown_ms: cooldownMs }, now, dpr) {
      const x = crowd.x[crowd.own];
      const y = crowd.y[crowd.own];
      let hasTarget = false;
      for (let index = 0; index < crowd.count && !hasTarget; index++) {
        const dx = crowd.x[index] - x;
        const dy = crowd.y[index] - y;
        hasTarget = index !== crowd.own && dx * dx + dy * dy <= reach * reach &&
          crowd.look[index] !== Skirmish.DEAD_LOOK;
      }
      const ready = Math.min(1, (now - attackedAt) / cooldownMs);
      context.strokeStyle = hasTarget ? screen.colors.bad : screen.colors.me;
      context.globalAlpha = (hasTarget ? 0.9 : 0.4) * (0.4 + 0.6 * ready);
      context.lineWidth = (hasTarget ? 2 : 1.25) * dpr;
      context.beginPath();
      context.arc(camera.toX(x), camera.toY(y), camera.lengthPx(reach), 0, TURN);
      context.stroke();
      context.globalAlpha = 1;
    }

    /**
     * The own body over the others, with a ring.
     * @param {Crowd} crowd
     * @param {number} dpr
     */
    function drawOwn(crowd, dpr) {
      const x = camera.toX(crowd.x[crowd.own]);
      const y = camera.toY(crowd.y[crowd.own]);
      const radius = camera.lengthPx(BODY_UNITS);
      context.fillStyle = crowd.color[crowd.own];
      context.beginPath();
      context.arc(x, y, radius, 0, TURN);
      context.fill();
      context.strokeStyle = screen.colors.rim;
      context.lineWidth = Math.max(1, radius / 8);
      context.stroke();
      context.strokeStyle = screen.colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 3 * dpr, 0, TURN);
      context.stroke();
    }

    /**
     * Bars over the own body and over those that are hurt, and the flash of a hit.
     * @param {Crowd} crowd
     * @param {number} most
     * @param {number} now
     * @param {number} dpr
     */
    function drawHealth(crowd, most, now, dpr) {
      const { good, warn, bad, bar, rim } = screen.colors;
      const radius = camera.lengthPx(BODY_UNITS);
      const half = Math.round(Math.max(radius * 1.2, 10 * dpr));
      const height = Math.round(Math.max(3 * dpr, radius * 0.3));
      for (let index = 0; index < crowd.count; index++) {
        const hp = crowd.hp[index];
        if (hp >= most && index !== crowd.own) continue;
        if (crowd.look[index] === Skirmish.DEAD_LOOK) continue;
        if (!camera.sees(crowd.x[index], crowd.y[index], BODY_UNITS)) continue;
        const x = camera.toX(crowd.x[index]);
        const y = camera.toY(crowd.y[index]);
        const hurt = 1 - (now - hurtAt[crowd.key[index]]) / HURT_MS;
        if (hurt > 0 && hurt <= 1) {
          context.globalAlpha = hurt;
          context.fillStyle = bad;
          context.beginPath();
          context.arc(x, y, radius, 0, TURN);
          context.fill();
          context.globalAlpha = 1;
        }
        const part = Math.min(1, hp / most);
        const left = Math.round(x - half);
        const top = Math.round(Math.max(2 * dpr, y - radius - height - 5 * dpr));
        context.fillStyle = rim;
        context.fillRect(left - dpr, top - dpr, 2 * half + 2 * dpr, height + 2 * dpr);
        context.fillStyle = bar;
        context.fillRect(left, top, 2 * half, height);
        context.fillStyle = part > 0.6 ? good : part > 0.3 ? warn : bad;
        context.fillRect(left, top, Math.round(2 * half * part), height);
      }
    }

    /**
     * @param {Crowd} crowd
     * @param {number} dpr
     */
    function drawMap(crowd, dpr) {
      const { colors } = screen;
      place.side = Math.round(Math.min(0.26 * Math.min(canvas.width, canvas.height), 180 * dpr));
      const gap = Math.round(12 * dpr);
      // At the lower right, unless the own player is there.
      const right = canvas.width - gap - place.side;
      const lower = canvas.height - gap - place.side;
      const isUnder = camera.toX(middle.x) > right - gap - look.above &&
        camera.toY(middle.y) > lower - gap - look.above;
      place.atX = isUnder ? gap : right;
      place.atY = isUnder ? gap : lower;
      place.dpr = dpr;
      small.field = colors.field;
      small.edge = colors.text;
      small.body = colors.text;
      small.me = colors.me;
      seen.own = middle;
      seen.drawn = crowd;
      context.globalAlpha = 0.9;
      Skirmish.drawMinimap(context, place, seen);
      context.globalAlpha = 1;
    }

    return {
      drawFrame, drawEmpty,
      setScale: screen.setScale,
      /** @param {() => void} callback */
      whenStale: (callback) => void (onStale = callback),
      /** @param {Rules} rules */
      begin(rules) {
        map = look.map = seen.map = rules.map;
        camera = Skirmish.createCamera({ map, view: VIEW_UNITS, margin: MARGIN_UNITS });
        camera.resize(canvas.width, canvas.height);
        seen.area = camera.area;
        hurtAt.fill(-Infinity);
        attackedAt = -Infinity;
        ownFacing = null;
      },
      /** @param {CrowdSource} next */
      show: (next) => void (source = next),
      forget: effects.forget,
      /** @param {Direction | null} direction */
      face: (direction) => void (ownFacing = direction),
      /**
       * @param {WorldFighter} player
       * @param {boolean} isOwn
       * @param {number} now
       */
      swing(player, isOwn, now) {
        if (isOwn) attackedAt = now;
        const facing = (isOwn ? ownFacing : null) ?? player.facing ?? "DOWN";
        effects.swing(asEffect(player), ANGLES[Skirmish.FACINGS.indexOf(facing)], now);
      },
      /**
       * @param {WorldFighter} player
       * @param {number} amount
       * @param {number} now
       */
      hit(player, amount, now) {
        hurtAt[player.key] = now;
        effects.hit(asEffect(player), amount, now);
      },
      /**
       * @param {WorldFighter} player
       * @param {number} now
       */
      death: (player, now) => mark("death", player, now),
      /**
       * @param {WorldFighter} player
       * @param {number} now
       */
      spawn: (player, now) => mark("spawn", player, now),
      shock: effects.shock,
      /** For tests: what the last frame has drawn. */
      drawn: () => ({ bodies: drawnCount, names: names.chosen(), area: { ...camera.area },
        minimap: { ...place, own: { ...middle } } }),
    };
  };
}
