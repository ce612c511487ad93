import { describe, expect, it } from "vitest";
import type { LowrankError } from "../util/index.ts";
import { estimateMemory } from "./memory.ts";
import { planMemory, programShapes, settingsIn, type MemoryPlanOptions } from "./memory-plan.ts";
import { adaptedModel, tinyExamples } from "./model.fixture.ts";
import { nextToken } from "./losses/next-token.ts";
import { planEpoch } from "../data/index.ts";

const T = 32;
const { model, find, trainable, loss } = adaptedModel();
const subject = { model, find, trainable, loss, tokens: 1000 };
const shapesOf = (B: number): ReturnType<MemoryPlanOptions["shapesOf"]> => ({ training: [{ B, T, L: B * T } as never], evaluation: [] });
const options = { ...subject, batchSize: 1024, accumulate: 2, shapesOf };
const totalOf = (batchSize: number, recompute: boolean, chunk = 2 ** 19, keep = false): number =>
  estimateMemory({ ...subject, recompute, keep, chunk, accumulate: options.accumulate, ...shapesOf(batchSize) }).total;

describe("an estimate", () => {
  it("adds up, grows with the batch, and shrinks where layers are computed again", () => {
    const estimate = estimateMemory({ ...subject, ...shapesOf(4) });
    const { weights, activations, optimiser, overhead, total } = estimate;
    expect(weights + activations + optimiser + overhead).toBe(total);
    expect(optimiser % (4 * trainable.layout.size)).toBe(0);
    expect(totalOf(8, false)).toBeGreaterThan(totalOf(4, false));
    expect(totalOf(1024, true)).toBeLessThan(totalOf(1024, false));
  });

  it("holds one more gradient where those of several batches are summed", () => {
    const optimiserOf = (accumulate: number): number => estimateMemory({ ...subject, accumulate, ...shapesOf(4) }).optimiser;
    expect([2, 3].map((count) => optimiserOf(count) - optimiserOf(1))).toEqual([4 * trainable.layout.size, 4 * trainable.layout.size]);
  });

  it("adds programs of several sizes up, because each keeps its memory", () => {
    const [one, other] = [shapesOf(4).training, shapesOf(6).training];
    const activations = (training: typeof one, evaluation: typeof one = []): number =>
      estimateMemory({ ...subject, training, evaluation }).activations;
    expect(activations([...one, ...other])).toBe(activations(one) + activations(other));
    expect(activations(one, one)).toBeGreaterThan(activations(one));
  });
});

describe("a plan", () => {
  it.each<[string, number, object]>([
    ["with room for everything changes nothing", 1e9, { batchSize: 1024, accumulate: 2, recompute: false, keep: true }],
    [
      "cuts batches, whose number grows",
      totalOf(512, false, 2 ** 19, true),
      { batchSize: 512, accumulate: 4, recompute: false, keep: true },
    ],
    ["takes the largest batch that fits", totalOf(512, false, 2 ** 15, true) - 1, { batchSize: 256, accumulate: 8, recompute: false }],
  ])("%s", (_, limit, expected) => {
    const plan = planMemory({ ...options, limit });
    expect(plan).toMatchObject(expected);
    expect(plan.estimate.total).toBeLessThanOrEqual(limit);
    expect(plan.batchSize * plan.accumulate).toBe(2048);
    expect(settingsIn(plan)).not.toHaveProperty("estimate");
  });

  it("tries a few sizes alone where a batch has hundreds of divisors", () => {
    const tried = new Set<number>();
    const many = { ...options, recompute: true, batchSize: 720_720, shapesOf: (B: number) => (tried.add(B), shapesOf(B)) };
    expect(() => planMemory({ ...many, limit: 1 })).toThrow(/the smallest step takes about/);
    expect([tried.size, Math.min(...tried), Math.max(...tried)]).toEqual([16, 1, 720_720]);
  });

  it("makes values again, then layers, where small batches would cost more", () => {
    // A prime number of rows leaves one row at a time as the only smaller batch.
    const few = { ...options, batchSize: 1021, shapesOf: (B: number) => ({ training: [{ B, T: 8, L: B * 8 } as never], evaluation: [] }) };
    const once = estimateMemory({ ...subject, accumulate: 2, recompute: false, keep: false, ...few.shapesOf(1021) }).total;
    expect(planMemory({ ...few, limit: once })).toMatchObject({ batchSize: 1021, recompute: false, keep: false });
    const again = estimateMemory({ ...subject, accumulate: 2, recompute: true, ...few.shapesOf(1021) }).total;
    expect(planMemory({ ...few, limit: again })).toMatchObject({ batchSize: 1021, recompute: true });
  });

  it.each([true, false])("leaves what is asked for: layers computed again %s", (recompute) => {
    expect(planMemory({ ...options, recompute, limit: 1e9 })).toMatchObject({ batchSize: 1024, recompute });
  });

  it("leaves batches whole whose rows depend on each other", () => {
    const whole = { ...options, loss: { ...loss, spansBatch: true } };
    expect(planMemory({ ...whole, limit: totalOf(1024, true) })).toMatchObject({ batchSize: 1024, recompute: true });
    expect(() => planMemory({ ...whole, limit: totalOf(512, true) })).toThrow("Training does not fit");
  });

  it("refuses what nothing fits into, and names the least that does", () => {
    const error = (() => {
      try {
        return planMemory({ ...options, limit: 1e6 });
      } catch (thrown) {
        return thrown as LowrankError;
      }
    })() as LowrankError;
    expect(error.code).toBe("invalid-argument");
    expect(error.message).toMatch(/^Training does not fit into 1MB: the smallest step takes about (\d+)MB\. Give --memory-limit \1MB, /);
    const [, least] = /about (\d+)MB/.exec(error.message)!;
    expect(planMemory({ ...options, limit: Number(least) * 1e6 }).batchSize).toBeGreaterThan(0);
  });
});

it("programs have the sizes of the batches, each once", () => {
  const plans = planEpoch({
    examples: tinyExamples([5, 6, 7, 20, 20, 20]),
    batchSize: 2,
    maxLength: 32,
    order: "sequential",
    seed: 0,
    epoch: 0,
  });
  const shapes = programShapes(nextToken, plans);
  const keys = plans.map((plan) => JSON.stringify(nextToken.shapeOf(nextToken.kind.collate(plan))));
  expect(shapes.map((shape) => JSON.stringify(shape))).toEqual([...new Set(keys)]);
});
