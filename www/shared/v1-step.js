// The step of the dialect skirmish.v1 (docs/skirmish-v1.md, "A tick"): the same integers as on the
// server (`Schema::walk`). tests/golden/v1/steps.txt has vectors for both.
"use strict";
var Skirmish = Skirmish || {};
{
  /** Walks bodies, and puts the place that was computed last into `x` and `y`. */
  Skirmish.createV1Walker = function () {
    let [left, top, right, bottom] = [0, 0, 0, 0];
    let length = 0;

    const walker = {
      x: 0,
      y: 0,
      /**
       * @param {ArrayLike<number>} walls left, top, right, bottom
       * @param {number} step
       */
      begin(walls, step) {
        ({ 0: left, 1: top, 2: right, 3: bottom } = walls);
        length = step;
      },
      /**
       * Computes the place that some steps on a course lead to. A part of a step is drawn only: the
       * server has whole steps.
       * @param {number} x
       * @param {number} y
       * @param {number} course 0 none, 1 up, 2 down, 3 left, 4 right
       * @param {number} steps
       */
      walk(x, y, course, steps) {
        if (steps > 0 && course !== 0) {
          const way = length * steps;
          if (course === 1) y -= way;
          else if (course === 2) y += way;
          else if (course === 3) x -= way;
          else x += way;
          x = Math.max(left, Math.min(right, x));
          y = Math.max(top, Math.min(bottom, y));
        }
        walker.x = x;
        walker.y = y;
      },
    };
    return walker;
  };
}
