/**
 * @file Measures a library of ten thousand adapters: adding, searching warm and from the command line, making the index anew, memory.
 * Run: npm run build && npx tsx bench/library-scale.ts [count] [folder]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openLibrary, type LibraryQuery } from "../src/library/index.ts";
import { baseDigest, saidOf, writeNumbered } from "./library-material.ts";

const count = Number(process.argv[2] ?? 10_000);
const scratch = mkdtempSync(join(tmpdir(), "lowrank-scale-"));
const folder = resolve(process.argv[3] ?? join(scratch, "library"));
const root = resolve(import.meta.dirname, "..");

const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(share * values.length))];
const milliseconds = (value: number): string => `${value.toFixed(1)} ms`;
const report = (what: string, text: string): void => console.log(`${what.padEnd(44)} ${text}`);
const load = (): string => `load ${loadavg()[0].toFixed(1)}`;

/** V8 lets garbage lie while there is room: with little room, the peak shows what the work needs. */
const littleRoom = ["--max-semi-space-size=1", "--max-old-space-size=32"]; // MB

/** MB of a process of its own that does this with the built library: at its peak, and what is left on the heap once all garbage is collected. */
const memoryOf = (work: string, options: readonly string[]): { peak: number; kept: number } => {
  const program = `const { openLibrary } = await import(${JSON.stringify(join(root, "dist/library/index.js"))});
    const library = await openLibrary(${JSON.stringify(folder)}); ${work}; const { maxRSS } = process.resourceUsage(); gc();
    console.log(JSON.stringify({ peak: maxRSS / 1024, kept: process.memoryUsage().heapUsed / 2 ** 20 })); library.close();`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", ...options, "--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  if (stdout.trim() === "") throw new Error(stderr);
  return JSON.parse(stdout) as { peak: number; kept: number };
};

const works: Readonly<Record<string, string>> = {
  open: "",
  rebuild: "await library.rebuild()",
  verify: "for await (const finding of library.verify()) if (finding.kind !== 'sound') throw new Error(JSON.stringify(finding))",
};

const reportMemory = (adapters: number): void => {
  for (const [what, work] of Object.entries(works)) {
    const [free, tight] = [[], littleRoom].map((options) => memoryOf(work, options));
    report(
      `memory at ${adapters} adapters: ${what}`,
      `peak ${free.peak.toFixed(0)} MB, ${tight.peak.toFixed(0)} with little room, ${free.kept.toFixed(1)} on the heap afterwards`,
    );
  }
};

const library = await openLibrary(folder, { create: true });
const times: number[] = [];
const have = (await library.search({ everyVersion: true, limit: 0 })).total;
for (let number = have; number < count; number++) {
  await writeNumbered(join(scratch, "adapter"), number);
  const started = performance.now();
  await library.add(join(scratch, "adapter"), saidOf(number));
  times.push(performance.now() - started);
  if (number + 1 === Math.floor(count / 10)) reportMemory(number + 1);
}
if (times.length > 0) {
  const last = times.slice(-1000);
  report("add, the last thousand", `median ${milliseconds(quantile(last, 0.5))}, 99 % ${milliseconds(quantile(last, 0.99))} (${load()})`);
}
reportMemory(count);

const queries: Readonly<Record<string, LibraryQuery>> = {
  "list, a page of 50": { limit: 50 },
  "list, everything": { everyVersion: true, limit: -1 },
  "a tag": { tags: ["language=fr"], limit: 50 },
  "two tags": { tags: ["language=fr", "domain=law"], limit: 50 },
  text: { text: "second labelling cook", limit: 50 },
  "a base": { base: baseDigest, limit: 50 },
  "a metric, sorted": { metrics: [{ name: "loss", comparison: "<", value: 0.6 }], sort: "loss", limit: 50 },
  "everything at once": {
    text: "cook",
    tags: ["language=fr"],
    base: "stories",
    metrics: [{ name: "accuracy", comparison: ">", value: 0.5 }],
    limit: 50,
  },
};
await new Promise((done) => setTimeout(done, 200));
for (const [what, query] of Object.entries(queries)) {
  const warm: number[] = [];
  let found = 0;
  const before = process.cpuUsage();
  for (let round = 0; round < 20; round++) {
    const started = performance.now();
    found = (await library.search(query)).total;
    warm.push(performance.now() - started);
  }
  const { user, system } = process.cpuUsage(before);
  const [median, most, processor] = [quantile(warm, 0.5), Math.max(...warm), (user + system) / 1000 / warm.length].map(milliseconds);
  report(`search in process: ${what}`, `median ${median}, most ${most}, processor ${processor}, ${found} found (${load()})`);
}

/** Milliseconds of processor time that a command takes, which other work on the machine does not lengthen much. */
const processorTime = (words: readonly string[]): number => {
  const command = [process.execPath, join(root, "dist/cli/main.js"), "library", ...words, "--library", folder]
    .map((word) => `'${word}'`)
    .join(" ");
  const { stdout } = spawnSync("sh", ["-c", `${command} > /dev/null; times`], { encoding: "utf8" });
  const [, user, system] = /\n(?:\d+m)?([\d.]+)s? (?:\d+m)?([\d.]+)s?/.exec(stdout) ?? [];
  return 1000 * (Number(user) + Number(system));
};

const lines: readonly (readonly string[])[] = [
  ["list"],
  ["list", "--tag", "language=fr"],
  ["search", "second", "labelling", "cook"],
  ["list", "--base", "stories260k"],
  ["list", "--metric", "loss<0.6", "--sort", "loss"],
];
for (const words of lines) {
  const cold = Array.from({ length: 7 }, () => {
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, [join(root, "dist/cli/main.js"), "library", ...words, "--library", folder]);
    if (status !== 0) throw new Error(String(stderr));
    return performance.now() - started;
  });
  const [median, least] = [quantile(cold, 0.5), Math.min(...cold)].map(milliseconds);
  report(
    `command line: ${words.join(" ")}`,
    `median ${median}, least ${least}, processor ${milliseconds(processorTime(words))} (${load()})`,
  );
}

const started = performance.now();
await library.rebuild();
report("rebuild the index", `${((performance.now() - started) / 1000).toFixed(1)} s (${load()})`);
library.close();
rmSync(scratch, { recursive: true });
