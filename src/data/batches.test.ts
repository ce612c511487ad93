import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { materialise, noLabel, type Batch, type BatchPlan } from "./batch.ts";
import { planEpoch, type EpochOptions } from "./batches.ts";
import { bucketBatches, bucketLengths } from "./bucket.ts";
import { supervisedCount, truncate, type Example } from "./example.ts";
import { packRows } from "./pack.ts";

const example = (ids: readonly number[], supervised: readonly number[], where = ""): Example => ({
  ids: Int32Array.from(ids),
  supervised: Uint8Array.from(supervised),
  where,
});

const plan = (examples: readonly Example[], rows: number[][], length: number, batchSize = rows.length): BatchPlan => ({
  examples,
  rows,
  batchSize,
  length,
});

describe("truncate", () => {
  it("keeps the first tokens", () => {
    const long = example([5, 6, 7], [0, 0, 1], "a");
    expect(truncate(long, 3)).toBe(long);
    expect(truncate(long, 2)).toEqual(example([5, 6], [0, 0], "a"));
    expect(supervisedCount(long)).toBe(1);
  });
});

describe("materialise", () => {
  it("puts the following token where it is supervised, never across documents, and leaves the rest empty", () => {
    const examples = [example([5, 6, 7], [0, 0, 1], "a"), example([8, 9], [0, 1], "b"), example([4, 3], [0, 1], "c")];
    expect(materialise(plan(examples, [[0, 1], [2]], 6, 3))).toEqual({
      rows: 3,
      length: 6,
      ids: Int32Array.of(5, 6, 7, 8, 9, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      positions: Int32Array.of(0, 1, 2, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      segments: Int32Array.of(1, 1, 1, 2, 2, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
      labels: Int32Array.from([-100, 7, -100, 9, -100, -100, 3, ...Array.from({ length: 11 }, () => -100)]),
      tokens: 7,
      supervised: 3,
      documents: 3,
      sources: ["a", "b", "c"],
    });
  });
});

describe("bucketLengths", () => {
  it.each([
    [1000, 1024, [256, 384, 512, 752, 1008]],
    [1000, 1000, [256, 384, 512, 752, 1000]],
    [128, 128, [32, 48, 64, 96, 128]],
    [20, 512, [16, 32]],
    [5, 6, [6]],
  ])("for examples of up to %d tokens and rows of %d", (longest, maxLength, lengths) => {
    expect(bucketLengths(longest, maxLength)).toEqual(lengths);
  });
});

describe("bucketBatches", () => {
  it("moves what fills no batch to the next longer bucket", () => {
    const sizes = [1, 5, 2, 9, 3, 1, 4];
    expect(bucketBatches(sizes.keys(), (index) => sizes[index], [4, 6, 10], 2)).toEqual([
      { length: 4, indices: [0, 2] },
      { length: 4, indices: [4, 5] },
      { length: 6, indices: [6, 1] },
      { length: 10, indices: [3] },
    ]);
  });
});

describe("packRows", () => {
  it("puts the longest first into the first row with room", () => {
    const sizes = [3, 7, 5, 2, 5, 1];
    expect(packRows([0, 1, 2, 3, 4, 5], (index) => sizes[index], 10)).toEqual([
      [1, 0],
      [2, 4],
      [3, 5],
    ]);
  });

  it("fills rows of 1,024 to 99.8 % with examples of 20 to 600 tokens", () => {
    const sizes = Array.from({ length: 3000 }, (_, index) => 20 + ((index * 7919) % 581));
    const rows = packRows(Array.from(sizes.keys()), (index) => sizes[index], 1024);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    expect([total, rows.length]).toEqual([929_594, 909]);
    expect(total / (rows.length * 1024)).toBeCloseTo(0.9987, 4);
  });
});

/** Every example's tokens name it: 1000 · index + position. */
const arbitraryExamples = (maxLength: number): fc.Arbitrary<Example[]> =>
  fc.array(fc.array(fc.nat(1), { minLength: 1, maxLength, size: "max" }), { minLength: 1, maxLength: 60 }).map((masks) =>
    masks.map((mask, index) =>
      example(
        mask.map((_flag, position) => 1000 * index + position),
        mask.map((flag, position) => (position === 0 ? 0 : flag)),
        `row ${index}`,
      ),
    ),
  );

/** Documents of a batch, read back from its arrays alone. */
const documentsOf = ({ rows, length, ids, positions, segments, labels }: Batch): Example[] => {
  const documents: Example[] = [];
  for (let row = 0; row < rows; row++) {
    let current: { ids: number[]; supervised: number[]; segment: number } | undefined;
    for (let at = row * length; at < (row + 1) * length; at++) {
      if (segments[at] === 0) {
        expect([ids[at], positions[at], labels[at]]).toEqual([0, 0, noLabel]);
        continue;
      }
      if (segments[at] !== current?.segment) {
        expect(segments[at]).toBe((current?.segment ?? 0) + 1);
        current = { ids: [], supervised: [0], segment: segments[at] };
        documents.push(current as unknown as Example);
      }
      expect(positions[at]).toBe(current.ids.length);
      current.ids.push(ids[at]);
      if (labels[at] !== noLabel) {
        expect([segments[at + 1], ids[at + 1]]).toEqual([segments[at], labels[at]]);
        expect(Math.floor(at / length)).toBe(Math.floor((at + 1) / length));
      }
      current.supervised.push(Number(labels[at] !== noLabel));
    }
  }
  return documents.map(({ ids, supervised }, index) => example([...ids], [...supervised].slice(0, ids.length), String(index)));
};

const byFirstId = (a: Example, b: Example): number => a.ids[0] - b.ids[0];
const unplaced = (examples: readonly Example[]): object[] =>
  [...examples].sort(byFirstId).map(({ ids, supervised }) => ({ ids, supervised }));

describe("planEpoch", () => {
  const arbitraryOptions = fc.record({
    examples: arbitraryExamples(40),
    batchSize: fc.integer({ min: 1, max: 5 }),
    maxLength: fc.integer({ min: 40, max: 90 }),
    pack: fc.boolean(),
    order: fc.constantFrom("shuffled" as const, "sequential" as const),
    seed: fc.nat(),
    epoch: fc.nat(9),
  });

  it("loses, doubles and mixes up nothing, whatever the packing and the order", () => {
    fc.assert(
      fc.property(arbitraryOptions, (options) => {
        const batches = planEpoch(options).map(materialise);
        expect(unplaced(batches.flatMap(documentsOf))).toEqual(unplaced(options.examples));
        const sum = (value: (batch: Batch) => number): number => batches.reduce((total, batch) => total + value(batch), 0);
        expect(sum(({ documents }) => documents)).toBe(options.examples.length);
        expect(sum(({ supervised }) => supervised)).toBe(options.examples.reduce((total, one) => total + supervisedCount(one), 0));
        expect(batches.flatMap(({ sources }) => sources).sort()).toEqual(options.examples.map(({ where }) => where).sort());
        for (const { rows, length, ids } of batches) {
          expect(rows).toBe(options.batchSize);
          expect(length).toBeLessThanOrEqual(options.maxLength);
          expect(ids.length).toBe(rows * length);
        }
      }),
    );
  });

  it("fills all batches but one, and uses at most five lengths, one if packed", () => {
    fc.assert(
      fc.property(arbitraryOptions, (options) => {
        const plans = planEpoch(options);
        expect(plans.filter(({ rows }) => rows.length < options.batchSize).length).toBeLessThanOrEqual(1);
        expect(new Set(plans.map(({ length }) => length)).size).toBeLessThanOrEqual(options.pack ? 1 : 5);
        expect(plans.every(({ rows }) => rows.length > 0)).toBe(true);
      }),
    );
  });

  const examples = Array.from({ length: 50 }, (_, index) => example([index, 1, 2], [0, 1, 1], `row ${index}`));
  const options: EpochOptions = { examples, batchSize: 4, maxLength: 12, seed: 7, epoch: 2 };
  const rowsOf = (options: EpochOptions): (readonly (readonly number[])[])[] => planEpoch(options).map(({ rows }) => rows);

  it.each([false, true])("gives the same plans for the same seed and epoch, and others for others (pack: %s)", (pack) => {
    const rows = rowsOf({ ...options, pack });
    expect(rowsOf({ ...options, pack })).toEqual(rows);
    expect(rowsOf({ ...options, pack, epoch: 3 })).not.toEqual(rows);
    expect(rowsOf({ ...options, pack, seed: 8 })).not.toEqual(rows);
  });

  it("keeps the order of examples of one length if asked", () => {
    expect(rowsOf({ ...options, order: "sequential" }).flat(2)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect(rowsOf(options).flat(2)).not.toEqual(Array.from({ length: 50 }, (_, index) => index));
  });

  it("packs four examples of three tokens into a row of twelve", () => {
    const plans = planEpoch({ ...options, pack: true });
    expect(plans.map(({ rows }) => rows.length)).toEqual([4, 4, 4, 1]);
    const documents = plans.flatMap(({ rows }) => rows.map((row) => row.length));
    expect(documents.sort((a, b) => a - b)).toEqual([2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
  });

  it("refuses examples that fit no row, and batches of no rows", () => {
    expect(() => planEpoch({ ...options, maxLength: 2 })).toThrow("row 0: An example has 3 tokens, more than the longest row of 2.");
    for (const batchSize of [0, 1.5]) expect(() => planEpoch({ ...options, batchSize })).toThrow(`from 1, not ${batchSize}`);
  });
});
