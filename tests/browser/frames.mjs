// Where the frames of a page have drawn its own player.
import assert from "node:assert/strict";

// From now on, records where each frame has drawn the own player.
export const record = (page) => page.evaluate(() => {
  window.frames_ = [];
  const look = () => {
    const { at, place, isActive } = window.Skirmish.game.drew();
    if (place && at !== window.frames_.at(-1)?.at) window.frames_.push({ at, isActive, ...place });
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
});

// Waits until the own player, with this id, is drawn where the server says. Checks that it moved in
// more than `least` frames, and in none further than its pace allows.
export async function neverJumped(page, id, least) {
  await page.waitForFunction((id) => {
    const { drew, snapshot } = window.Skirmish.game;
    const { x, y } = snapshot().players.find((player) => player.id === id);
    return drew().place.x === x && drew().place.y === y;
  }, id);
  const { most, between, moved } = await longest(page);
  assert.ok(moved > least, `${moved} frames moved it`);
  assert.ok(most <= 2, `a frame moved it ${most} units too far: ${between}`);
}

// The longest way of the own player in one frame, beyond what its pace allows in that time, and the
// number of frames in which it moved.
async function longest(page) {
  const { frames, rules } = await page.evaluate(() =>
    ({ frames: window.frames_, rules: window.Skirmish.game.rules() }));
  let most = 0;
  let between = [];
  let moved = 0;
  for (let i = 1; i < frames.length; i++) {
    const [a, b] = [frames[i - 1], frames[i]];
    const way = Math.hypot(b.x - a.x, b.y - a.y);
    // A busy browser drops frames, and the time without frames at rest does not count.
    const ticks = a.isActive ? (b.at - a.at) / rules.tickMs : 1;
    const paced = Math.max(1, ticks) * rules.step;
    if (way - paced > most) {
      most = way - paced;
      between = [a, b];
    }
    if (way > 0) moved++;
  }
  return { most, between: JSON.stringify(between), moved };
}
