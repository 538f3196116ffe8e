// Changes to a face, in plain arithmetic: the same in every browser.
// Pixels are 96 x 96 grey levels; points {x, y} in pixels.

const SIDE = 96;
const GREY = 128;

/** Turned about its middle, clockwise; what comes in at the corners is grey. */
export function turn(pixels, degrees) {
  if (!degrees) return pixels;
  const out = new Uint8Array(pixels.length);
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++) {
      const from = turnPoint({ x, y }, -degrees);
      out[y * SIDE + x] = sample(pixels, from.x, from.y);
    }
  return out;
}

/** Where a point goes when the image is turned. */
export function turnPoint(point, degrees) {
  const angle = (degrees * Math.PI) / 180;
  const middle = (SIDE - 1) / 2;
  const [x, y] = [point.x - middle, point.y - middle];
  return {
    x: middle + x * Math.cos(angle) - y * Math.sin(angle),
    y: middle + x * Math.sin(angle) + y * Math.cos(angle),
  };
}

function sample(pixels, x, y) {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const at = (column, row) =>
    column < 0 || row < 0 || column >= SIDE || row >= SIDE ? GREY : pixels[row * SIDE + column];
  const [u, v] = [x - left, y - top];
  const upper = at(left, top) * (1 - u) + at(left + 1, top) * u;
  const lower = at(left, top + 1) * (1 - u) + at(left + 1, top + 1) * u;
  return Math.round(upper * (1 - v) + lower * v);
}

/** Blurred by a Gaussian of this standard deviation, in pixels. */
export function blur(pixels, sigma) {
  if (!sigma) return pixels;
  const reach = Math.ceil(3 * sigma);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / (2 * sigma * sigma)),
  );
  const sum = weights.reduce((a, b) => a + b);
  const pass = (from, along, across) => {
    const out = new Float32Array(from.length);
    for (let a = 0; a < SIDE; a++)
      for (let b = 0; b < SIDE; b++) {
        let total = 0;
        for (let d = -reach; d <= reach; d++) {
          const near = Math.min(SIDE - 1, Math.max(0, a + d));
          total += (weights[d + reach] / sum) * from[near * along + b * across];
        }
        out[a * along + b * across] = total;
      }
    return out;
  };
  return Uint8Array.from(pass(pass(pixels, 1, SIDE), SIDE, 1), Math.round);
}

/** A disc of one grey level painted into pixels. */
export function dab(pixels, x, y, radius, grey = GREY) {
  for (let row = Math.floor(y - radius); row <= y + radius; row++)
    for (let column = Math.floor(x - radius); column <= x + radius; column++)
      if (row >= 0 && column >= 0 && row < SIDE && column < SIDE)
        if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2) pixels[row * SIDE + column] = grey;
}

/** A grey bar across the image. */
export function bar(pixels, top, bottom) {
  const rows = [top, bottom].map((row) => Math.min(SIDE, Math.max(0, Math.round(row))));
  pixels.fill(GREY, rows[0] * SIDE, rows[1] * SIDE);
}

/** Black glasses over both eyes. */
export function glasses(pixels, eyes) {
  const [left, right] = eyes;
  const reach = Math.hypot(left.x - right.x, left.y - right.y) * 0.33;
  for (let i = 0; i <= 40; i++)
    dab(pixels, right.x + ((left.x - right.x) * i) / 40, right.y + ((left.y - right.y) * i) / 40, 1.2, 12);
  for (const eye of eyes) {
    dab(pixels, eye.x - 2, eye.y, reach * 0.85, 12);
    dab(pixels, eye.x + 2, eye.y, reach * 0.85, 12);
    dab(pixels, eye.x, eye.y + 1, reach * 0.85, 12);
  }
}
