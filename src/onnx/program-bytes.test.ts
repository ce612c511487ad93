import { describe, expect, it } from "vitest";
import {
  add,
  cast,
  checkpoint,
  concat,
  exp,
  gradients,
  input,
  int8Matmul,
  multiply,
  pad,
  program,
  reshape,
  scalar,
  slice,
  sum,
  tanh,
  total,
  transpose,
  weight,
  type Tensor,
} from "../graph/index.ts";
import { mappedBytes, packedBytes, plannedBytes } from "./program-bytes.ts";

const size = 100;
const vector = 4 * size;
const x = input("x", [size]);
const y = input("y", [size]);

describe("bytes of planned buffers", () => {
  const chain = (from: Tensor, length: number): Tensor => (length === 0 ? from : tanh(chain(from, length - 1)));
  const turned = (from: Tensor): Tensor => transpose(from, [1, 0]);
  const small = turned(reshape(x, [10, 10]));
  const large = pad(small, 0, 0, 90); // (100, 10)
  const both = concat([large, large], 0); // (200, 10)

  it.each<[string, Record<string, Tensor>, number]>([
    ["an op's value, but not of an input", { z: chain(x, 1) }, vector],
    ["a chain, each in the memory of the one before, and its output", { z: chain(x, 5) }, 2 * vector],
    ["a chain of arithmetic, which is not made in place: two at a time", { z: exp(exp(exp(exp(x)))) }, 2 * vector],
    ["values that are needed again", { z: add(chain(x, 1), tanh(chain(x, 3))) }, 3 * vector],
    ["an operand that is needed later, which is not written over", { z: add(multiply(tanh(small), turned(small)), small) }, 4 * vector],
    ["a view together with what it shows", { z: add(chain(x, 1), reshape(reshape(chain(x, 1), [10, 10]), [size])) }, 3 * vector],
    ["outputs to the end", { a: chain(x, 1), b: chain(y, 1), c: chain(add(x, y), 2) }, 3 * vector],
    ["two of another shape at once, when the first is free", { z: both }, 30 * vector],
    ["the first as well, where a later one of its shape takes its memory over", { z: sum(slice(tanh(both), 0, 0, 10), [0]) }, 31 * vector],
  ])("are those of %s", (_, outputs, bytes) => {
    expect(plannedBytes(program(outputs))).toBe(bytes);
  });

  it("are fewer where values are made again for the gradient", () => {
    const layers = 6;
    const layer = (h: Tensor): Tensor => tanh(tanh(tanh(multiply(h, scalar(2)))));
    const stacked = (apply: (h: Tensor) => Tensor): number => {
      let h = x;
      for (let index = 0; index < layers; index++) h = apply(h);
      const [gradient] = gradients(total(h), [x]);
      return plannedBytes(program({ gradient: concat([gradient], 0) }));
    };
    const [kept, again] = [stacked(layer), stacked((h) => checkpoint(layer(h), [h]))];
    expect(kept).toBeGreaterThanOrEqual(3 * layers * vector);
    expect(again).toBeLessThan((layers + 9) * vector);
  });
});

describe("bytes of weights", () => {
  const w = weight("w", { path: "/base.safetensors", offset: 0, bytes: vector, dtype: "f32", shape: [size] });
  const eight = (name: string, shape: readonly number[]): Tensor =>
    weight(name, { path: "/base.safetensors", offset: 0, bytes: 100, dtype: "i8", shape });
  const scales = input("scales", [10]);
  const rows = input("rows", [2, 10]);

  it("that are mapped count once", () => {
    expect(mappedBytes(program({ a: add(x, w), b: multiply(y, w) }))).toBe(vector);
    expect(packedBytes(program({ a: add(x, w), b: multiply(y, w) }))).toBe(0);
  });

  it("count twice where they are packed for one op and read by another", () => {
    const shared = eight("shared", [10, 10]);
    const product = (weights: Tensor): Tensor => int8Matmul(rows, { weights, scales });
    expect(packedBytes(program({ a: product(shared) }))).toBe(0);
    expect(packedBytes(program({ a: product(shared), b: cast(shared, "f32") }))).toBe(100);
    expect(packedBytes(program({ a: product(eight("own", [10, 10])), b: cast(shared, "f32") }))).toBe(0);
  });
});
