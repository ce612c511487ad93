import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { largestDifference } from "../../test/model-logits.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { readPeftAdapter } from "../formats/index.ts";
import { modelOf, openBase, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { adapterLabels } from "./adapter-labels.ts";
import { planAdapter, type Adapter } from "./adapter.ts";
import { loraConfig, type LoraConfig } from "./config.ts";
import { configForHead } from "./head.ts";
import { writeMergedCheckpoint } from "./merged-checkpoint.ts";
import { startAdapter } from "./start.ts";
import { loadAdapter, saveAdapter } from "./store.ts";

const spam = { predicts: "classes", labels: ["ham", "spam"] } as const;
let backend: Backend;
let folder: string;
let base: Base;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = ortBackend({ threads: 1 });
  folder = await tinyModel();
  base = await openBase(folder, { classifier: spam, seed: 3 });
});
afterAll(() => backend.dispose());

const plan = (config: Partial<LoraConfig>, of = base): Adapter => planAdapter(of.model, loraConfig(configForHead(of, config)));
const lowRank = ({ targets }: Adapter): string[] => [...new Set([...targets.keys()].map((module) => module.split(".").at(-1)!))];
const whole = ({ layout }: Adapter): string[] =>
  layout.slots.filter(({ role }) => role === "weight" || role === "bias").map(({ name }) => name);

describe("a new classifier on a language model's checkpoint", () => {
  it("starts by its seed, as the checkpoint's other tensors are, whose digest it does not change", async () => {
    const [other, same, plain] = await Promise.all([
      openBase(folder, { classifier: spam, seed: 4 }),
      openBase(folder, { classifier: spam, seed: 3 }),
      openBase(folder),
    ]);
    const values = await Promise.all([base, same, other].map((one) => storedValues(one, "score.weight")));
    expect(values[1]).toEqual(values[0]);
    expect(values[2]).not.toEqual(values[0]);
    const deviation = Math.hypot(...values[0]) / Math.sqrt(values[0].length);
    expect([values[0].length, deviation > 0.1 && deviation < 0.3]).toEqual([2 * 16, true]);
    expect([base.digest, [...base.fresh], [...plain.fresh]]).toEqual([plain.digest, ["score.weight"], []]);
    expect(base.model.config).toMatchObject({ architectures: ["LlamaForSequenceClassification"], id2label: { 0: "ham", 1: "spam" } });
  });

  it("is trained whole and left out of the low-rank targets", () => {
    for (const config of [{}, { target_modules: ["q_proj", "v_proj"] }, { target_modules: ["q_proj"], modules_to_save: ["score"] }]) {
      const adapter = plan(config);
      expect([adapter.config.task_type, adapter.config.modules_to_save, whole(adapter)]).toEqual(["SEQ_CLS", ["score"], ["score.weight"]]);
      expect(lowRank(adapter)).not.toContain("score");
    }
    expect(plan({ target_modules: ["q_proj"], modules_to_save: ["model.norm"] }).config.modules_to_save).toEqual(["model.norm", "score"]);
  });

  it.each([[["q_proj", "score"]], ["score"], [".*"]])("is no target: %j", (targets) => {
    expect(() => plan({ target_modules: targets })).toThrow('"score" is new, so an adapter that holds an update of it');
  });

  it("goes into the adapter, and from there onto another new one", async () => {
    const adapter = plan({ r: 2 });
    const started = await startAdapter(adapter, base, 1);
    const { parameters } = started;
    const score = adapter.layout.slots.find(({ name }) => name === "score.weight")!;
    expect(viewOf(parameters, score)).toEqual(await storedValues(base, "score.weight"));
    const output = await mkdtemp(join(tmpdir(), "lowrank-adapter-"));
    await saveAdapter(output, base.model, started, base.digest);
    expect((await readPeftAdapter(output)).config).toMatchObject({ task_type: "SEQ_CLS", modules_to_save: ["score"] });
    const other = await openBase(folder, { classifier: spam, seed: 9 });
    expect(await adapterLabels(output)).toEqual(spam);
    const loaded = await loadAdapter(output, other.model, { baseDigest: other.digest });
    expect(loaded.parameters).toEqual(parameters);
    await expect(loadAdapter(output, (await openBase(folder)).model, { baseDigest: base.digest })).rejects.toMatchObject({
      code: "adapter-mismatch",
      fix: "The adapter is for the task SEQ_CLS and the model's head for CAUSAL_LM: use a command, or a head, that is for SEQ_CLS.",
    });
  });

  it("comes along into a merged checkpoint, which is a classifier and leaves the language model's head behind", async () => {
    const untied = await openBase(await tinyModel({ tie_word_embeddings: false }), { classifier: spam });
    const adapter = plan({ r: 2 }, untied);
    const started = await startAdapter(adapter, untied, 1);
    const [merged, plain] = await Promise.all(
      [[{ ...started, weight: 1 }], []].map(async (adapters) => {
        const output = await mkdtemp(join(tmpdir(), "lowrank-merged-"));
        await writeMergedCheckpoint(backend, untied, adapters, output);
        return openBase(output);
      }),
    );
    for (const one of [merged, plain]) {
      expect([one.model.head.labels, one.weights.has("lm_head.weight"), one.fresh.size]).toEqual([["ham", "spam"], false, 0]);
      expect(largestDifference(await storedValues(one, "score.weight"), await storedValues(untied, "score.weight"))).toBe(0);
    }
    // It is no longer new, so that it can be a target.
    expect(lowRank(plan({ target_modules: ["score", "q_proj"] }, plain))).toEqual(["q_proj", "score"]);
    expect(whole(plan({ target_modules: ["score", "q_proj"] }, plain))).toEqual([]);
  });
});

describe("the labels of an adapter", () => {
  const golden = resolve(import.meta.dirname, "../../test/golden");

  it("are as many as its classifier has where PEFT wrote it, and none for another task", async () => {
    const [classes, none] = await Promise.all(
      ["distilbert-cls.all-linear", "llama.all-linear"].map((name) => adapterLabels(join(golden, name, "adapter"))),
    );
    expect([classes, none]).toEqual([{ labels: ["LABEL_0", "LABEL_1", "LABEL_2"], predicts: "classes" }, undefined]);
  });

  it("are kept for values too", async () => {
    const valued = await openBase(folder, { classifier: { predicts: "values", labels: ["stars"] } });
    const output = await mkdtemp(join(tmpdir(), "lowrank-adapter-"));
    await saveAdapter(output, valued.model, await startAdapter(plan({}, valued), valued, 1), valued.digest);
    expect(await adapterLabels(output)).toEqual({ predicts: "values", labels: ["stars"] });
  });
});

describe("other heads", () => {
  const encoder = { vocab_size: 9, num_hidden_layers: 1, hidden_size: 4, num_attention_heads: 2, intermediate_size: 6 };
  const distilbert = { vocab_size: 9, n_layers: 1, dim: 4, n_heads: 2, hidden_dim: 6 };
  it.each([
    { config: { model_type: "bert", ...encoder }, fresh: [], saved: ["classifier"], pooler: true },
    {
      config: { model_type: "bert", ...encoder },
      fresh: ["bert.pooler.dense.weight"],
      saved: ["classifier", "bert.pooler.dense"],
      pooler: false,
    },
    { config: { model_type: "roberta", ...encoder }, fresh: ["classifier.dense.bias"], saved: ["classifier"], pooler: false },
    {
      config: { model_type: "distilbert", ...distilbert },
      fresh: ["pre_classifier.bias"],
      saved: ["pre_classifier", "classifier"],
      pooler: false,
    },
  ])("of $config.model_type with $fresh new are saved as $saved", ({ config, fresh, saved, pooler }) => {
    const model = modelOf(config, "config.json");
    const adapter = plan({}, { model, fresh: new Set(fresh) } as unknown as Base);
    expect(adapter.config.modules_to_save).toEqual(saved);
    expect(adapter.targets.has("bert.pooler.dense")).toBe(pooler);
    expect([...adapter.targets.keys()].filter((module) => /classifier/.test(module))).toEqual([]);
  });

  it("for tokens ask for nothing but their task", async () => {
    const plain = await openBase(folder);
    expect(configForHead(plain, { r: 3 })).toEqual({ r: 3, task_type: "CAUSAL_LM", modules_to_save: null });
    expect(configForHead(plain, { task_type: null })).toEqual({ task_type: null, modules_to_save: null });
  });
});
