// What every station does with an answer: maps, points, marks, errors.

import { softmax } from "./heatmap.js";
import { cross, overlay, paintFace, ring, topOf } from "./draw.js";
import { pointsOf } from "./search.js";

export const $ = (id) => document.getElementById(id);

/** The two heat maps and points of the first image of an answer. */
export function read(scores, image = 0) {
  const [, eyes, rows, columns] = scores.dims;
  const part = rows * columns;
  const maps = Array.from({ length: eyes }, (_, k) => {
    const start = (image * eyes + k) * part;
    return softmax(scores.data.subarray(start, start + part), rows, columns);
  });
  return { maps, points: pointsOf(scores, 96 / rows)[image] };
}

/** A face under its maps, each from 0 to its own highest cell, with crosses and true rings. */
export function show(name, pixels, maps, truth = null, light = 0.55) {
  paintFace($(name), pixels, maps, maps.map((map) => topOf(map.cells)), light);
  const marks = overlay($(`${name}-marks`));
  for (const point of truth ?? []) ring(marks, point);
  return marks;
}

export function crosses(marks, points, colours) {
  points.forEach((point, k) => cross(marks, point, colours[k]));
}

export const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/** The mean distance of found points from true ones, in pixels. */
export const error = (points, truth) =>
  points.reduce((sum, point, k) => sum + distance(point, truth[k]), 0) / points.length;

export const px = (value) => `${value.toFixed(value < 9.95 ? 2 : 1)} px`;
export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** Fill a definition list: [[term, text], ...]. */
export function define(list, rows) {
  list.replaceChildren(
    ...rows.flatMap(([term, text]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = text;
      return [dt, dd];
    }),
  );
}

/** Call at most once for each frame that is drawn. */
export function framed(work) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      work();
    });
  };
}

/** Call work again after it has ended if it was asked for meanwhile: never two at once. */
export function latest(work) {
  let running = false;
  let again = false;
  const go = async () => {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      do {
        again = false;
        await work();
      } while (again);
    } finally {
      running = false;
    }
  };
  return go;
}
