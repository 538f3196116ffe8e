// Points to heat maps and back: the formulas of notebook 02, as in hglib/heatmap.py.
//
// Points are {x, y} in image pixels, from 0, pixel centres at whole numbers. A map at stride s is
// {cells, rows, columns}; its cell i sits at image coordinate (i + 0.5) * s - 0.5.

const LOG_FLOOR = 1e-10; // smallest height before a logarithm
const RIDGE = 1e-3; // below this share of the determinant a peak is a ridge

export const METHODS = ["argmax", "quarter", "taylor", "newton", "soft"];

export const toMap = (value, stride) => (value + 0.5) / stride - 0.5;
export const toImage = (value, stride) => (value + 0.5) * stride - 0.5;

/** The target map of one point: a Gaussian (sigma in cells) or an exponential (alpha per pixel). */
export function render(point, { stride = 1, sigma = null, alpha = null, size = 96 }) {
  const side = size / stride;
  const cells = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const squared =
        (toImage(column, stride) - point.x) ** 2 + (toImage(row, stride) - point.y) ** 2;
      cells[row * side + column] =
        sigma === null
          ? Math.exp(-alpha * Math.sqrt(squared))
          : Math.exp(-squared / (2 * (sigma * stride) ** 2));
    }
  }
  return { cells, rows: side, columns: side };
}

/** Scores to a map whose cells sum to 1. */
export function softmax(scores, rows, columns) {
  let top = -Infinity;
  for (const score of scores) if (score > top) top = score;
  const cells = new Float32Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += cells[i] = Math.exp(scores[i] - top);
  for (let i = 0; i < cells.length; i++) cells[i] /= sum;
  return { cells, rows, columns };
}

/** Scores to a map in which each cell is a probability of its own, as in 2019. */
export function sigmoid(scores, rows, columns) {
  return { cells: scores.map((score) => 1 / (1 + Math.exp(-score))), rows, columns };
}

/** The highest cell; of equal ones the first in reading order. */
export function findPeak(map) {
  let best = 0;
  for (let i = 1; i < map.cells.length; i++) if (map.cells[i] > map.cells[best]) best = i;
  return { x: best % map.columns, y: Math.floor(best / map.columns), height: map.cells[best] };
}

/** One point from a map, and how far to trust it: the mass around the peak, or its height. */
export function decode(map, method = "soft", stride = 1, window = 7, amplitude = 1) {
  const peak = findPeak(map);
  const shift = SHIFTS[method](map, peak, { window, amplitude });
  const trust = method === "soft" ? windowMass(map, peak, window).total : peak.height;
  return {
    x: toImage(peak.x + shift.x, stride),
    y: toImage(peak.y + shift.y, stride),
    confidence: Math.min(1, Math.max(0, trust)),
  };
}

/**
 * The places that a map holds possible, the likeliest first: {x, y, share}. A place is a highest
 * cell with the window around it; the next one is looked for outside of those before.
 */
export function places(map, stride = 1, count = 2, window = 7) {
  const left = { ...map, cells: Float32Array.from(map.cells) };
  const reach = (window - 1) / 2;
  return Array.from({ length: count }, () => {
    const peak = findPeak(left);
    const { x, y, total } = windowMass(left, peak, window);
    for (let row = Math.max(0, peak.y - reach); row <= Math.min(map.rows - 1, peak.y + reach); row++)
      for (let column = Math.max(0, peak.x - reach); column <= Math.min(map.columns - 1, peak.x + reach); column++)
        left.cells[row * map.columns + column] = 0;
    const [dx, dy] = total > 0 ? [x / total, y / total] : [0, 0];
    return { x: toImage(peak.x + dx, stride), y: toImage(peak.y + dy, stride), share: total };
  });
}

/** The centre of mass of the whole map: the mean of all places that it holds possible. */
export function average(map, stride = 1) {
  let x = 0, y = 0, total = 0; // prettier-ignore
  for (let i = 0; i < map.cells.length; i++) {
    const mass = Math.max(0, map.cells[i]);
    x += mass * (i % map.columns);
    y += mass * Math.floor(i / map.columns);
    total += mass;
  }
  return { x: toImage(x / total, stride), y: toImage(y / total, stride) };
}

/** How far the mass of a map lies from its mean, in pixels: its standard deviation on one axis. */
export function spread(map, stride = 1) {
  const mean = average(map, stride);
  let sum = 0, total = 0; // prettier-ignore
  for (let i = 0; i < map.cells.length; i++) {
    const mass = Math.max(0, map.cells[i]);
    const dx = toImage(i % map.columns, stride) - mean.x;
    const dy = toImage(Math.floor(i / map.columns), stride) - mean.y;
    sum += mass * (dx * dx + dy * dy);
    total += mass;
  }
  return Math.sqrt(sum / total / 2);
}

const SHIFTS = {
  argmax: () => ({ x: 0, y: 0 }),
  quarter(map, peak) {
    const { f, hasX, hasY } = patch(map, peak);
    return {
      x: hasX ? 0.25 * Math.sign(f(1, 0) - f(-1, 0)) : 0,
      y: hasY ? 0.25 * Math.sign(f(0, 1) - f(0, -1)) : 0,
    };
  },
  taylor: (map, peak) => newtonStep(patch(map, peak), (h) => Math.log(Math.max(h, LOG_FLOOR))),
  newton: (map, peak, { amplitude }) =>
    newtonStep(patch(map, peak), (h) => {
      const log = Math.log(Math.min(1, Math.max(h / amplitude, LOG_FLOOR)));
      return -log * log;
    }),
  soft(map, peak, { window }) {
    const { x, y, total } = windowMass(map, peak, window);
    return total > 0 ? { x: x / total, y: y / total } : { x: 0, y: 0 };
  },
};

/** The cells around the peak as a function of the step away; beyond the border the last cell. */
function patch(map, peak) {
  const clamp = (value, limit) => Math.min(limit - 1, Math.max(0, value));
  const f = (dx, dy) =>
    map.cells[clamp(peak.y + dy, map.rows) * map.columns + clamp(peak.x + dx, map.columns)];
  const hasX = peak.x > 0 && peak.x < map.columns - 1;
  const hasY = peak.y > 0 && peak.y < map.rows - 1;
  return { f, hasX, hasY };
}

/** From the middle of 3 x 3 samples to the top of the parabola through them. */
function newtonStep({ f, hasX, hasY }, transform) {
  const g = (dx, dy) => transform(f(dx, dy));
  const x = axisStep(g(-1, 0), g(0, 0), g(1, 0), hasX);
  const y = axisStep(g(0, -1), g(0, 0), g(0, 1), hasY);
  const both = x.usable && y.usable;
  const twist = both ? (g(1, 1) - g(-1, 1) - g(1, -1) + g(-1, -1)) / 4 : 0;
  const crossX = twist / x.bend;
  const crossY = twist / y.bend;
  const determinant = 1 - crossX * crossY;
  const full = determinant > RIDGE;
  const clip = (value) => Math.min(0.5, Math.max(-0.5, value));
  return {
    x: clip(full ? (x.step - crossX * y.step) / determinant : x.step),
    y: clip(full ? (y.step - crossY * x.step) / determinant : y.step),
  };
}

function axisStep(before, middle, after, inside) {
  const bend = after - 2 * middle + before;
  const usable = inside && bend < 0;
  return usable ? { step: (before - after) / 2 / bend, bend, usable } : { step: 0, bend: -1, usable };
}

/** Mass and first moments of window x window cells about the peak. */
function windowMass(map, peak, window) {
  const reach = (window - 1) / 2;
  let x = 0, y = 0, total = 0; // prettier-ignore
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const column = peak.x + dx;
      const row = peak.y + dy;
      if (column < 0 || row < 0 || column >= map.columns || row >= map.rows) continue;
      const mass = Math.max(0, map.cells[row * map.columns + column]);
      x += mass * dx;
      y += mass * dy;
      total += mass;
    }
  }
  return { x, y, total };
}
