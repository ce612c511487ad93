/**
 * @file Measures adapters that share one base of SmolLM2-135M's shapes (random weights): switching, a cold start, the memory of many, and mixed batches.
 * Run: npx tsx bench/switching.ts [adapters for memory] [rows] [tokens]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { benchShapes, randomCheckpoint } from "../src/evaluate/bench/index.ts";
import { adapterCache, baseInference, batchDecoder, type AdapterLease, type AdapterSource, type Programs } from "../src/generate/index.ts";
import { adapterSources } from "../src/library/index.ts";
import { loadAdapter, loadedOn, loraConfig, planAdapter, saveAdapter, startAdapter } from "../src/lora/index.ts";
import { openBase } from "../src/models/index.ts";
import { ortBackend } from "../src/runtime/index.ts";
import { random } from "../src/util/index.ts";

const [many, rows, tokens] = [2, 3, 4].map((place, index) => Number(process.argv[place] ?? [100, 8, 16][index]));
const past = 512;
const scratch = mkdtempSync(join(tmpdir(), "lowrank-switching-"));
const base = await openBase(await randomCheckpoint("smollm2-135m", benchShapes["smollm2-135m"], 0));
const backend = ortBackend({ threads: 2 });
const config = loraConfig({ r: 16, lora_alpha: 32, init_lora_weights: false });
const adapter = planAdapter(base.model, config);

const report = (what: string, text: string): void => console.log(`${what.padEnd(52)} ${text} (load ${loadavg()[0].toFixed(1)})`);
const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};
const spread = (values: readonly number[]): string => {
  const sorted = values.toSorted((a, b) => a - b);
  return `median ${sorted[sorted.length >> 1].toFixed(2)} ms, least ${sorted[0].toFixed(2)} ms`;
};
const residentBytes = (): number => {
  globalThis.gc?.();
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]) * 1024;
};
const generator = random(3);
const prompt = (length: number): number[] => Array.from({ length }, () => generator.integer(base.model.vocabularySize));
const sourceOf = adapterSources((directory) => loadAdapter(directory, base.model, loadedOn(base, backend)), loadedOn(base, backend));
const folders = Array.from({ length: rows }, (_, index) => join(scratch, String(index)));
for (const [seed, folder] of folders.entries()) await saveAdapter(folder, base.model, await startAdapter(adapter, base, seed), base.digest);

const cache = adapterCache(backend, 4e9);
const programs: Programs = new Map();
const batch = batchDecoder(backend, baseInference(base), programs);
const leases: AdapterLease[] = [];

// A cold adapter: its digest, its file, its factors, and the first logits after a prompt of 16.
const cold: number[] = [];
for (const [index, folder] of folders.entries()) {
  const ms = await timed(async () => {
    const lease = await cache.acquire(await sourceOf(folder));
    leases.push(lease);
    await batch.join(0, prompt(16), [{ ...lease, weight: 1 }]);
  });
  if (index > 0) cold.push(ms); // the first one compiles
}
report("cold adapter to its first logits, prompt of 16", spread(cold));
const warm: number[] = [];
for (let round = 0; round < 8; round++) warm.push(await timed(() => batch.join(0, prompt(16), [{ ...leases[round % rows], weight: 1 }])));
report("the same, adapter in memory", spread(warm));

const switches: number[] = [];
for (let round = 0; round < 200; round++)
  switches.push(await timed(async () => (await cache.acquire(await sourceOf(folders[round % rows]))).release()));
report("switch between adapters in memory, by name", spread(switches));
await batch.leave(0);

for (const mixed of [false, true]) {
  for (let row = 0; row < rows; row++) await batch.join(row, prompt(past), mixed ? [{ ...leases[row], weight: 1 }] : []);
  const steps: number[] = [];
  for (let step = 0; step < tokens + 2; step++) {
    const next = new Map(prompt(rows).map((id, row) => [row, id]));
    const ms = await timed(() => batch.step(next));
    if (step >= 2) steps.push(ms);
  }
  const best = Math.min(...steps);
  const middle = steps.toSorted((a, b) => a - b)[steps.length >> 1];
  report(
    `${rows} rows at ${past}, ${mixed ? `${rows} adapters` : "no adapters"}`,
    `${((1000 * rows) / middle).toFixed(0)} tokens/s, at best ${((1000 * rows) / best).toFixed(0)}`,
  );
  for (let row = 0; row < rows; row++) await batch.leave(row);
}
await batch.dispose();

const before = [residentBytes(), cache.bytes];
for (let index = 0; index < many; index++) {
  const source: AdapterSource = { digest: `adapter ${index}`, load: () => startAdapter(adapter, base, index) };
  await cache.prefetch(source);
}
await new Promise((done) => setTimeout(done, 500));
const [rss, own] = [residentBytes() - before[0], cache.bytes - before[1]];
report(
  `${many} further adapters in memory`,
  `${(rss / 1e6).toFixed(0)} MB for ${(own / 1e6).toFixed(0)} MB of their own: ${(rss / own).toFixed(3)}`,
);
await cache.dispose();
await backend.dispose();
rmSync(scratch, { recursive: true });
