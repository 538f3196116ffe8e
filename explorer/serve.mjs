// Serve a folder on localhost, compressed as a good host does: node serve.mjs [folder] [port]

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript",
  ".mjs": "text/javascript", ".json": "application/json", ".wasm": "application/wasm",
  ".png": "image/png", ".svg": "image/svg+xml",
}; // prettier-ignore

/** Returns the server and its port; a compressed file is kept in memory. Brotli at level 5. */
export async function serve(folder, port = 0) {
  const root = resolve(folder);
  const kept = new Map();
  const compress = promisify(brotliCompress);
  const load = async (path) => {
    const text = await readFile(path);
    if ([".png"].includes(extname(path))) return { text, encoding: null };
    const small = await compress(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
    return { text: small, encoding: "br" };
  };
  const server = createServer(async (request, answer) => {
    const { pathname } = new URL(request.url, "http://localhost");
    const path = normalize(join(root, decodeURIComponent(pathname.endsWith("/") ? `${pathname}index.html` : pathname)));
    if (!path.startsWith(root)) return answer.writeHead(403).end();
    try {
      if (!kept.has(path)) kept.set(path, load(path));
      const { text, encoding } = await kept.get(path);
      const head = { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream", "Content-Length": text.length };
      if (encoding) head["Content-Encoding"] = encoding;
      answer.writeHead(200, head).end(text);
    } catch {
      kept.delete(path);
      answer.writeHead(404).end("not found");
    }
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  return { server, port: server.address().port };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = join(fileURLToPath(new URL(".", import.meta.url)), "dist"), port = "8000"] = process.argv.slice(2);
  const served = await serve(folder, Number(port));
  console.log(`http://localhost:${served.port}/`);
}
