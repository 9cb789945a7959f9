// The floor of the world as far as the camera sees it: tiles and lines by which motion can be seen,
// and the border of the map.
"use strict";
var Skirmish = Skirmish || {};
{
  const TILE_UNITS = 64;
  // The distance of two lines, in tiles.
  const SECTOR_TILES = 8;

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Camera} camera
   * @param {{ map: Box, colors: Readonly<Colors>, dpr: number }} look
   */
  Skirmish.drawGround = function (context, camera, { map, colors, dpr }) {
    const { canvas } = context;
    context.fillStyle = colors.wall;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const left = Math.round(Math.max(0, camera.toX(map.left)));
    const top = Math.round(Math.max(0, camera.toY(map.top)));
    const right = Math.round(Math.min(canvas.width, camera.toX(map.right)));
    const bottom = Math.round(Math.min(canvas.height, camera.toY(map.bottom)));
    context.fillStyle = colors.field;
    context.fillRect(left, top, right - left, bottom - top);

    const { area } = camera;
    const firstColumn = Math.floor((Math.max(area.left, map.left) - map.left) / TILE_UNITS);
    const firstRow = Math.floor((Math.max(area.top, map.top) - map.top) / TILE_UNITS);
    const lastColumn = Math.ceil((Math.min(area.right, map.right) - map.left) / TILE_UNITS);
    const lastRow = Math.ceil((Math.min(area.bottom, map.bottom) - map.top) / TILE_UNITS);
    context.fillStyle = colors.tile;
    for (let row = firstRow; row < lastRow; row++) {
      const y = Math.max(top, Math.round(camera.toY(map.top + row * TILE_UNITS)));
      const end = Math.min(bottom, Math.round(camera.toY(map.top + (row + 1) * TILE_UNITS)));
      for (let column = firstColumn + ((row + firstColumn) & 1); column < lastColumn; column += 2) {
        const x = Math.max(left, Math.round(camera.toX(map.left + column * TILE_UNITS)));
        const edge = Math.min(right, Math.round(camera.toX(map.left + (column + 1) * TILE_UNITS)));
        context.fillRect(x, y, edge - x, end - y);
      }
    }
    context.fillStyle = colors.strong;
    const width = Math.max(1, Math.round(2 * dpr));
    for (let column = firstColumn; column <= lastColumn; column++) {
      if (column % SECTOR_TILES !== 0) continue;
      const x = Math.round(camera.toX(map.left + column * TILE_UNITS));
      if (x >= left && x < right) context.fillRect(x, top, width, bottom - top);
    }
    for (let row = firstRow; row <= lastRow; row++) {
      if (row % SECTOR_TILES !== 0) continue;
      const y = Math.round(camera.toY(map.top + row * TILE_UNITS));
      if (y >= top && y < bottom) context.fillRect(left, y, right - left, width);
    }
  };
}
