import { describe, expect, it } from "vitest";
import { planBatches } from "../batches.ts";
import { labelledKind, type LabelledExample } from "./labelled.ts";

const example = (ids: readonly number[], label: number, types: readonly number[] = ids.map(() => 0)): LabelledExample => ({
  ids: Int32Array.from(ids),
  types: Int32Array.from(types),
  label,
  where: `a.csv:${label}`,
});
const examples = [example([5, 6, 7], 1), example([8, 9], 0, [0, 1]), example([4], 2.5)];
const last = labelledKind({ classes: undefined, pool: (ids) => ids.length - 1 });
const first = labelledKind({ classes: undefined, pool: () => 0 });

describe("labelled rows", () => {
  it("hold a document each, with its label and the place of the token that stands for it", () => {
    const batch = last.collate({ examples, rows: [[0], [1]], batchSize: 2, length: 3 });
    expect(batch).toEqual({
      rows: 2,
      length: 3,
      ids: Int32Array.of(5, 6, 7, 8, 9, 0),
      types: Int32Array.of(0, 0, 0, 0, 1, 0),
      positions: Int32Array.of(0, 1, 2, 0, 1, 0),
      segments: Int32Array.of(1, 1, 1, 1, 1, 0),
      places: Int32Array.of(2, 4),
      labels: Float32Array.of(1, 0),
      tokens: 5,
      sources: ["a.csv:1", "a.csv:0"],
    });
    const rest = last.collate({ examples, rows: [[2]], batchSize: 2, length: 3 });
    expect([rest.ids.length, [...rest.places], [...rest.labels], rest.tokens]).toEqual([6, [0], [2.5], 1]);
  });

  it("hold several documents where they are packed", () => {
    const plans = planBatches(first, { examples, batchSize: 2, maxLength: 4, pack: true, order: "sequential", seed: 0, epoch: 0 });
    const [batch] = plans.map((plan) => first.collate(plan));
    expect([[...batch.segments], [...batch.places], [...batch.labels]]).toEqual([
      [1, 1, 1, 2, 1, 1, 0, 0],
      [0, 3, 4],
      [1, 2.5, 0],
    ]);
  });

  it("are other data where a label or a kind of token is another", () => {
    const contents = [examples[1], example([8, 9], 1, [0, 1]), example([8, 9], 0)].map((one) => last.contentOf(one).map(String).join());
    expect(new Set(contents).size).toBe(3);
  });
});
