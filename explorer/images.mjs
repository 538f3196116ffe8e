// Make figures/explorer.png and figures/explorer.gif from the built page: node images.mjs
//
// Needs Chromium (HGLIB_BROWSER names another), and Pillow for the animation. Synthetic faces only.

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { serve } from "./serve.mjs";

const figures = fileURLToPath(new URL("../figures/", import.meta.url));
const python = process.env.PYTHON ?? "python3";
const { port } = await serve(fileURLToPath(new URL("dist", import.meta.url)));
const browser = await chromium.launch({
  executablePath: process.env.HGLIB_BROWSER ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const page = await browser.newPage({ viewport: { width: 1280, height: 1000 }, reducedMotion: "reduce" });
await page.goto(`http://127.0.0.1:${port}/`);
await page.waitForFunction(() => document.querySelector("#answer-numbers dd"));

const frames = [];
const folder = await mkdtemp(join(tmpdir(), "explorer-"));

/** Goes to an address and keeps what a section shows for some tenths of a second. */
async function take(id, address, tenths, wait = 450) {
  await page.evaluate((to) => (location.hash = to), `at=${id}&${address}`);
  await page.waitForTimeout(wait);
  const path = join(folder, `${String(frames.length).padStart(3, "0")}.png`);
  const clip = await page.locator(`#${id}`).boundingBox();
  await page.screenshot({ path, clip: { ...clip, height: Math.min(clip.height, 700) } });
  frames.push([path, tenths]);
}

await page.evaluate(() => (location.hash = "at=hourglass"));
await page.waitForFunction(() => document.querySelector("#effect strong"));
await page.waitForTimeout(1200);
await page.locator("#hourglass").screenshot({ path: join(figures, "explorer.png") });

await take("hourglass", "face=0", 10, 1200);
await take("hourglass", "face=3", 8);
await take("hourglass", "face=3&off=s0", 16);
await take("hourglass", "face=3&off=b0&cell=15,18", 18);
await take("hourglass", "face=3&cell=15,18", 10);
await take("training", "face=3&moment=0", 5, 1500);
for (let moment = 1; moment < 12; moment++) await take("training", `face=3&moment=${moment}`, moment < 11 ? 4 : 14, 700);
await take("hide", "face=3", 8, 1200);
await take("hide", "face=3&hide=left", 14, 700);
await take("hide", "face=3&hide=both", 16, 700);
await browser.close();

const list = join(folder, "frames.json");
await writeFile(list, JSON.stringify(frames));
execFileSync(python, ["-c", `
import json, sys
from PIL import Image
frames = json.load(open(sys.argv[1]))
side = (880, 541)
images = []
for path, _ in frames:
    image = Image.open(path).convert("RGB")
    image.thumbnail(side, Image.LANCZOS)
    page = Image.new("RGB", side, "white")
    page.paste(image, ((side[0] - image.width) // 2, 0))
    images.append(page)
images = [image.quantize(88, dither=Image.Dither.NONE) for image in images]
images[0].save(sys.argv[2], save_all=True, append_images=images[1:], loop=0,
               duration=[100 * tenths for _, tenths in frames], optimize=True)
`, list, join(figures, "explorer.gif")]);
await rm(folder, { recursive: true });
console.log(`figures/explorer.png and .gif, ${frames.reduce((sum, [, tenths]) => sum + tenths, 0) / 10} s`);
process.exit(0);
