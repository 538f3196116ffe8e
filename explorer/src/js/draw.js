// Maps and faces on canvases.

export const LEFT = [230, 159, 0]; // orange: the subject's left eye, as in the notebooks
export const RIGHT = [86, 180, 233]; // sky blue: the right one
export const EYES = [LEFT, RIGHT];
const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

// Anchors of magma, dark to bright: read as an amount in grey print too.
const ANCHORS = [
  [0, 0, 4], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122],
  [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191],
]; // prettier-ignore
const MAGMA = new Uint8ClampedArray(256 * 3);
for (let i = 0; i < 256; i++) {
  const at = (i / 255) * (ANCHORS.length - 1);
  const low = Math.min(ANCHORS.length - 2, Math.floor(at));
  for (let c = 0; c < 3; c++)
    MAGMA[3 * i + c] = ANCHORS[low][c] + (at - low) * (ANCHORS[low + 1][c] - ANCHORS[low][c]);
}

/** Paint cells at their own size; the style sheet enlarges them without smoothing. */
export function paintCells(canvas, cells, columns, rows, top = topOf(cells)) {
  if (canvas.width !== columns) canvas.width = columns;
  if (canvas.height !== rows) canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const { data } = image;
  const scale = top > 0 ? 255 / top : 0;
  for (let i = 0; i < cells.length; i++) {
    const at = 3 * Math.max(0, Math.min(255, Math.round(cells[i] * scale)));
    data[4 * i] = MAGMA[at];
    data[4 * i + 1] = MAGMA[at + 1];
    data[4 * i + 2] = MAGMA[at + 2];
    data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** A grey face, and over it one map for each eye, each in its own colour. */
export function paintFace(canvas, pixels, maps = [], tops = [], light = 1) {
  const side = Math.sqrt(pixels.length);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const { data } = image;
  for (let i = 0; i < pixels.length; i++) {
    data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = light * pixels[i];
    data[4 * i + 3] = 255;
  }
  maps.forEach((map, k) => tint(data, side, map, tops[k] || 1, EYES[k]));
  context.putImageData(image, 0, 0);
}

/** Colour pixels as far as the cell above them is bright; plain loops, since every image comes here. */
function tint(data, side, { cells, rows, columns }, top, [red, green, blue]) {
  for (let y = 0, i = 0; y < side; y++) {
    const row = Math.floor((y * rows) / side) * columns;
    for (let x = 0; x < side; x++, i += 4) {
      const share = cells[row + Math.floor((x * columns) / side)] / top;
      if (share < 1e-5) continue; // less than one grey level
      const alpha = 0.92 * Math.sqrt(Math.min(1, share));
      data[i] += alpha * (red - data[i]);
      data[i + 1] += alpha * (green - data[i + 1]);
      data[i + 2] += alpha * (blue - data[i + 2]);
    }
  }
}

const widths = new Map(); // of canvases on the screen: asking each time would lay the page out anew
const observer = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) widths.set(target, contentRect.width);
});

function widthOf(canvas) {
  if (!widths.has(canvas)) {
    widths.set(canvas, canvas.clientWidth);
    observer.observe(canvas);
  }
  return widths.get(canvas);
}

/** A canvas of marks over another: its pixels are those of the screen, its units those of the face. */
export function overlay(canvas, side = 96) {
  const size = widthOf(canvas) * (window.devicePixelRatio || 1) || side * 3;
  const whole = Math.round(size);
  if (canvas.width !== whole || canvas.height !== whole) canvas.width = canvas.height = whole;
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const scale = canvas.width / side;
  context.setTransform(scale, 0, 0, scale, scale / 2, scale / 2); // pixel centres at whole numbers
  return context;
}

/** A cross where the network sees an eye, open in the middle so that the map is seen. */
export function cross(context, point, colour, size = 4.5, open = 1.6) {
  for (const [extra, style] of [[0.5, "#000"], [0, css(colour)]]) {
    context.lineWidth = size / 6 + extra * (size / 4.5);
    context.strokeStyle = style;
    context.beginPath();
    for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(point.x + open * x, point.y + open * y);
      context.lineTo(point.x + size * x, point.y + size * y);
    }
    context.stroke();
  }
}

/** A ring where an eye truly is. */
export function ring(context, point, size = 3.2, line = 0.5) {
  for (const [width, style] of [[2 * line, "#000"], [line, "#fff"]]) {
    context.lineWidth = width;
    context.strokeStyle = style;
    context.beginPath();
    context.arc(point.x, point.y, size, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** A dot: one reading of a map. */
export function dot(context, point, colour, size) {
  context.beginPath();
  context.arc(point.x, point.y, size, 0, 2 * Math.PI);
  context.lineWidth = size / 3;
  context.fillStyle = css(colour);
  context.strokeStyle = "#000";
  context.fill();
  context.stroke();
}

/** A diamond: the average of a map. */
export function diamond(context, point, size = 2.6) {
  context.beginPath();
  context.moveTo(point.x, point.y - size);
  context.lineTo(point.x + size, point.y);
  context.lineTo(point.x, point.y + size);
  context.lineTo(point.x - size, point.y);
  context.closePath();
  context.lineWidth = size / 4.5;
  context.fillStyle = "#f0e442";
  context.strokeStyle = "#000";
  context.fill();
  context.stroke();
}

/** The pixels that a cell can see, the rest darkened. */
export function seen(context, rows, columns, side = 96) {
  context.fillStyle = "rgb(0 0 0 / 62%)";
  context.beginPath();
  context.rect(-0.5, -0.5, side, side);
  if (rows && columns) {
    const box = [columns[0] - 0.5, rows[0] - 0.5, columns[1] - columns[0] + 1, rows[1] - rows[0] + 1];
    context.rect(...box);
    context.fill("evenodd");
    context.lineWidth = 0.9;
    context.strokeStyle = "#f0e442";
    context.strokeRect(box[0] + 0.4, box[1] + 0.4, box[2] - 0.8, box[3] - 0.8);
  } else {
    context.fill();
  }
}

export const topOf = (cells) => {
  let top = -Infinity;
  for (const value of cells) if (value > top) top = value;
  return top;
};

/** One channel of one image of a feature map, or the mean of all. */
export function channel(tensor, which = -1) {
  const [, channels, rows, columns] = tensor.dims;
  const part = rows * columns;
  if (which >= 0) return tensor.data.slice(which * part, (which + 1) * part);
  const mean = new Float32Array(part);
  const { data } = tensor; // once: it is looked up anew at every use
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < part; i++) mean[i] += data[c * part + i];
  for (let i = 0; i < part; i++) mean[i] /= channels;
  return mean;
}
