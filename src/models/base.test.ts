import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { writeCheckpoint, type TensorSource } from "../formats/index.ts";
import { dtypes, sizeOf, type DType } from "../util/index.ts";
import { frozenModules, openBase, storedTensors, storedValues } from "./base.ts";
import { modelOf } from "./family.ts";

const folder = mkdtempSync(join(tmpdir(), "lowrank-base-"));
beforeAll(() => void vi.stubEnv("LOWRANK_CACHE", join(folder, "cache")));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const config = {
  model_type: "llama",
  vocab_size: 5,
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  tie_word_embeddings: true,
};
type Shapes = Record<string, readonly number[]>;
const shapes = (changes: Record<string, readonly number[] | undefined> = {}): Shapes => {
  const all = { ...Object.fromEntries(modelOf(config, "").parameters.map(({ name, shape }) => [name, shape])), ...changes };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, readonly number[]] => entry[1] !== undefined));
};

let count = 0;
/** A checkpoint of these shapes; every element of a tensor is the tensor's place in the list, or that of the one that it copies. */
const checkpoint = async (
  tensors: Shapes,
  dtype: DType = "f32",
  copies: Readonly<Record<string, string>> = {},
  written: object = config,
): Promise<string> => {
  const directory = join(folder, String(count++));
  const names = Object.keys(tensors);
  const sources = Object.entries(tensors).map(([name, shape]): TensorSource => ({
    name,
    dtype,
    shape,
    chunks: () => {
      const place = names.indexOf(copies[name] ?? name);
      // The upper half of a float32 is its bfloat16.
      const pattern = new Uint32Array(Float32Array.of(place).buffer)[0] >>> 16;
      const data = new dtypes[dtype].array(sizeOf(shape)).fill((dtype === "f32" ? place : pattern) as never);
      return [new Uint8Array(data.buffer)];
    },
  }));
  await writeCheckpoint(directory, { config: { ...written }, tensors: sources });
  return directory;
};

describe("a base", () => {
  it("maps every tensor of the model from its file", async () => {
    const directory = await checkpoint(shapes());
    const { weights, model, digest } = await openBase(directory);
    expect([...weights.keys()].toSorted()).toEqual(model.parameters.map(({ name }) => name).toSorted());
    expect(new Set(Array.from(weights.values(), ({ path }) => path))).toEqual(new Set([join(directory, "model.safetensors")]));
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it("is float32 whatever the file holds", async () => {
    const base = await openBase(await checkpoint(shapes(), "bf16"));
    expect(new Set(Array.from(base.weights.values(), ({ dtype }) => dtype))).toEqual(new Set(["f32"]));
    expect(await storedValues(base, "model.norm.weight")).toEqual(new Float32Array(4).fill(10));
  });

  it("may hold the tied head a second time, and buffers that nothing reads", async () => {
    const extra = { "lm_head.weight": [5, 4], "model.layers.0.self_attn.rotary_emb.inv_freq": [1] };
    const copies = { "lm_head.weight": "model.embed_tokens.weight" };
    const base = await openBase(await checkpoint(shapes(extra), "f32", copies));
    expect(storedTensors(base)("lm_head.weight")).toBeUndefined();
    const modules = frozenModules(base);
    expect(modules.tensor("lm_head.weight")).toBe(modules.tensor("model.embed_tokens.weight"));
  });

  it("has a head of its own where the file holds one with other values, whatever the configuration says", async () => {
    const base = await openBase(await checkpoint(shapes({ "lm_head.weight": [5, 4] })));
    const modules = frozenModules(base);
    expect(modules.tensor("lm_head.weight")).not.toBe(modules.tensor("model.embed_tokens.weight"));
    expect(await storedValues(base, "lm_head.weight")).toEqual(new Float32Array(20).fill(11));
    expect(base.model.parameters.at(-1)).toMatchObject({ name: "lm_head.weight", shape: [5, 4] });
  });

  it("may name its norms as BERT's first releases did, leave out the prefix, and hold other heads", async () => {
    const bert = { model_type: "bert", vocab_size: 5, hidden_size: 4, intermediate_size: 6, num_hidden_layers: 1, num_attention_heads: 2 };
    const labels = { predicts: "classes", labels: ["a", "b"] } as const;
    const named = modelOf(bert, "").parameters.filter(({ name }) => !/pooler|classifier/.test(name));
    const aged = (name: string): string =>
      name
        .replace(/^bert\./, "")
        .replace(/LayerNorm\.weight$/, "LayerNorm.gamma")
        .replace(/LayerNorm\.bias$/, "LayerNorm.beta");
    const stored = Object.fromEntries(named.map(({ name, shape }) => [aged(name), shape]));
    const directory = await checkpoint(
      { ...stored, "cls.predictions.bias": [5], "embeddings.position_ids": [1, 512] },
      "f32",
      {},
      {
        ...bert,
        architectures: ["BertForMaskedLM"],
      },
    );
    await expect(openBase(directory)).rejects.toThrow("The head of a BertForMaskedLM is not offered; offered: ForSequenceClassification.");
    const base = await openBase(directory, { classifier: labels });
    expect([...base.fresh]).toEqual(["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"]);
    expect(await storedValues(base, "classifier.bias")).toEqual(new Float32Array(2));
    const place = Object.keys(stored).indexOf("embeddings.LayerNorm.gamma");
    expect(await storedValues(base, "bert.embeddings.LayerNorm.weight")).toEqual(new Float32Array(4).fill(place));
  });

  it("gives one graph tensor for each stored one, and values under every name", async () => {
    const base = await openBase(await checkpoint(shapes()));
    const find = storedTensors(base);
    expect(find("model.norm.weight")).toBe(find("model.norm.weight"));
    expect(find("model.norm.weight")!.shape).toEqual([4]);
    expect(find("other")).toBeUndefined();
    expect(await storedValues(base, "lm_head.weight")).toEqual(await storedValues(base, "model.embed_tokens.weight"));
  });
});

describe("a checkpoint is refused", () => {
  it.each<[string, Record<string, readonly number[] | undefined>, string]>([
    ["without a tensor", { "model.norm.weight": undefined }, 'The checkpoint has no tensor "model.norm.weight".'],
    [
      "with a misshaped tensor",
      { "model.layers.0.mlp.up_proj.weight": [4, 6] },
      '"model.layers.0.mlp.up_proj.weight" is [4, 6] where the configuration makes it [6, 4].',
    ],
    [
      "with a tensor too many",
      { "model.layers.1.mlp.up_proj.weight": [6, 4] },
      'The tensor "model.layers.1.mlp.up_proj.weight" has no place in a llama',
    ],
    [
      "with a misshaped head beside the embedding that the configuration makes it",
      { "lm_head.weight": [6, 4] },
      '"lm_head.weight" is [6, 4] where the configuration makes it [5, 4].',
    ],
    ["with a bias that the configuration leaves out", { "lm_head.bias": [5] }, 'The tensor "lm_head.bias" has no place in a llama'],
  ])("%s", async (_, changes, message) => {
    const directory = await checkpoint(shapes(changes));
    await expect(openBase(directory)).rejects.toThrow(`${directory}: ${message}`);
  });
});

describe("experts that are stacked in newer checkpoints", () => {
  const mixtral = {
    ...config,
    model_type: "mixtral",
    num_key_value_heads: 1,
    num_local_experts: 3,
    tie_word_embeddings: false,
  };
  const [E, D, F] = [3, 4, 6];
  const block = "model.layers.0.block_sparse_moe";
  const rest = modelOf(mixtral, "").parameters.filter(({ name }) => !name.startsWith(block));
  const numbered = (name: string, shape: readonly number[]): TensorSource => ({
    name,
    dtype: "f32",
    shape,
    chunks: () => [new Uint8Array(Float32Array.from({ length: sizeOf(shape) }, (_, index) => index).buffer)],
  });
  const write = async (stacks: Shapes): Promise<string> => {
    const directory = join(folder, String(count++));
    const all = [...rest.map(({ name, shape }) => [name, shape] as const), ...Object.entries(stacks)];
    await writeCheckpoint(directory, { config: mixtral, tensors: all.map(([name, shape]) => numbered(name, shape)) });
    return directory;
  };
  const stacks = {
    "model.layers.0.mlp.gate.weight": [E, D],
    "model.layers.0.mlp.experts.gate_up_proj": [E, 2 * F, D],
    "model.layers.0.mlp.experts.down_proj": [E, D, F],
  };

  it("are found where they lie in the stack, by the names of released checkpoints", async () => {
    const base = await openBase(await write(stacks));
    expect([...base.weights.keys()].toSorted()).toEqual(base.model.parameters.map(({ name }) => name).toSorted());
    const from = async (name: string): Promise<[first: number, count: number]> => {
      const values = await storedValues(base, `${block}.${name}.weight`);
      expect([...values]).toEqual(Array.from(values, (_, index) => values[0] + index));
      return [values[0], values.length];
    };
    expect(await from("gate")).toEqual([0, E * D]);
    for (let expert = 0; expert < E; expert++) {
      expect(await from(`experts.${expert}.w1`)).toEqual([expert * 2 * F * D, F * D]);
      expect(await from(`experts.${expert}.w3`)).toEqual([(expert * 2 + 1) * F * D, F * D]);
      expect(await from(`experts.${expert}.w2`)).toEqual([expert * D * F, D * F]);
    }
  });

  it("are refused in another shape, and where they are not all there", async () => {
    const turned = await write({ ...stacks, "model.layers.0.mlp.experts.gate_up_proj": [E, D, 2 * F] });
    await expect(openBase(turned)).rejects.toMatchObject({
      code: "shape-mismatch",
      message: expect.stringContaining("[3, 4, 12] where the configuration makes it [3, 12, 4]") as string,
    });
    const { "model.layers.0.mlp.experts.down_proj": _, ...partial } = stacks;
    await expect(openBase(await write(partial))).rejects.toThrow(`The checkpoint has no tensor "${block}.experts.0.w2.weight"`);
  });
});
