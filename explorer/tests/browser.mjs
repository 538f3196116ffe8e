// node browser.mjs JOB.json: the built page in a real browser; what was seen goes to a file.
//
// The job names the browser, and files that Python made: 200 faces and what torch says of them, a
// photo with a face in it, and a film for the browser's camera. Asserting is Python's part.

import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "../serve.mjs";

const job = JSON.parse(await readFile(process.argv[2], "utf8"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { server, port } = await serve(fileURLToPath(new URL("../dist", import.meta.url)));
const home = `http://127.0.0.1:${port}/`;
const seen = { outside: [], errors: [], missing: [] };
const camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${job.film}`];
const browser = await chromium.launch({
  executablePath: job.browser,
  args: ["--no-sandbox", "--enable-precise-memory-info", "--js-flags=--expose-gc", ...camera],
});

const ready = (page) => page.waitForFunction(() => document.querySelector("#answer-numbers dd"), null, { timeout: 30000 });

async function open(hash = "", options = {}) {
  const { script = null, ...rest } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...rest });
  const page = await context.newPage();
  page.setDefaultTimeout(20000);
  page.on("request", (request) => {
    if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(home)) seen.outside.push(request.url());
  });
  page.on("response", (response) => response.status() >= 400 && seen.missing.push(response.url()));
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("console", (line) => line.type() === "error" && seen.errors.push(line.text()));
  if (script) await page.addInitScript(script);
  await page.goto(home + hash);
  return page;
}

const WIDE = { width: 1280, height: 900 };
let shared = null;

/** The one page that most checks share: our first face, nothing hidden, then this address. */
async function calm(address = "#at=face") {
  if (!shared) {
    shared = await open("", { permissions: ["camera"] });
    await ready(shared);
  }
  await shared.evaluate((to) => {
    document.querySelector("#clear").click();
    document.querySelector("#faces button").click();
    location.hash = to;
  }, address);
  await settle(shared);
  return shared;
}

const close = (page) => page.context().close();
const hash = (page) => page.evaluate(() => location.hash);
const text = async (page, id) => (await page.locator(id).innerText()).replace(/\s+/g, " ").trim();
const settle = (page, time = 350) => page.waitForTimeout(time);
const go = async (page, address, time) => {
  await page.evaluate((to) => (location.hash = to), address);
  await settle(page, time);
};

const unfold = (page, open = true) =>
  page.evaluate((to) => document.querySelectorAll("details").forEach((fold) => (fold.open = to)), open);

/** Wait until an element says so; an idle machine needs no wait, and whoever asserts will see. */
const shows = (page, id, words) =>
  page
    .waitForFunction(
      ([id, words]) => {
        const said = document.querySelector(id).textContent;
        return /^[\d,]+$/.test(words) ? said === words : said.includes(words);
      },
      [id, words],
      { timeout: 8000 },
    )
    .catch(() => {});

const checks = {
  /** How soon the first answer is there, and what was sent, in a browser that has seen nothing. */
  async arrival() {
    const page = await calm(); // the server compresses on the first call
    await page.locator("#training").scrollIntoViewIfNeeded();
    await page.waitForFunction(() => document.querySelector("#small-text").textContent);
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const fresh = await context.newPage();
    const sizes = [];
    fresh.on("requestfinished", (request) => sizes.push(request.sizes()));
    const start = Date.now();
    await fresh.goto(home);
    await ready(fresh);
    const first = Date.now() - start;
    await fresh.locator("#training").scrollIntoViewIfNeeded();
    await fresh.waitForFunction(() => document.querySelector("#small-text").textContent);
    await settle(fresh);
    const bytes = (await Promise.all(sizes)).reduce((sum, one) => sum + one.responseBodySize, 0);
    await context.close();
    return { first, bytes };
  },

  /** The page's points for 200 faces, and with switches off, beside torch's. */
  async equality() {
    const page = await calm();
    const faces = (await readFile(job.faces)).toString("base64");
    const answer = await page.evaluate(
      async ({ faces, settings }) => {
        const { pointsOf } = await import("./js/search.js");
        const pixels = Uint8Array.from(atob(faces), (letter) => letter.charCodeAt(0));
        const flat = (scores) => pointsOf(scores).map((eyes) => eyes.map((e) => [e.x, e.y, e.confidence]));
        const all = [];
        const start = performance.now();
        for (let at = 0; at < pixels.length; at += 20 * 9216) {
          const { scores } = await window.explorer.lean.run(pixels.subarray(at, at + 20 * 9216), Array(8).fill(1), ["scores"]);
          all.push(...flat(scores));
        }
        const each = (performance.now() - start) / all.length;
        const switched = [];
        for (const setting of settings) {
          const { scores } = await window.explorer.lean.run(pixels.subarray(0, 20 * 9216), setting, ["scores"]);
          switched.push([...scores.data.subarray(0, 2 * 2304)]);
        }
        return { all, each, switched };
      },
      { faces, settings: job.switches },
    );
    return answer;
  },

  async accessibility() {
    const found = {};
    for (const [name, options] of Object.entries({
      wide: {},
      dark: { colorScheme: "dark" },
      phone: { viewport: { width: 360, height: 740 } },
    })) {
      const page = await calm("#at=hourglass&tour=3&off=s0");
      await page.emulateMedia({ colorScheme: options.colorScheme ?? "light" });
      await page.setViewportSize(options.viewport ?? WIDE);
      await unfold(page);
      for (const id of ["training", "points", "hide"]) await page.locator(`#${id}`).scrollIntoViewIfNeeded();
      await settle(page, 700);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      found[name] = violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.target).slice(0, 3).join(" ")}`);
      if (name === "phone")
        found.width = await page.evaluate(() => [
          document.documentElement.scrollWidth,
          [...document.querySelectorAll("main button:not(.tile), main .button")]
            .filter((b) => b.offsetParent && b.getBoundingClientRect().height < 24)
            .map((b) => b.id || b.textContent),
        ]);
    }
    await shared.setViewportSize(WIDE);
    await unfold(shared, false);
    return found;
  },

  async keyboard() {
    const page = await calm();
    const said = {};
    await page.locator("#switch-s0").focus();
    await page.keyboard.press("Space");
    said.skip = await hash(page);
    await page.keyboard.press("Enter");
    said.back = await hash(page);
    await page.locator("#lens").focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowUp");
    said.cell = await hash(page);
    await settle(page);
    said.text = await text(page, "#lens-text");
    await page.locator("#target").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Shift+ArrowDown");
    said.point = await hash(page);
    await page.locator("#faces button").nth(4).focus();
    await page.keyboard.press("Enter");
    said.face = await hash(page);
    let reached = new Set();
    await unfold(page);
    await page.evaluate(() => document.activeElement.blur());
    for (let i = 0; i < 140; i++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => document.activeElement.id || document.activeElement.textContent));
    }
    said.unreached = await page.evaluate(
      (names) => [...document.querySelectorAll("main button, main input, main canvas[tabindex]")]
        .filter((e) => e.offsetParent && !names.includes(e.id || e.textContent) && e.type !== "radio").map((e) => e.id || e.outerHTML.slice(0, 80)),
      [...reached],
    ); // prettier-ignore
    await unfold(page, false);
    return said;
  },

  /** An address shows what it says. */
  async addresses() {
    const page = await calm("#at=hourglass&face=3&off=b0&level=up0&cell=15,18");
    await page.waitForFunction(() => document.querySelector("#effect strong"));
    await settle(page);
    const said = { lens: await text(page, "#lens-text"), effect: await text(page, "#effect") };
    said.pressed = await page.getAttribute("#switch-b0", "aria-pressed");
    said.face = await page.locator("#faces button").nth(3).getAttribute("aria-pressed");
    await go(page, "at=hourglass&face=3");
    said.whole = await text(page, "#effect");
    await go(page, "at=training&moment=0");
    await shows(page, "#moment-text", "0");
    said.random = await text(page, "#small-text");
    await go(page, "at=training&moment=11");
    await shows(page, "#moment-text", "16,000");
    await shows(page, "#original-note", "brightened");
    said.trained = await text(page, "#small-text");
    said.note = await text(page, "#original-note");
    said.original = await text(page, "#original-text");
    await go(page, "at=points&point=25.00,36.00&doubt=90&stride=4");
    said.folded = !(await page.locator("#decoders").isVisible());
    await go(page, "at=points&point=25.00,36.00&doubt=90&stride=4&sigma=1.4");
    said.doubt = await text(page, "#doubt-says");
    said.rows = await page.locator("#decoders tr").allInnerTexts();
    await go(page, "at=hide&face=0&hide=both");
    await shows(page, "#hide-says", "do not trust it");
    said.hidden = await text(page, "#hide-says");
    await go(page, "at=hide&face=0");
    await shows(page, "#hide-says", "sure, and right");
    said.plain = await text(page, "#hide-says");
    await go(page, "at=nowhere&face=99&stride=x&moment=-3&cell=9999,a&sigma=1e9&off=zz&level=no");
    said.nonsense = await text(page, "#found");
    return said;
  },

  async painting() {
    const page = await calm("#at=hide");
    await page.locator("#covered-marks").scrollIntoViewIfNeeded();
    await settle(page, 600);
    const before = await text(page, "#bars");
    const box = await page.locator("#covered-marks").boundingBox();
    const at = (x, y) => [box.x + (x / 96) * box.width, box.y + (y / 96) * box.height];
    await page.mouse.move(...at(12, 38));
    await page.mouse.down();
    await page.mouse.move(...at(84, 40), { steps: 12 });
    await page.mouse.up();
    await settle(page, 600);
    const after = await text(page, "#bars");
    await page.locator("#clear").click();
    await settle(page, 600);
    const clear = await text(page, "#bars");
    return { before, after, clear };
  },

  async tour() {
    const page = await calm();
    await page.locator("#start-tour").click();
    const stops = [];
    const first = await page.locator("#tour-back").isVisible();
    for (let i = 0; i < 20 && (await page.locator("#tour").isVisible()); i++) {
      const last = stops.at(-1)?.[1] ?? ""; // an idle machine has the next text at once
      await page
        .waitForFunction((text) => ![text, ""].includes(document.querySelector("#tour-text").textContent), last, { timeout: 25000 })
        .catch(() => {});
      stops.push([await hash(page), await text(page, "#tour-text")]);
      await page.locator("#tour-next").click();
    }
    const end = await hash(page);
    const links = await page.locator("a[data-notebook]").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
    return { stops, first, end, links };
  },

  async photo() {
    const page = await calm();
    await page.locator("#file").setInputFiles(job.photo);
    await page.waitForFunction(() => /Found|No face/.test(document.querySelector("#found").textContent), null, { timeout: 60000 });
    const said = { found: await text(page, "#found") };
    await settle(page);
    said.points = await page.evaluate(() => window.explorer.points.map((p) => [p.x, p.y, p.confidence]));
    said.size = await page.evaluate(() => [document.querySelector("#photo").width, document.querySelector("#photo").height]);
    await page.locator("#file").setInputFiles({ name: "no.png", mimeType: "image/png", buffer: Buffer.from("no") });
    await settle(page);
    said.broken = await text(page, "#found");
    await page.locator("#faces button").nth(1).click();
    await settle(page);
    said.after = await text(page, "#answer-numbers");
    return said;
  },

  /** What is no face is neither found nor followed; each of the ten faces is both. */
  async faceOrNot() {
    const page = await calm();
    return page.evaluate(async () => {
      const { boxOfEyes, cut, findFace, Follower, isFace, pointsOf, toPhoto } = await import("./js/search.js");
      const { lean, ten } = window.explorer;
      const [side, left, top, scale, images] = [280, 60, 30, 2, 40]; // where a face lies in its photo
      const photoOf = (level) => {
        const context = Object.assign(document.createElement("canvas"), { width: side, height: side }).getContext("2d");
        const image = context.createImageData(side, side);
        for (let i = 0; i < side * side; i++) image.data.set([...Array(3).fill(level(i % side, Math.floor(i / side))), 255], 4 * i);
        context.putImageData(image, 0, 0);
        return context.canvas;
      };
      let seed = 1;
      const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
      const within = (at, from) => Math.floor((at - from) / scale);
      const faceOn = ({ pixels }) => (x, y) => {
        const [u, v] = [within(x, left), within(y, top)];
        return u >= 0 && v >= 0 && u < 96 && v < 96 ? pixels[96 * v + u] : 128;
      };
      const box = { left, top, side: 96 * scale };
      const average = [{ x: 65.4, y: 36.8 }, { x: 29.2, y: 36.8 }];
      const look = async (level, eyes) => {
        const photo = photoOf(level);
        const answer = async (on, where) => pointsOf((await lean.run(cut(on, where), Array(8).fill(1), ["scores"])).scores)[0];
        const said = (where) => answer(photo, where);
        const found = await findFace(lean, photo, 1 / 3);
        const follower = new Follower(eyes.map((eye) => toPhoto(eye, box)));
        const agree = await isFace(lean, photo, { ...follower.box }, await said(follower.box));
        let followed = 0;
        while (followed < images && (await follower.move(lean, photo, await said(follower.box)))) followed++;
        // a face that was followed for three images, and then is gone
        const here = photoOf(faceOn(ten.face(0)));
        const late = new Follower(ten.truth[0].map((eye) => toPhoto(eye, box)));
        for (let i = 0; i < 3; i++) await late.move(lean, here, await answer(here, late.box));
        let gone = 0;
        while (gone < images && (await late.move(lean, photo, await answer(photo, late.box)))) gone++;
        const off = found && found.eyes.map((eye, k) => {
          const truth = toPhoto(eyes[k], box);
          return Math.hypot(eye.x - truth.x, eye.y - truth.y) / scale;
        }); // prettier-ignore
        return { agree, followed, gone, off };
      };
      const said = { images, none: {}, faces: [] };
      for (const [name, level] of Object.entries({
        even: () => 90,
        light: () => 230,
        noise: () => 255 * random(),
        gradient: (x) => (255 * x) / side,
      })) said.none[name] = await look(level, average);
      for (let i = 0; i < 10; i++) said.faces.push(await look(faceOn(ten.face(i)), ten.truth[i]));
      return said;
    });
  },

  /** The camera's face is followed; memory before and after. */
  async camera() {
    const page = await calm();
    await page.locator("#camera").click();
    await page.waitForFunction(() => /followed/.test(document.querySelector("#found").textContent), null, { timeout: 60000 });
    await settle(page, 1500);
    /** MiB, the least of some looks: between two frames there is always something on its way. */
    const memory = async () => {
      const looks = [];
      for (let i = 0; i < 6; i++) {
        looks.push(await page.evaluate(() => (window.gc(), performance.memory.usedJSHeapSize)));
        await settle(page, 90);
      }
      return Math.min(...looks) / 2 ** 20;
    };
    const before = await memory();
    const points = [];
    const rates = [];
    for (let i = 0; i < job.seconds; i++) {
      await settle(page, 1000);
      rates.push(await page.evaluate(() => window.explorer.rate));
      points.push(await page.evaluate(() => window.explorer.points.map((p) => [p.x, p.y, p.confidence])));
    }
    const after = await memory();
    const found = await text(page, "#found");
    await page.locator("#camera").click();
    const stopped = await text(page, "#camera");
    return { before, after, points, rates, found, stopped };
  },

  async model() {
    const page = await calm("#at=hourglass");
    await page.locator("#model").setInputFiles(job.model);
    await page.waitForFunction(() => /This is/.test(document.querySelector("#model-text").textContent));
    await page.waitForFunction(() => document.querySelector("#effect strong"));
    await settle(page, 600);
    const said = { taken: await text(page, "#model-text"), effect: await text(page, "#effect") };
    await page.locator("#model").setInputFiles({ name: "no.safetensors", mimeType: "", buffer: Buffer.from("nonsense that is long enough") });
    await settle(page);
    said.refused = await text(page, "#model-text");
    await page.locator("#our-model").click();
    await settle(page, 600);
    said.back = await text(page, "#effect");
    return said;
  },

  async withoutWasm() {
    const page = await open("", { script: "delete globalThis.WebAssembly" });
    await settle(page, 400);
    const said = {
      fallback: await page.locator("#fallback").isVisible(),
      stations: await page.locator("section:visible").count(),
    };
    await close(page);
    return said;
  },

  async lessMotion() {
    const page = await calm("#at=hide");
    await page.emulateMedia({ reducedMotion: "reduce" });
    const said = await page.evaluate(() => [
      getComputedStyle(document.documentElement).scrollBehavior,
      document.getAnimations().length,
    ]);
    return said;
  },
};

for (const [name, check] of Object.entries(checks)) {
  const start = Date.now();
  try {
    seen[name] = await check();
  } catch (error) {
    seen[name] = { failed: String(error.message ?? error).slice(0, 600) };
  }
  process.stderr.write(`${name}: ${((Date.now() - start) / 1000).toFixed(1)} s\n`);
}
await browser.close();
server.close();
await writeFile(job.seen, JSON.stringify(seen));
process.exit(0);
