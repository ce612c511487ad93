/** @file Index arithmetic for the plain-TypeScript kernels: strides and broadcasting. It knows nothing about ops. */
import { LowrankError, sizeOf } from "../util/index.ts";

/** Row-major strides in elements. */
export const stridesOf = (shape: readonly number[]): number[] => {
  const strides = Array.from<number>({ length: shape.length });
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
};

/** The shape that NumPy's rules give two operands. */
export const broadcastShape = (what: string, a: readonly number[], b: readonly number[]): number[] => {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1)
      throw new LowrankError("shape-mismatch", `${what}: shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast.`);
    return left === 1 ? right : left;
  });
};

/** Strides that walk `shape` broadcast to `target`: 0 along stretched axes. */
export const broadcastStrides = (shape: readonly number[], target: readonly number[]): number[] => {
  const strides = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((_, axis) => (axis < shift || shape[axis - shift] === 1 ? 0 : strides[axis - shift]));
};

/** For each element of `shape` in order, its offset under each list of strides. */
export const offsets = (shape: readonly number[], strides: readonly number[], start = 0): Int32Array => {
  const result = new Int32Array(sizeOf(shape));
  const index = shape.map(() => 0);
  let offset = start;
  for (let position = 0; position < result.length; position++) {
    result[position] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return result;
};
