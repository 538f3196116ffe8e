// node pages.mjs JOB.json: pages of the built site in a browser; what was seen goes to a file.

import { readFile, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";
import { serve } from "../serve.mjs";

const job = JSON.parse(await readFile(process.argv[2], "utf8"));
const { port } = await serve(job.html);
const home = `http://127.0.0.1:${port}/`;
const seen = { outside: [], missing: [], errors: [], found: {}, widths: {} };
const browser = await chromium.launch({ executablePath: job.browser, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.on("request", (one) => /^(data|blob):/.test(one.url()) || one.url().startsWith(home) || seen.outside.push(one.url()));
page.on("response", (one) => one.status() >= 400 && seen.missing.push(one.url()));
page.on("pageerror", (error) => seen.errors.push(error.message));

const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

await page.goto(`${home}notebooks/02_heatmaps.html`);
await page.waitForSelector("mjx-container");
seen.formulas = await page.locator("mjx-container").count();
await page.evaluate(() => (document.documentElement.dataset.theme = "light"));
seen.light = await background();
await page.evaluate(() => (document.documentElement.dataset.theme = "dark"));
seen.dark = await background();
for (const word of ["hourglass", "skip"]) {
  await page.goto(`${home}search.html?q=${word}`);
  await page.waitForSelector("#search-results li a");
  seen.found[word] = await page.locator("#search-results li a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
}
await page.setViewportSize({ width: 360, height: 740 });
for (const path of ["index.html", "notebooks/02_heatmaps.html", "notebooks/03_the_hourglass.html", "api/heatmap.html", "docs/results.html", "look_inside.html", "docs/glossary.html", "docs/teaching.html", "slides.html"]) {
  await page.goto(home + path);
  seen.widths[path] = await page.evaluate(() => document.documentElement.scrollWidth);
}
await browser.close();
await writeFile(job.seen, JSON.stringify(seen));
process.exit(0);
