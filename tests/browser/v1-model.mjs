// Models for the tests of skirmish.v1 without a browser: the server as docs/skirmish-v1.md describes
// it ("INPUT"), and a network.

const WAITING_MAX = 4;
const SILENT_TICKS = 20;

// A generator of numbers from 0 to 1 with a seed, so that a failure repeats.
export function createRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

// The difference of two numbers of steps, of which the low 16 bits are known.
const serial = (one, other) => ((one - other) << 16) >> 16;

// One player on the server.
export function createV1Server({ walls: [left, top, right, bottom], step }, { x, y }) {
  let applied = null, received = 0, direction = 0, silent = 0, isDead = false;
  let waiting = [];
  return {
    input({ seq: whole, direction: wanted }) {
      const seq = whole & 0xffff;
      if (applied === null) {
        applied = (seq - 1) & 0xffff;
        received = seq;
      }
      silent = 0;
      if (serial(seq, received) > 0) received = seq;
      waiting.push({ seq, direction: wanted });
      const isLater = (one) => serial(one.seq, applied + 1) > 0;
      // The newest of those that hold from the next step, and the first few later ones.
      const next = waiting.filter((one) => !isLater(one)).slice(-1);
      waiting = [...next, ...waiting.filter(isLater).slice(0, WAITING_MAX)];
    },
    isLate: (seq) => applied !== null && serial(seq, applied + 1) < 0,
    tick() {
      if (applied === null) return;
      applied = (applied + 1) & 0xffff;
      while (waiting.length > 0 && serial(waiting[0].seq, applied) <= 0) {
        direction = waiting.shift().direction;
      }
      if (++silent > SILENT_TICKS) direction = 0;
      if (isDead) return;
      const [dx, dy] = [[0, 0], [0, -step], [0, step], [-step, 0], [step, 0]][direction];
      x = Math.max(left, Math.min(right, x + dx));
      y = Math.max(top, Math.min(bottom, y + dy));
    },
    course: () => (isDead ? 0 : direction),
    head: () => ({
      flags: isDead ? 1 : 0, age: 1, applied: applied ?? 0, x, y,
      lead: applied === null ? 0 : Math.max(-128, Math.min(127, serial(received, applied))),
    }),
    die: () => (isDead = true),
    respawn(place) {
      isDead = false;
      ({ x, y } = place);
    },
  };
}

// One direction of a connection: messages are in order, take `delayMs` and up to `jitterMs` more,
// and wait for `stall(now)` before that.
export function createPipe({ delayMs, jitterMs, stall, random }) {
  const waiting = [];
  let lastAt = 0;
  return {
    send(message, now) {
      lastAt = Math.max(lastAt, now + delayMs + random() * jitterMs + stall(now));
      waiting.push({ at: lastAt, message });
    },
    due(now) {
      const messages = [];
      while (waiting.length > 0 && waiting[0].at <= now) messages.push(waiting.shift().message);
      return messages;
    },
  };
}
