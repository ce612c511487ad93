/**
 * @file Measures adapters that share one base of SmolLM2-135M's shapes (random weights): switching, cold starts, loading ahead, the memory of many, and mixed batches.
 * Run: npx tsx bench/switching.ts [adapters for memory] [rows] [tokens]
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { benchShapes, randomCheckpoint } from "../src/evaluate/bench/index.ts";
import {
  adapterCache,
  baseInference,
  batchDecoder,
  sampler,
  type AdapterCache,
  type AdapterLease,
  type Programs,
} from "../src/generate/index.ts";
import { adapterSources, openLibrary } from "../src/library/index.ts";
import { loadAdapter, loadedOn, loraConfig, planAdapter, saveAdapter, startAdapter, type StoredAdapter } from "../src/lora/index.ts";
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
const shop = join(scratch, "library");
/** Finds adapters that nobody has asked for yet. */
const newSources = () => {
  const options = { ...loadedOn(base, backend), library: shop };
  return adapterSources((directory) => loadAdapter(directory, base.model, options), options);
};
const sourceOf = newSources();
const folders = Array.from({ length: rows }, (_, index) => join(scratch, String(index)));
const library = await openLibrary(shop, { create: true });
for (const [seed, folder] of folders.entries()) {
  await saveAdapter(folder, base.model, await startAdapter(adapter, base, seed), base.digest);
  await library.add(folder, { name: `adapter-${seed}` });
}

const cache = adapterCache(backend, 4e9);
const programs: Programs = new Map();
const batch = batchDecoder(backend, baseInference(base), programs);
const greedy = sampler({ temperature: 0 });
const promptLength = 24;
const firstToken = async (lease: AdapterLease): Promise<void> => {
  const ids = prompt(promptLength);
  greedy.next(await batch.join(0, ids, [{ ...lease, weight: 1 }]), ids);
};

// Memory first, while nothing has been freed that others could take.
await firstToken(await cache.acquire(await sourceOf(folders[0])));
await batch.leave(0);
const before = [residentBytes(), cache.bytes];
let peak = 0;
for (let index = 0; index < many; index++) {
  const load = (): Promise<StoredAdapter> => loadAdapter(folders[index % rows], base.model, loadedOn(base, backend));
  await cache.prefetch({ digest: `adapter ${index}`, load });
  peak = Math.max(peak, residentBytes());
}
await new Promise((done) => setTimeout(done, 500));
const [rss, most, own] = [residentBytes() - before[0], peak - before[0], cache.bytes - before[1]];
report(
  `${many} further adapters in memory`,
  `${(rss / 1e6).toFixed(0)} MB (${(most / 1e6).toFixed(0)} MB while they are loaded) for ${(own / 1e6).toFixed(0)} MB of their own: ${(rss / own).toFixed(3)}`,
);

/** From an adapter's name to the first token, with a base that has answered before: its digest, its file, its factors, the prompt. */
const cold = async (references: readonly string[], before: (index: number) => void = () => undefined): Promise<number[]> => {
  const own: AdapterCache = adapterCache(backend, 4e9);
  const find = newSources();
  const times: number[] = [];
  for (const [index, reference] of references.entries()) {
    before(index);
    const ms = await timed(async () => firstToken(await own.acquire(await find(reference))));
    if (index > 0) times.push(ms); // the first one compiles
  }
  await batch.leave(0);
  await own.dispose();
  return times;
};
/** Has the system forget what it keeps of a file in memory; the file is written to disk. */
const forget = (index: number): void => {
  const { status, stderr } = spawnSync("dd", [`if=${join(folders[index], "adapter_model.safetensors")}`, "iflag=nocache", "count=0"]);
  if (status !== 0) throw new Error(String(stderr));
};
const ownBytes = 4 * adapter.layout.size;
report(`adapters of rank 16`, `${(ownBytes / 1e6).toFixed(1)} MB each`);
report(`cold folder to first token, prompt of ${promptLength}`, spread(await cold(folders)));
report("the same, the file not in the system's memory", spread(await cold(folders, forget)));
report("the same, by name from a library, which checks it", spread(await cold(folders.map((_, index) => `adapter-${index}`))));
library.close();
const leases: AdapterLease[] = [];
for (const folder of folders) leases.push(await cache.acquire(await sourceOf(folder)));
await firstToken(leases[0]);
const warm: number[] = [];
for (let round = 0; round < 8; round++) warm.push(await timed(() => firstToken(leases[round % rows])));
report("the same, adapter in memory", spread(warm));

/** Texts one after the other, each with an adapter that is read from disk: the next one's while this one is written, or when its turn comes. */
const inTurn = async (ahead: boolean): Promise<number> => {
  const own = adapterCache(backend, 4e9);
  const find = newSources();
  const sources = await Promise.all(folders.map(find));
  const ms = await timed(async () => {
    for (const [index, source] of sources.entries()) {
      const lease = await own.acquire(source);
      if (ahead) own.expect(sources.slice(index + 1, index + 2));
      await firstToken(lease);
      for (let step = 0; step < tokens; step++) await batch.step(new Map([[0, 1 + step]]));
      lease.release();
    }
  });
  await batch.leave(0);
  await own.dispose();
  return ms / sources.length;
};
await inTurn(false);
for (const ahead of [false, true])
  report(
    `a text of ${tokens} tokens, ${ahead ? "the next adapter loaded meanwhile" : "each adapter loaded first"}`,
    `${(await inTurn(ahead)).toFixed(0)} ms`,
  );

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

await cache.dispose();
await backend.dispose();
rmSync(scratch, { recursive: true });
