// Parses the AsyncAPI documents given with the official parser, and prints each error and each warning.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const WARNING = 1;
const parser = new Parser();
let faults = 0;
for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(path, "utf8"));
  const told = diagnostics.filter((one) => one.severity <= WARNING);
  for (const { code, message, path: place } of told) console.log(`${path}: ${place.join(".")}: ${message} (${code})`);
  if (!document) console.log(`${path}: no document`);
  faults += told.length + (document ? 0 : 1);
}
process.exitCode = faults ? 1 : 0;
