// node formulas.mjs JOB.json: the page's arithmetic on what Python wrote down; answers go to a file.

import { readFile, writeFile } from "node:fs/promises";
import { LEVELS, seenBy } from "../src/js/anatomy.js";
import { average, decode, METHODS, places, render, softmax, spread } from "../src/js/heatmap.js";
import { blur, turn, turnPoint } from "../src/js/edit.js";
import { fold, fromHalf, readSafetensors } from "../src/js/weights.js";

const job = JSON.parse(await readFile(process.argv[2], "utf8"));
const answers = {};

answers.decoded = job.targets.map(({ x, y, ...options }) => {
  const map = render({ x, y }, options);
  return METHODS.map((method) => {
    const point = decode(map, method, options.stride);
    return [point.x, point.y, point.confidence];
  });
});

answers.rendered = job.targets.slice(0, 5).map(({ x, y, ...o }) => [...render({ x, y }, o).cells]);

answers.scores = job.scores.map(({ cells, rows, columns }) => {
  const map = softmax(Float32Array.from(cells), rows, columns);
  const mean = average(map, 2);
  const points = METHODS.map((method) => decode(map, method, 2));
  return { points: points.map((p) => [p.x, p.y, p.confidence]), mean: [mean.x, mean.y], spread: spread(map, 2) };
});

answers.places = job.pairs.map(({ first, second, share }) => {
  const maps = [first, second].map(([x, y]) => render({ x, y }, { stride: 2, sigma: 0.8 }));
  const sums = maps.map(({ cells }) => cells.reduce((sum, cell) => sum + cell));
  const cells = maps[0].cells.map((cell, i) => (share * cell) / sums[0] + ((1 - share) * maps[1].cells[i]) / sums[1]);
  return places({ ...maps[0], cells }, 2).map(({ x, y, share }) => [x, y, share]);
});

answers.seen = job.cells.map(({ level, index, off }) => {
  const on = (kind) => [0, 1, 2, 3].map((step) => !off.includes(`${kind}${step}`));
  return seenBy(level, index, { skips: on("s"), below: on("b") });
});
answers.levels = LEVELS.map(({ name, side, channels }) => [name, channels, side, side]);

const file = await readFile(job.checkpoint);
const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const block = fold(readSafetensors(buffer), job.order);
answers.block = { length: block.length, some: job.places.map((i) => block[i]) };

answers.halves = [...fromHalf(job.halves)].map((value) => (Number.isFinite(value) ? value : String(value)));

answers.refused = job.broken.map((bytes) => {
  try {
    fold(readSafetensors(Uint8Array.from(bytes).buffer), job.order);
    return "taken";
  } catch (error) {
    return error.message;
  }
});

const face = Uint8Array.from(job.face);
answers.blurred = [...blur(face, 2)];
answers.turned = { quarter: [...turn(face, 90)], still: turn(face, 0) === face };
answers.turnedPoint = Object.values(turnPoint({ x: 30, y: 40 }, 90));

await writeFile(job.seen, JSON.stringify(answers));
