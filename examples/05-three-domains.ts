/**
 * @file One base, three domains, three adapters: train a third beside the two that come along, switch between them, compose two, and count what each costs.
 * Run it with `npx tsx examples/05-three-domains.ts`; it takes a minute and writes to a temporary folder.
 */
import { mkdtemp, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadExamples, planBatches } from "../src/data/index.ts";
import { evaluateLoss } from "../src/evaluate/index.ts";
import { adaptedInference, baseInference } from "../src/generate/index.ts";
import { loadModel } from "../src/index.ts";
import { composeAdapters, type StoredAdapter, type WeightedAdapter } from "../src/lora/index.ts";
import { nextToken } from "../src/train/index.ts";

const assets = join(import.meta.dirname, "../assets");
const output = await mkdtemp(join(tmpdir(), "lowrank-domains-"));
const domains = ["pirate", "weather", "orders"];

const model = await loadModel(join(assets, "tiny"));
const { base, backend, tokenizer } = model;
const kilobytes = async (path: string): Promise<string> => `${((await stat(path)).size / 1000).toFixed(0)} kB`;

// Two adapters come along; the third is trained here, and written as PEFT reads it.
const train = async (domain: string): Promise<string> => {
  const adapter = await model.attach({ r: 16, lora_alpha: 32 });
  const data = join(assets, "data", domain, "train.jsonl");
  for await (const event of model.train({
    adapter,
    data,
    output: join(output, domain),
    maxSteps: 60,
    epochs: 10,
    learningRate: 5e-3,
    warmupSteps: 5,
  }))
    if (event.type === "run-end") console.log(`trained ${domain} in ${event.step} steps`);
  return join(output, domain);
};
const folders = new Map([
  ["pirate", join(assets, "adapters/pirate")],
  ["weather", join(assets, "adapters/weather")],
  ["orders", await train("orders")],
]);
const adapters = new Map<string, StoredAdapter>();
for (const domain of domains) adapters.set(domain, await model.loadAdapter(folders.get(domain)!));

// The base is there once; an adapter beside it is a small file.
console.log(`base: ${await kilobytes(join(assets, "tiny/model.safetensors"))}`);
for (const domain of domains) console.log(`${domain}: ${await kilobytes(join(folders.get(domain)!, "adapter_model.safetensors"))}`);

const heldOut = async (domain: string) => {
  const { kind } = nextToken;
  const { examples } = await loadExamples(kind, { path: join(assets, "data", domain, "valid.jsonl"), tokenizer, maxLength: 128 });
  const plans = planBatches(kind, {
    examples: examples.slice(0, 16),
    batchSize: 8,
    maxLength: 128,
    order: "sequential",
    seed: 0,
    epoch: 0,
  });
  return plans.map((plan) => kind.collate(plan));
};
const batches = new Map<string, Awaited<ReturnType<typeof heldOut>>>();
for (const domain of domains) batches.set(domain, await heldOut(domain));

/** Held-out losses of every domain with some adapters at work. */
const losses = async (weighted: readonly WeightedAdapter[]): Promise<string> => {
  const inference = weighted.length === 0 ? baseInference(base) : await adaptedInference(backend, base, weighted);
  const figures: string[] = [];
  for (const domain of domains) {
    const { loss } = await evaluateLoss(backend, { base, inference, loss: nextToken, batches: batches.get(domain)! });
    figures.push(`${domain} ${loss.toFixed(2)}`);
  }
  await inference.dispose();
  return figures.join(", ");
};
const one = (domain: string, weight = 1): WeightedAdapter => ({ ...adapters.get(domain)!, weight });

// Switching is choosing which adapters act: W stays where it is.
console.log(`\nheld-out losses\nbase alone: ${await losses([])}`);
for (const domain of domains) console.log(`with ${domain}: ${await losses([one(domain)])}`);

// Two at once, and the same as one adapter: their ranks side by side give the sum exactly.
const two = [one("pirate", 0.7), one("weather", 0.7)];
console.log(`with pirate and weather at 0.7: ${await losses(two)}`);
const composed = await composeAdapters(backend, base, two);
console.log(`composed into one of rank ${composed.stored.adapter.config.r}: ${await losses([{ ...composed.stored, weight: 1 }])}`);
const small = await composeAdapters(backend, base, two, { method: "svd", rank: 4 });
console.log(`brought to rank 4, ${(100 * small.energy).toFixed(0)} % of the energy: ${await losses([{ ...small.stored, weight: 1 }])}`);

await model.saveAdapter(join(output, "both"), composed.stored);
console.log(`written: ${await kilobytes(join(output, "both/adapter_model.safetensors"))}`);
await model.close();
