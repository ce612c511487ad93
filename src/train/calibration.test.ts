import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countingBackend } from "../../test/counting-backend.ts";
import { tinyModel } from "../../test/tiny-model.ts";
import { loraConfig, planAdapter, type AdapterTarget, type InputMoments, type InputOptions } from "../lora/index.ts";
import { openBase, storedTensors, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { calibrationOf } from "./calibration.ts";
import type { LabelledRows } from "./feeds.ts";
import type { TrainingBatch } from "./losses/loss.ts";
import { nextToken } from "./losses/next-token.ts";
import { trainingRunner } from "./programs.ts";
import { trainableModel } from "./trainable.ts";

const backend = countingBackend(ortBackend({ threads: 1 }));
let bases: Readonly<Record<"whole" | "rounded", Base>>;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  const model = await tinyModel({ vocab_size: 29, num_hidden_layers: 2 });
  bases = { whole: await openBase(model), rounded: await openBase(model, { precision: "int8" }) };
});
afterAll(() => {
  expect(backend.held()).toEqual({ residents: 0, programs: 0 });
  return backend.dispose();
});

/** Two rows, the second with padding; the labels are −100 where the token that follows is not learned. */
const batchOf = (length: number, seed: number): LabelledRows & TrainingBatch => {
  const size = 2 * length;
  const segments = Int32Array.from({ length: size }, (_, index) => Number(index < size - 2));
  const ids = Int32Array.from(segments, (segment, index) => (segment === 0 ? 0 : 1 + ((7 * index + seed) % 28)));
  const labels = Int32Array.from(ids, (_, index) =>
    index % length > 1 && index % length < length - 1 && segments[index + 1] === 1 ? ids[index + 1] : -100,
  );
  return { rows: 2, length, ids, positions: Int32Array.from(ids, (_, index) => index % length), segments, labels, tokens: size - 2 };
};
const batches = [batchOf(8, 1), batchOf(12, 2), batchOf(8, 3)];

const targetsOf = (names: string[]): AdapterTarget[] => [
  ...planAdapter(bases.whole.model, loraConfig({ target_modules: names })).targets.values(),
];

const collected = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

describe("moments of inputs", () => {
  /** What the first layer's queries read: the tokens' embeddings, normalised. */
  const readBy = async (batch: LabelledRows): Promise<Float64Array[]> => {
    const table = await storedValues(bases.whole, "model.embed_tokens.weight");
    const gain = await storedValues(bases.whole, "model.layers.0.input_layernorm.weight");
    return Array.from(batch.ids, (id) => {
      const row = Float64Array.from(table.subarray(16 * id, 16 * id + 16));
      const size = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / 16 + 1e-5);
      return row.map((value, index) => (value / size) * gain[index]);
    });
  };

  const momentsOf = async (options: InputOptions): Promise<InputMoments> => {
    const calibration = calibrationOf({ backend, base: bases.whole, loss: nextToken, batches });
    return (await collected(calibration.inputs(targetsOf(["layers.0.self_attn.q_proj"]), options)))[0];
  };

  it.each<[string, InputOptions, (batch: LabelledRows, index: number) => boolean, boolean]>([
    ["all tokens but padding", { rows: "all", scale: "none" }, ({ segments }, index) => segments[index] > 0, false],
    [
      "the tokens that are learned, each predicted by the one before it",
      { rows: "supervised", scale: "none" },
      ({ length, labels }, index) => index % length > 0 && labels[index - 1] >= 0,
      false,
    ],
    ["divided by each batch's largest", { rows: "all", scale: "largest" }, ({ segments }, index) => segments[index] > 0, true],
  ])("are those of %s", async (_, options, counts, isDivided) => {
    const moments = await momentsOf(options);
    const second = new Float64Array(256);
    const sum = new Float64Array(16);
    let rows = 0;
    for (const batch of batches) {
      const read = (await readBy(batch)).filter((_row, index) => counts(batch, index));
      const largest = isDivided ? Math.max(...read.flatMap((row) => [...row])) : 1;
      for (const row of read) {
        rows++;
        row.forEach((value, i) => {
          sum[i] += value / largest;
          row.forEach((other, j) => (second[16 * i + j] += (value * other) / largest ** 2));
        });
      }
    }
    expect([moments.rows, moments.batches]).toEqual([rows, 3]);
    moments.second.forEach((value, index) => expect(value).toBeCloseTo(second[index], 3));
    moments.sum.forEach((value, index) => expect(value).toBeCloseTo(sum[index], 3));
  });

  it("are the same object for modules that read the same", async () => {
    const targets = targetsOf(["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj"]);
    const all = await collected(
      calibrationOf({ backend, base: bases.whole, loss: nextToken, batches }).inputs(targets, { rows: "all", scale: "none" }),
    );
    const firsts = all.map((moments) => all.indexOf(moments));
    expect(firsts).toEqual([0, 0, 2, 3, 3, 5, 5, 7, 8, 8]);
  });

  it("come for every module, in order, the head too", async () => {
    const targets = targetsOf(["up_proj", "lm_head", "q_proj", "down_proj"]);
    const calibration = calibrationOf({ backend, base: bases.whole, loss: nextToken, batches });
    const all = await collected(calibration.inputs(targets, { rows: "all", scale: "none" }));
    expect(all.map(({ second }) => second.length)).toEqual(targets.map(({ inFeatures }) => inFeatures ** 2));
    all.forEach(({ second }, index) => {
      const { inFeatures } = targets[index];
      for (let i = 0; i < inFeatures; i++) {
        expect(second[i * (inFeatures + 1)]).toBeGreaterThan(0);
        for (let j = 0; j < i; j++) expect(second[i * inFeatures + j]).toBeCloseTo(second[j * inFeatures + i], 3);
      }
    });
  });
});

it("refuses batches that are no rows, and modules that do not read every token", async () => {
  const inputs = (batches: readonly TrainingBatch[], targets: AdapterTarget[]) =>
    collected(calibrationOf({ backend, base: bases.whole, loss: nextToken, batches }).inputs(targets, { rows: "all", scale: "none" }));
  await expect(inputs([{ tokens: 3 }], targetsOf(["q_proj"]))).rejects.toThrow('the examples of the loss "next-token" are none');
  const [target] = targetsOf(["q_proj"]);
  await expect(inputs(batches, [{ ...target, module: "model.layers.0.mlp.experts.1.up_proj" }])).rejects.toThrow(
    "model.layers.0.mlp.experts.1.up_proj: This start looks at what modules read of each token",
  );
});

describe("gradients of weights", () => {
  it.each(["whole", "rounded"] as const)("are the mean over batches of what training every parameter has: %s base", async (which) => {
    const targets = targetsOf(["q_proj", "down_proj"]);
    const calibration = calibrationOf({ backend, base: bases[which], loss: nextToken, batches });
    const found = await collected(calibration.gradients(targets));
    const { model } = bases.whole;
    const trainable = trainableModel(model);
    const parameters = new Float32Array(trainable.layout.size);
    for (const slot of trainable.layout.slots) viewOf(parameters, slot).set(await storedValues(bases.whole, slot.name));
    const runner = trainingRunner(backend, { model, find: storedTensors(bases.whole), trainable, loss: nextToken });
    const wanted = new Float64Array(trainable.layout.size);
    for (const batch of batches) {
      const { gradient, weight } = await runner.run(batch, parameters, 0, 0);
      gradient.forEach((value, index) => (wanted[index] += value / weight / 3));
    }
    await runner.dispose();
    targets.forEach(({ module }, index) => {
      const slot = trainable.layout.slots.find(({ name }) => name === `${module}.weight`)!;
      expect(found[index].shape).toEqual(slot.shape);
      found[index].data.forEach((value, place) => expect(Number(value)).toBeCloseTo(wanted[slot.offset + place], 6));
    });
  });
});
