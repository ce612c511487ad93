import { readdirSync } from "node:fs";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyModel } from "../test/tiny-model.ts";
import { readJsonObject } from "./formats/index.ts";
import { openLibrary } from "./library/index.ts";
import { loadModel, type LanguageModel, type TextOptions } from "./language-model.ts";
import type { StoredAdapter } from "./lora/index.ts";
import { dpo, lossNamed, type TrainEvent } from "./train/index.ts";

let folder: string;
let place: string;
let model: LanguageModel;
beforeAll(async () => {
  place = await mkdtemp(join(tmpdir(), "lowrank-library-"));
  process.env["LOWRANK_CACHE"] = join(place, "cache");
  folder = await tinyModel({ max_position_embeddings: 48 });
  const rows = ["cat", "dog", "boat", "tree"].map((thing) => ({
    prompt: `Tom saw a ${thing}.`,
    completion: ` He took the ${thing} home.`,
  }));
  await writeFile(join(place, "rows.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  model = await loadModel(folder, { threads: 1 });
});
afterAll(() => model.close());

const recipe = { maxSteps: 12, epochs: 12, batchSize: 4, learningRate: 2e-2 };

const train = async (options: Omit<Parameters<LanguageModel["train"]>[0], "data" | "output">, output: string): Promise<TrainEvent[]> => {
  const events: TrainEvent[] = [];
  for await (const event of model.train({ ...recipe, ...options, data: join(place, "rows.jsonl"), output: join(place, output) }))
    events.push(event);
  return events;
};
const lossesOf = (events: readonly TrainEvent[]): number[] => events.flatMap((event) => (event.type === "step-end" ? [event.loss] : []));

const write = async (from: LanguageModel, options: TextOptions = {}): Promise<string> => {
  let text = "";
  for await (const piece of from.generate("Tom saw a cat.", { temperature: 0, maxTokens: 10, ...options })) text += piece;
  return text;
};

describe("an adapter from start to end", () => {
  let adapter: StoredAdapter;
  let events: TrainEvent[];
  beforeAll(async () => {
    adapter = await model.attach({ r: 4, lora_alpha: 8 }, 3);
    events = await train({ adapter }, "adapter");
  });

  it("starts as the seed says, without effect", async () => {
    const [one, same, other] = await Promise.all([3, 3, 4].map((seed) => model.attach({ r: 4 }, seed)));
    expect(same.parameters).toEqual(one.parameters);
    expect(other.parameters).not.toEqual(one.parameters);
    expect(one.adapter.config).toMatchObject({ r: 4, lora_alpha: 8, base_model_name_or_path: folder });
    expect(await write(model, { adapters: [{ ...one, weight: 1 }] })).toBe(await write(model));
  });

  it.each(["eva", "corda", "lora_ga"] as const)("starts from data, without effect, and learns as well: %s", async (start) => {
    const data = join(place, "rows.jsonl");
    const config = { r: 4, lora_alpha: 8, init_lora_weights: start };
    await expect(model.attach(config, 3)).rejects.toThrow("This start is made from data, and there are none.");
    const [one, same] = [await model.attach(config, 3, { data, batches: 1 }), await model.attach(config, 3, { data, batches: 1 })];
    expect(same.parameters).toEqual(one.parameters);
    expect(await write(model, { adapters: [{ ...one, weight: 1 }] })).toBe(await write(model));
    const losses = lossesOf(await train({ adapter: one }, start));
    expect(losses[0] - losses.at(-1)!).toBeGreaterThan(0.5);
    const adapters = [{ ...(await model.loadAdapter(join(place, start))), weight: 1 }];
    expect(await write(model, { adapters })).toBe(await write(model, { adapters: [{ ...one, weight: 1 }] }));
  });

  it.each(["eva", "lora_ga"] as const)("starts from pairs of answers as well: %s", async (start) => {
    const data = join(place, "pairs.jsonl");
    await writeFile(data, JSON.stringify({ prompt: "Tom saw", chosen: " a cat.", rejected: " a dog and a boat." }));
    const config = { r: 1, target_modules: ["q_proj"], init_lora_weights: start };
    expect((await model.attach(config, 0, { data, loss: lossNamed("dpo") })).parameters.some((value) => value !== 0)).toBe(true);
  });

  it("tells of its training in events", () => {
    const kinds = events.map(({ type }) => type);
    expect([kinds[0], kinds[1], kinds.at(-2), kinds.at(-1)]).toEqual(["run-start", "data-ready", "checkpoint-saved", "run-end"]);
    // Rows are no longer than the model's positions.
    expect(events[0]).toMatchObject({ plan: { method: "lora", steps: 12, sequenceLength: 48, trainable: adapter.adapter.layout.size } });
    const losses = lossesOf(events);
    expect(losses).toHaveLength(12);
    expect(losses[0] - losses.at(-1)!).toBeGreaterThan(2);
  });

  it("ends up trained in memory and in its folder alike, and says so beside the base and folded in", async () => {
    const stored = await model.loadAdapter(join(place, "adapter"));
    expect(stored.parameters).toEqual(adapter.parameters);
    const text = await write(model, { adapters: [{ ...adapter, weight: 1 }] });
    expect(text).not.toBe(await write(model));
    for (const options of [{ merge: true }, { merge: false }])
      expect(await write(model, { ...options, adapters: [{ ...stored, weight: 1 }] })).toBe(text);
  });

  it("is the same file when it is saved again", async () => {
    await model.saveAdapter(join(place, "again"), adapter);
    for (const name of ["adapter_config.json", "adapter_model.safetensors"])
      expect(await readFile(join(place, "again", name))).toEqual(await readFile(join(place, "adapter", name)));
  });

  it("is found in a library by its name", async () => {
    const folder = join(place, "library");
    const library = await openLibrary(folder, { create: true });
    await library.add(join(place, "adapter"), { name: "mine" });
    library.close();
    expect((await model.loadAdapter("mine@1", { library: folder })).parameters).toEqual(adapter.parameters);
    await expect(model.loadAdapter("mine@2", { library: folder })).rejects.toMatchObject({ code: "not-found" });
  });

  it("becomes a model of its own when it is merged", async () => {
    const adapters = [{ ...adapter, weight: 1 }];
    await model.merge(join(place, "merged"), adapters);
    const merged = await loadModel(join(place, "merged"), { threads: 1 });
    expect(await write(merged)).toBe(await write(model, { adapters }));
    // An adapter records its base, and this is another one.
    await expect(merged.loadAdapter(join(place, "adapter"))).rejects.toMatchObject({ code: "adapter-mismatch" });
    expect((await merged.loadAdapter(join(place, "adapter"), { allowOtherBase: true })).parameters).toEqual(adapter.parameters);
    await merged.close();
  });

  it("can be merged as half the bytes", async () => {
    await model.merge(join(place, "half"), [{ ...adapter, weight: 1 }], { dtype: "bf16" });
    expect(await readJsonObject(join(place, "half", "config.json"))).toMatchObject({ torch_dtype: "bfloat16" });
  });

  it("is not trained into a folder that holds another run", async () => {
    await expect(train({ adapter }, "adapter")).rejects.toThrow("The folder holds the checkpoints of another run.");
  });
});

describe("training", () => {
  it("without an adapter changes the whole model, which is written as one", async () => {
    const losses = lossesOf(await train({ learningRate: 1e-2 }, "full"));
    expect(losses.at(-1)!).toBeLessThan(losses[0] / 2);
    const trained = await loadModel(join(place, "full"), { threads: 1 });
    expect(trained.base.digest).not.toBe(model.base.digest);
    expect(await write(trained)).not.toBe(await write(model));
    await trained.close();
  });

  it.each(["an adapter", "a whole model"])("on pairs raises the chosen answers of %s over its stored base's", async (what) => {
    const pairs = join(place, "pairs.jsonl");
    const rows = ["cat", "dog", "boat", "tree"].map((thing) => ({
      prompt: `Tom saw a ${thing}.`,
      chosen: ` He took the ${thing} home.`,
      rejected: ` The ${thing} was bad.`,
    }));
    await writeFile(pairs, rows.map((row) => JSON.stringify(row)).join("\n"));
    const adapter = what === "an adapter" ? { adapter: await model.attach() } : {};
    const options = { ...recipe, ...adapter, data: pairs, evalData: pairs, loss: dpo({ beta: 0.5 }), learningRate: 5e-3 };
    const metrics: Readonly<Record<string, number>>[] = [];
    for await (const event of model.train({ ...options, output: join(place, `preferred ${what}`) }))
      if (event.type === "eval-end") metrics.push(event.metrics);
    expect(metrics[0]).toMatchObject({ margin: 0, accuracy: 0, chosenReward: 0, rejectedReward: 0 });
    expect(metrics[1]["margin"]).toBeGreaterThan(1);
    expect(metrics[1]["accuracy"]).toBe(1);
  });

  it("measures held-out data before and after", async () => {
    const events = await train({ adapter: await model.attach(), evalData: join(place, "rows.jsonl") }, "measured");
    const losses = events.flatMap((event) => (event.type === "eval-end" ? [event.loss] : []));
    expect(losses).toHaveLength(2);
    expect(losses[1]).toBeLessThan(losses[0]);
  });

  it("that is left in the middle frees what it holds", async () => {
    const compile = vi.spyOn(model.backend, "compile");
    const dispose: ReturnType<typeof vi.fn>[] = [];
    compile.mockImplementation(async () => {
      const end = vi.fn(() => Promise.resolve());
      dispose.push(end);
      return { run: () => Promise.reject(new Error("not reached")), dispose: end };
    });
    for await (const event of model.train({
      ...recipe,
      adapter: await model.attach(),
      data: join(place, "rows.jsonl"),
      output: join(place, "left"),
    }))
      if (event.type === "compile-end") break;
    compile.mockRestore();
    expect(dispose).toHaveLength(1);
    expect(dispose[0]).toHaveBeenCalledOnce();
  });
});

describe("generating", () => {
  it("frees adapters and programs after every text, also one that is left in the middle", async () => {
    const adapters = [{ ...(await model.attach()), weight: 1 }];
    const uploads = vi.spyOn(model.backend, "upload");
    const allocations = vi.spyOn(model.backend, "allocate");
    const releases = vi.spyOn(model.backend, "release");
    await write(model, { adapters, maxTokens: 2 });
    for await (const piece of model.generate("Tom", { adapters, temperature: 0 })) {
      expect(piece).not.toBe("");
      break;
    }
    // Two factors for each of 14 modules, and keys and values of two layers, twice.
    expect(uploads).toHaveBeenCalledTimes(2 * 28);
    expect(allocations).toHaveBeenCalledTimes(2 * 4);
    expect(releases).toHaveBeenCalledTimes(2 * (28 + 4));
    vi.restoreAllMocks();
  });

  it("says what is wrong with a prompt", async () => {
    await expect(write(model, { stop: [""] })).rejects.toThrow("A stop string is empty");
    await expect(async () => {
      for await (const _ of model.generate("Tom saw a cat. ".repeat(20))) break;
    }).rejects.toThrow(/The prompt has \d+ tokens, and the model takes 48 with the answer\./);
  });

  it("ends with the model", async () => {
    const other = await loadModel(folder, { threads: 1 });
    await other.close();
    await other.close();
    await expect(write(other)).rejects.toThrow("The backend has been disposed.");
  });
});

describe("switching", () => {
  let names: readonly string[];
  let alone: readonly string[];
  const weights = [{ 0: 1 }, { 1: 1 }, { 0: 0.5, 1: 1 }] as const;
  beforeAll(async () => {
    names = ["switch-a", "switch-b"].map((name) => join(place, name));
    for (const [seed, name] of names.entries())
      await model.saveAdapter(name, await model.attach({ r: 2 + seed, lora_alpha: 8, init_lora_weights: false }, seed));
    const stored = await Promise.all(names.map((name) => model.loadAdapter(name)));
    const written: string[] = [];
    for (const each of weights) {
      const adapters = Object.entries(each).map(([index, weight]) => ({ ...stored[Number(index)], weight }));
      written.push(await write(model, { adapters }));
    }
    alone = written;
    expect(new Set(alone).size).toBe(3);
  });
  const choose = (from: LanguageModel, index: number): Promise<void> =>
    from.use(...Object.entries(weights[index]).map(([which, weight]) => ({ adapter: names[Number(which)], weight })));

  it("between adapters that are in memory uploads and compiles nothing, and texts under way keep theirs", async () => {
    const other = await loadModel(folder, { threads: 1 });
    const plain = await write(other);
    const texts = async (): Promise<string[]> => {
      const each: Promise<string>[] = [];
      for (const index of weights.keys()) {
        await choose(other, index);
        each.push(write(other));
      }
      await other.use();
      return Promise.all([...each, write(other)]);
    };
    expect(await texts()).toEqual([...alone, plain]);
    for (const index of weights.keys()) {
      await choose(other, index);
      expect(await write(other)).toBe(alone[index]);
    }
    const writes = vi.spyOn(other.backend, "write");
    const compile = vi.spyOn(other.backend, "compile");
    for (const index of weights.keys()) {
      await choose(other, index);
      expect(await write(other)).toBe(alone[index]);
    }
    expect([writes, compile].map(({ mock }) => mock.calls.length)).toEqual([0, 0]);
    await other.use();
    expect(await write(other)).toBe(plain);
    // A text that names its adapters gets those, and one that names none on purpose gets none.
    await choose(other, 0);
    expect(await write(other, { adapters: [] })).toBe(plain);
    await other.close();
  });

  it("goes row by row in many texts, with adapters that cannot be mixed as well", async () => {
    const other = await loadModel(folder, { threads: 1 });
    const dora = join(place, "switch-rows");
    await other.saveAdapter(dora, await other.attach({ r: 2, use_dora: true, init_lora_weights: false }));
    const kinds = [undefined, [], [names[1]], [dora], [{ adapter: names[0], weight: 0.5 }, names[1]]];
    await choose(other, 0);
    const requests = kinds.map((adapters) => ({ prompt: "Tom saw a cat.", ...(adapters && { adapters }) }));
    const expected = [alone[0], await write(other, { adapters: [] }), alone[1]];
    expected.push(await write(other, { adapters: [{ ...(await other.loadAdapter(dora)), weight: 1 }] }), alone[2]);
    expect(await other.generateAll(requests, { temperature: 0, maxTokens: 10 })).toEqual(expected);
    await other.close();
  });

  it("reads a folder anew whose adapter has changed", async () => {
    const other = await loadModel(folder, { threads: 1 });
    const name = join(place, "switch-c");
    await other.saveAdapter(name, await other.loadAdapter(names[0]));
    await other.use(name);
    expect(await write(other)).toBe(alone[0]);
    await other.saveAdapter(name, await other.loadAdapter(names[1]));
    await other.use(name);
    expect(await write(other)).toBe(alone[1]);
    await other.close();
  });

  it("refuses what is not there, belongs to another base, or cannot be mixed, and keeps what was chosen", async () => {
    const other = await loadModel(folder, { threads: 1 });
    await choose(other, 0);
    const dora = join(place, "switch-dora");
    await other.saveAdapter(dora, await other.attach({ r: 2, use_dora: true, init_lora_weights: false }));
    await expect(other.use(names[1], dora)).rejects.toMatchObject({ code: "unsupported" });
    const foreign = await loadModel(await tinyModel({ max_position_embeddings: 48 }, 2), { threads: 1 });
    await expect(foreign.use(names[0])).rejects.toMatchObject({ code: "adapter-mismatch" });
    await foreign.close();
    expect(await write(other)).toBe(alone[0]);
    await other.close();
  });
});

it("leaves no half-written file", () => {
  const files = readdirSync(place, { recursive: true, encoding: "utf8" });
  expect(files.length).toBeGreaterThan(20);
  expect(files.filter((name) => name.endsWith(".partial"))).toEqual([]);
});
