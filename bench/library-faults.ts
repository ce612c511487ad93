/**
 * @file The full figures of the library's faults: 50 kills of each kind, and two processes that add 200 adapters each at once.
 * Run: npx tsx bench/library-faults.ts [rounds] [each] [word of the faults to run, or "writers"]
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { faults, runFault, runTwoWriters, writeMaterial } from "../test/faults/library-rounds.ts";

const [rounds, each] = [Number(process.argv[2] ?? 50), Number(process.argv[3] ?? 200)];
const [, , , , only = ""] = process.argv;
const folder = mkdtempSync(join(tmpdir(), "lowrank-faults-"));
process.env["LOWRANK_CACHE"] = join(folder, "cache");
mkdirSync(join(folder, "material"));
await writeMaterial(join(folder, "material"), 2 * each);

for (const name of Object.keys(faults).filter((one) => one.includes(only))) {
  const started = performance.now();
  const shares = await runFault(name, { folder, seed: 2026, rounds });
  const within = shares.filter((share) => share > 0 && share < 1).length;
  const [before, after] = [shares.filter((share) => share === 0).length, shares.filter((share) => share >= 1).length];
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${name}: ${rounds} kills held (${before} before the first thing was done, ${within} between, ${after} after the last), ${seconds} s`,
  );
}
const started = performance.now();
if ("two writers".includes(only)) {
  await runTwoWriters(folder, each);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`two writers: ${2 * each} of ${2 * each} there, ${seconds} s; load ${loadavg()[0].toFixed(1)}`);
}
rmSync(folder, { recursive: true });
