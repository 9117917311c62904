// node unpack.mjs FROM TO: decompresses every *.br file of a folder into another.
import { createReadStream, createWriteStream, readdirSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";

const [from, to] = process.argv.slice(2);
for (const name of readdirSync(from).filter((one) => one.endsWith(".br"))) {
  const out = createWriteStream(join(to, name.slice(0, -3)));
  await pipeline(createReadStream(join(from, name)), createBrotliDecompress(), out);
}
