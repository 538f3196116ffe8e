// Make dist/: the page, the pinned onnxruntime, the data. Plain copies, no bundler.

import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const ort = join(here, "node_modules", "onnxruntime-web");
// All three are of one version, or the page stops at "expected magic word".
const RUNTIME = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

const exists = (path) => stat(path).then(() => true, () => false); // prettier-ignore

if (!(await exists(ort))) {
  console.error("explorer/node_modules is missing: run `npm ci --ignore-scripts` in explorer/");
  process.exit(1);
}
await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, "ort"), { recursive: true });
await cp(join(here, "src"), dist, { recursive: true });
await cp(join(here, "data"), join(dist, "data"), { recursive: true });
await cp(join(here, "..", "hglib", "weights", "lean.safetensors"), join(dist, "data", "lean.safetensors"));
for (const file of RUNTIME) {
  const text = await readFile(join(ort, "dist", file));
  // without the comment that asks a debugger for a file that is not there
  const cut = file.endsWith(".mjs") ? String(text).replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n") : text;
  await writeFile(join(dist, "ort", file), cut);
}
const still = join(here, "..", "figures", "explorer.png");
if (await exists(still)) await cp(still, join(dist, "still.png"));
console.log("explorer/dist is made; look at it with `npm run serve` in explorer/");
