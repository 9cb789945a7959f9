// Draws the arena: the floor, the players with health and name, and the effects of their attacks.
"use strict";
var Skirmish = Skirmish || {};

/** @typedef {Dot & { player: Fighter, angle: number }} Figure `angle` is where it looks */

{
  const BODY_UNITS = 2.7;
  const BODY_MIN_PX = 7;
  // Players can stand at the edge of the map, so the floor extends beyond it.
  const MARGIN_UNITS = 3;
  const TILE_UNITS = 10;
  const TURN = 2 * Math.PI;
  // A shorter step than this does not turn a player.
  const TURN_UNITS = 0.05;
  /** @type {Record<Direction, number>} */
  const ANGLES = { RIGHT: 0, DOWN: TURN / 4, LEFT: TURN / 2, UP: -TURN / 4 };
  const COLORS = ["field", "tile", "strong", "wall", "rim", "text", "me", "good", "warn", "bad",
    "swing", "bar"];

  /** @param {HTMLCanvasElement} canvas */
  Skirmish.createBattleView = function (canvas) {
    const board = Skirmish.createBoard(canvas, {
      margin: MARGIN_UNITS, colors: COLORS, paintField,
    });
    const { context, toX, toY, lengthPx } = board;
    const trails = Skirmish.createTrails(board);
    const labels = Skirmish.createLabels(context);
    const effects = Skirmish.createEffects(board);
    /**
     * Where each player looks and was drawn last, in map units.
     * @type {Map<string, Place & { angle: number }>}
     */
    let facing = new Map();
    let attackedAt = -Infinity;
    /**
     * Where the own player looks: known before the server sends it.
     * @type {Direction | null}
     */
    let ownFacing = null;

    /** @type {BoardOptions["paintField"]} */
    function paintField(paint, { map, numbers: { reach } }) {
      paint.fillStyle = board.colors.tile;
      const [columns, rows] = [map.right - map.left, map.bottom - map.top]
        .map((units) => units / TILE_UNITS);
      for (let column = -1; column <= columns; column++) {
        for (let row = -1; row <= rows; row++) {
          if ((column + row) % 2 !== 0) continue;
          const [left, right] = [column, column + 1]
            .map((at) => Math.round(toX(map.left + at * TILE_UNITS)));
          const [top, bottom] = [row, row + 1]
            .map((at) => Math.round(toY(map.top + at * TILE_UNITS)));
          paint.fillRect(left, top, right - left, bottom - top);
        }
      }
      // The inner circle is how far an attack reaches.
      const { left, right } = board.area();
      paint.strokeStyle = board.colors.strong;
      paint.lineWidth = Math.max(1.5 * board.dpr(), (right - left) * 0.004);
      const [x, y] = [toX((map.left + map.right) / 2), toY((map.top + map.bottom) / 2)];
      for (const units of [reach, 3 * reach]) {
        paint.beginPath();
        paint.arc(x, y, lengthPx(units), 0, TURN);
        paint.stroke();
      }
    }

    /** @type {NonNullable<View<Fighter>["draw"]>} */
    function draw(players, { rules, me, now }) {
      board.paintBackground();
      const dpr = board.dpr();
      const radius = Math.max(lengthPx(BODY_UNITS), BODY_MIN_PX * dpr);
      /** @type {Figure[]} */
      const bodies = players.map((player) => ({
        player, radius, x: toX(player.x), y: toY(player.y),
        angle: angleOf(player, player.id === me),
        above: player.alive ? barOf(radius, dpr).height + 3 * dpr : 0,
        color: player.id === me && player.color === "" ? board.colors.me : Skirmish.colorOf(player),
      }));
      facing = new Map(bodies.map(({ player: { id, x, y }, angle }) => [id, { angle, x, y }]));
      const alive = bodies.filter(({ player }) => player.alive);
      const own = alive.find(({ player }) => player.id === me);
      // The own player is drawn over the others.
      alive.sort((a, b) => Number(a === own) - Number(b === own));

      for (const body of bodies) if (!body.player.alive) drawDead(body, rules, now, dpr);
      if (board.calm.matches) trails.forget();
      const isFading = !board.calm.matches && trails.draw(alive, rules, now);
      if (own !== undefined) drawReach(own, alive, rules, now, dpr);
      effects.drawBelow(now, placeOf, rules.numbers.reach);
      labels.draw(alive, own, { colors: board.colors, dpr, area: board.area() });
      for (const body of alive) drawBody(body, body === own, now, dpr);
      for (const body of alive) drawHealth(body, rules, body === own, dpr);
      effects.drawAbove(now, placeOf);
      const isReady = now - attackedAt >= rules.numbers.cooldown_ms;
      const isCounting = bodies.some(({ player }) => !player.alive && (player.respawnAt ?? 0) > now);
      return isFading || !isReady || isCounting || effects.isActive(now);
    }

    /**
     * Where a player is drawn, in map units.
     * @param {string} id
     */
    function placeOf(id) {
      const drawn = facing.get(id);
      return drawn && { x: drawn.x, y: drawn.y };
    }

    /**
     * From the server, or else from the way that the player has moved.
     * @param {Fighter} player
     * @param {boolean} isOwn
     */
    function angleOf({ id, x, y, facing: sent }, isOwn) {
      const known = (isOwn ? ownFacing : null) ?? sent;
      if (known !== null) return ANGLES[known];
      const last = facing.get(id);
      if (last === undefined) return TURN / 4;
      const [dx, dy] = [x - last.x, y - last.y];
      return Math.hypot(dx, dy) < TURN_UNITS ? last.angle : Math.atan2(dy, dx);
    }

    /**
     * @param {Figure} body
     * @param {boolean} isOwn
     * @param {number} now
     * @param {number} dpr
     */
    function drawBody({ player, x, y, radius, color, angle }, isOwn, now, dpr) {
      // A blade in the right hand that points forward.
      const [handX, handY] = [x + Math.cos(angle + 0.9) * radius, y + Math.sin(angle + 0.9) * radius];
      context.lineCap = "round";
      const { rim, swing } = board.colors;
      for (const { style, width } of [{ style: rim, width: 3.4 }, { style: swing, width: 2 }]) {
        context.strokeStyle = style;
        context.lineWidth = width * Math.max(dpr, radius / 9);
        context.beginPath();
        context.moveTo(handX, handY);
        context.lineTo(handX + Math.cos(angle) * radius, handY + Math.sin(angle) * radius);
        context.stroke();
      }
      context.lineCap = "butt";
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, y, radius - 0.6 * dpr, 0, TURN);
      context.fill();
      context.strokeStyle = board.colors.rim;
      context.lineWidth = 1.25 * dpr;
      context.stroke();
      const hurt = effects.hurt(player.id, now);
      if (hurt > 0) {
        context.globalAlpha = hurt;
        context.fillStyle = board.colors.bad;
        context.fill();
        context.globalAlpha = 1;
      }
      if (!isOwn) return;
      context.strokeStyle = board.colors.me;
      context.lineWidth = 2.25 * dpr;
      context.beginPath();
      context.arc(x, y, radius + 3 * dpr, 0, TURN);
      context.stroke();
    }

    /**
     * @param {number} radius
     * @param {number} dpr
     */
    function barOf(radius, dpr) {
      return { half: Math.max(radius * 1.35, 13 * dpr), height: Math.max(4 * dpr, radius * 0.32) };
    }

    /**
     * The bar stays on the floor, also at the upper edge of the map.
     * @param {Figure} body
     * @param {Rules} rules
     * @param {boolean} isOwn
     * @param {number} dpr
     */
    function drawHealth({ player, x, y, radius }, { numbers }, isOwn, dpr) {
      const { half, height } = barOf(radius, dpr);
      const part = Math.min(1, player.hp / numbers.hp);
      const area = board.area();
      const [leftMost, topMost] = [area.left + 2 * dpr, area.top + 2 * dpr];
      const left = Math.min(area.right - 2 * dpr - 2 * half, Math.max(leftMost, x - half));
      const top = Math.max(topMost, y - radius - height - (isOwn ? 6 : 4) * dpr);
      const { good, warn, bad, bar, rim } = board.colors;
      context.fillStyle = bar;
      context.beginPath();
      context.roundRect(left, top, 2 * half, height, height / 2);
      context.fill();
      context.fillStyle = part > 0.6 ? good : part > 0.3 ? warn : bad;
      context.beginPath();
      context.roundRect(left, top, Math.max(height, 2 * half * part), height, height / 2);
      context.fill();
      context.strokeStyle = rim;
      context.lineWidth = dpr;
      context.beginPath();
      context.roundRect(left, top, 2 * half, height, height / 2);
      context.stroke();
      if (player.heals) drawCross(left + 2 * half + height, top + height / 2, height);
    }

    /**
     * A plus beside the bar of a player whose health returns.
     * @param {number} x
     * @param {number} y
     * @param {number} size
     */
    function drawCross(x, y, size) {
      context.beginPath();
      context.moveTo(x - size * 0.8, y);
      context.lineTo(x + size * 0.8, y);
      context.moveTo(x, y - size * 0.8);
      context.lineTo(x, y + size * 0.8);
      context.strokeStyle = board.colors.field;
      context.lineWidth = size * 1.1;
      context.stroke();
      context.strokeStyle = board.colors.good;
      context.lineWidth = size * 0.6;
      context.stroke();
    }

    /**
     * The reach of the own attack: red while it would hit a player, stronger when it is ready.
     * @param {Figure} own
     * @param {Figure[]} alive
     * @param {Rules} rules
     * @param {number} now
     * @param {number} dpr
     */
    function drawReach(own, alive, { numbers }, now, dpr) {
      const { reach, cooldown_ms: cooldownMs } = numbers;
      const { x, y } = own.player;
      const hasTarget = alive.some(({ player }) =>
        player !== own.player && Math.hypot(player.x - x, player.y - y) <= reach);
      const ready = Math.min(1, (now - attackedAt) / cooldownMs);
      context.strokeStyle = hasTarget ? board.colors.bad : board.colors.me;
      context.globalAlpha = (hasTarget ? 0.9 : 0.4) * (0.4 + 0.6 * ready);
      context.lineWidth = (hasTarget ? 2 : 1.25) * dpr;
      context.setLineDash([5 * dpr, 4 * dpr]);
      context.beginPath();
      context.arc(own.x, own.y, lengthPx(reach), 0, TURN);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }

    /**
     * Where a player died, and how long until it respawns.
     * @param {Figure} body
     * @param {Rules} rules
     * @param {number} now
     * @param {number} dpr
     */
    function drawDead({ player, x, y, radius, color }, { numbers }, now, dpr) {
      context.globalAlpha = 0.45;
      context.strokeStyle = color;
      context.lineWidth = Math.max(2 * dpr, radius * 0.3);
      context.lineCap = "round";
      context.beginPath();
      const arm = radius * 0.5;
      context.moveTo(x - arm, y - arm);
      context.lineTo(x + arm, y + arm);
      context.moveTo(x + arm, y - arm);
      context.lineTo(x - arm, y + arm);
      context.stroke();
      context.lineCap = "butt";
      if (player.respawnAt !== null) {
        const part = Math.min(1, Math.max(0, (player.respawnAt - now) / numbers.respawn_ms));
        context.lineWidth = 2 * dpr;
        context.beginPath();
        context.arc(x, y, radius * 1.25, -TURN / 4, -TURN / 4 + TURN * part);
        context.stroke();
      }
      context.globalAlpha = 1;
    }

    return {
      draw,
      drawEmpty: board.paintBackground,
      setScale: board.setScale,
      whenStale: board.whenStale,
      begin: board.begin,
      forget() {
        trails.forget();
        effects.forget();
      },
      /**
       * The own player has asked for a step.
       * @param {Direction | null} direction null for a new own player
       */
      face: (direction) => void (ownFacing = direction),
      /**
       * @param {Fighter} player
       * @param {boolean} isOwn
       * @param {number} now
       */
      swing(player, isOwn, now) {
        if (isOwn) attackedAt = now;
        const known = (isOwn ? ownFacing : null) ?? player.facing;
        const angle = known === null ? facing.get(player.id)?.angle ?? 0 : ANGLES[known];
        effects.swing({ ...player, ...placeOf(player.id) }, angle, now);
      },
      hit: effects.hit,
      /**
       * @param {Fighter} player
       * @param {number} now
       */
      death: (player, now) => effects.add("death", player, now, { color: Skirmish.colorOf(player) }),
      /**
       * @param {Fighter} player
       * @param {number} now
       */
      spawn: (player, now) => effects.add("spawn", player, now, { color: Skirmish.colorOf(player) }),
      shock: effects.shock,
    };
  };
}
