// Station 3: a small network at twelve moments of its training, and that of 2019 beside it.

import { decode, findPeak, sigmoid, softmax } from "./heatmap.js";
import { EYES } from "./draw.js";
import { $, crosses, error, latest, px, show } from "./look.js";
import { fetchBytes, Network } from "./net.js";
import { number, set, state } from "./state.js";
import { countWeights, fromHalf } from "./weights.js";

const KINDS = {
  small: { softmax: true, method: "soft", stride: 2 },
  original: { softmax: false, method: "argmax", stride: 1 },
};
const DARK = 0.3; // a highest cell below this is drawn much brighter than it is

export function create(app) {
  let loading = null;
  const networks = {}; // of one moment only: two sessions at a time
  let held = -1;

  const load = () => {
    loading ??= (async () => {
      const [about, blocks, ...graphs] = await Promise.all([
        fetch("data/training.json").then((answer) => answer.json()),
        fetchBytes("data/training.bin"),
        ...Object.keys(KINDS).map((name) => fetchBytes(`data/${name}.onnx`)),
      ]);
      const sizes = Object.keys(KINDS).map((name) => countWeights(app.graphs[name].weights));
      const last = about.moments.length - 1;
      $("moment").max = last;
      $("small-count").textContent = sizes[0].toLocaleString("en");
      return { ...about, blocks: new Uint16Array(blocks), graphs, sizes, last };
    })();
    return loading;
  };

  /** The two networks as they were at a moment. */
  async function networksAt(moment, { blocks, graphs, sizes }) {
    if (moment === held) return;
    let offset = moment * (sizes[0] + sizes[1]);
    for (const [i, name] of Object.keys(KINDS).entries()) {
      const block = fromHalf(blocks.subarray(offset, offset + sizes[i]));
      offset += sizes[i];
      await networks[name]?.release();
      networks[name] = await Network.make(new Uint8Array(graphs[i]), block);
    }
    held = moment;
  }

  const run = latest(async () => {
    const about = await load();
    const moment = Math.round(number("moment", 0, about.last));
    await networksAt(moment, about);
    for (const name of Object.keys(KINDS)) await look(name, about.moments[moment]);
    $("moment").value = moment;
    $("moment-text").textContent = about.moments[moment].images.toLocaleString("en");
    $("moment").setAttribute("aria-valuetext", `${about.moments[moment].images} images`);
    draw(about.moments, moment);
    const row = about.moments[moment];
    const known = { images: row.images.toLocaleString("en"), small: px(row.small_px), original: px(row.original_px) };
    app.learn("training", { of: String(moment), ...known });
  });

  async function look(name, row) {
    const kind = KINDS[name];
    const { face } = app;
    const { scores } = await networks[name].run(face.pixels);
    const [, , rows, columns] = scores.dims;
    const maps = [0, 1].map((k) => {
      const part = scores.data.subarray(k * rows * columns, (k + 1) * rows * columns);
      return (kind.softmax ? softmax : sigmoid)(part, rows, columns);
    });
    const points = maps.map((map) => decode(map, kind.method, kind.stride));
    crosses(show(name, face.pixels, maps, face.truth), points, EYES);
    const off = face.truth ? `${px(error(points, face.truth))} off here, ` : "";
    const title = name === "small" ? "small hourglass" : "2019";
    $(`${name}-text`).textContent =
      `${title}: ${off}${px(row[`${name}_px`])} on fresh faces`;
    if (name === "original") note(Math.max(...maps.map((map) => findPeak(map).height)));
  }

  /** Says on the image of 2019 that its map is darker than it is drawn. */
  function note(peak) {
    $("original-note").hidden = peak >= DARK;
    $("original-note").textContent = `brightened ${Math.round(1 / peak)} times to be seen: really almost black`;
  }

  const play = $("play");
  let timer = 0;
  play.addEventListener("click", () => (timer ? stop() : start()));
  app.playing = () => Boolean(timer);
  app.play = start;
  function start() {
    play.textContent = "Stop";
    const step = async () => {
      const { last } = await load();
      const now = Number(state.moment);
      if (now >= last) return stop();
      set({ moment: now + 1 });
      timer = setTimeout(step, 700);
    };
    timer = setTimeout(step, 700);
    set({ moment: 0 });
  }
  function stop() {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "Play";
  }
  $("moment").addEventListener("input", (event) => set({ moment: event.target.value }));

  return {
    update(keys) {
      if (held < 0 || keys.has("face") || keys.has("moment")) return run();
    },
  };
}

/** Error against images as a small chart; images on a scale that shows the beginning. */
function draw(moments, now) {
  const [width, height, left, bottom, top] = [340, 240, 42, 30, 12];
  const most = moments.at(-1).images;
  const x = (images) => left + (width - left - 12) * Math.sqrt(images / most);
  const y = (error) => {
    const share = (Math.log10(error) - Math.log10(0.7)) / (2 - Math.log10(0.7));
    return height - bottom - (height - bottom - top) * share;
  };
  const line = (key) => moments.map((one) => `${x(one.images).toFixed(1)},${y(one[key]).toFixed(1)}`).join(" ");
  const at = moments[now];
  const grid = [1, 3, 10, 30].map((value) =>
    `<line class="axis" x1="${left}" x2="${width - 12}" y1="${y(value)}" y2="${y(value)}"/><text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${value} px</text>`).join(""); // prettier-ignore
  const marks = [0, 1000, 5000, most].map((value) =>
    `<text x="${x(value)}" y="${height - 10}" text-anchor="${value === most ? "end" : "middle"}">${value.toLocaleString("en")}</text>`).join(""); // prettier-ignore
  const curve = (key, colour, dash) =>
    `<polyline points="${line(key)}" fill="none" stroke="${colour}" stroke-width="2.5" stroke-dasharray="${dash}"/>` +
    `<circle cx="${x(at.images)}" cy="${y(at[key])}" r="5.5" fill="${colour}" stroke="currentColor"/>`;
  const said = `At ${at.images} images: ${at.small_px} px for the small hourglass, ${at.original_px} px for the network of 2019.`;
  $("curve").innerHTML =
    `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${said}">${grid}${marks}` +
    curve("original_px", "#D55E00", "6 4") + curve("small_px", "#009E73", "none") +
    `<text x="${width - 16}" y="${y(moments.at(-1).original_px) + 22}" text-anchor="end">2019</text>` +
    `<text x="${width - 16}" y="${y(moments.at(-1).small_px) - 12}" text-anchor="end">small hourglass</text></svg>`;
}
