import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { f32, sizeOf } from "../util/index.ts";
import { compact } from "./host.ts";
import { createResidents, storeRows } from "./residents.ts";

const numbered = (shape: readonly number[], first = 1) =>
  f32(
    Float32Array.from({ length: sizeOf(shape) }, (_, index) => first + index),
    shape,
  );

/** Row-major indices of a shape. */
const indicesOf = (shape: readonly number[]): number[][] =>
  shape.reduce<number[][]>((list, size) => list.flatMap((index) => Array.from({ length: size }, (_, next) => [...index, next])), [[]]);

const at = (shape: readonly number[], index: readonly number[]): number =>
  index.reduce((offset, place, axis) => offset * shape[axis] + place, 0);

describe("storeRows", () => {
  const places = fc
    .record({
      shape: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 4 }),
      more: fc.integer({ min: 0, max: 3 }),
      rows: fc.tuple(fc.nat(2), fc.nat(2)),
      chance: fc.array(fc.nat(), { minLength: 3, maxLength: 3 }),
    })
    .chain(({ shape, more, rows, chance }) =>
      fc.record({
        shape: fc.constant(shape),
        more: fc.constant(more),
        rows: fc.constant(rows),
        chance: fc.constant(chance),
        axis: fc.integer({ min: 1, max: shape.length - 1 }),
      }),
    );

  it("writes each element at its place and no other", () => {
    fc.assert(
      fc.property(places, ({ shape, more, rows: [before, behind], chance, axis }) => {
        const source = numbered(shape);
        const [leading, ...rest] = shape.map((size, index) => (index === axis ? size + more : size));
        const targetShape = [before + leading + behind, ...rest];
        const target = numbered(targetShape, -1000);
        const offsets = Array.from({ length: shape[0] }, (_, row) => chance[row] % (more + 1));
        const expected = target.data.slice();
        for (const index of indicesOf(shape)) {
          const moved = index.map((place, each) => (each === 0 ? before + place : each === axis ? place + offsets[index[0]] : place));
          expected[at(targetShape, moved)] = source.data[at(shape, index)];
        }
        storeRows(source, target, { axis, row: before, offsets });
        expect(target.data).toEqual(expected);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe("residents", () => {
  it("never give a number out twice", () => {
    const residents = createResidents();
    const first = residents.add(f32([1]));
    residents.release(first);
    const second = residents.add(f32([2]));
    expect(second.id).not.toBe(first.id);
    expect(() => residents.get(first)).toThrow(/after its release/);
    expect(residents.get(second)).toEqual(f32([2]));
  });
});

describe("compact", () => {
  it("leaves a tensor alone that fills its buffer, and copies a view", () => {
    const whole = f32([1, 2, 3]);
    expect(compact(whole).data).toBe(whole.data);
    const view = f32((whole.data as Float32Array).subarray(1));
    const copy = compact(view);
    expect(copy).toEqual(f32([2, 3]));
    expect(copy.data.buffer.byteLength).toBe(8);
    const pooled = compact({ dtype: "u8", shape: [2], data: Buffer.from([7, 8]) });
    expect(pooled.data.buffer.byteLength).toBe(2);
    expect([...(pooled.data as Uint8Array)]).toEqual([7, 8]);
  });

  it("drops whatever else an object carries", () => {
    const tensor = { ...f32([1]), release: () => {} };
    expect(Object.keys(compact(tensor))).toEqual(["dtype", "shape", "data"]);
  });
});
