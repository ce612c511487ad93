/** @file A large matrix as what it does to a few vectors; the products run on a backend, where it stays mapped from its file. It knows no decomposition. */
import { input, matmul, program, type Tensor } from "../../graph/index.ts";
import type { Backend, Executable, Feed } from "../../runtime/index.ts";
import { f32, LowrankError, type HostTensor } from "../../util/index.ts";
import { combine, dots, fromRows, rowsOf, turned, unitVectors, type Vectors } from "./vectors.ts";

/** M (outFeatures, inFeatures), as checkpoints hold W. */
export interface Operator {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** M·x for each x of length in. */
  forward(vectors: Vectors): Promise<Float64Array[]>;
  /** Mᵀ·y for each y of length out. */
  adjoint(vectors: Vectors): Promise<Float64Array[]>;
  dispose(): Promise<void>;
}

export interface GraphOperator extends Pick<Operator, "inFeatures" | "outFeatures"> {
  /** x (N, in) → x·Mᵀ (N, out). */
  readonly forward: (x: Tensor) => Tensor;
  /** y (N, out) → y·M (N, in). */
  readonly adjoint: (y: Tensor) => Tensor;
  /** What the graphs are fed besides the vectors. */
  readonly feeds?: Readonly<Record<string, Feed>>;
}

/** An operator whose products are graphs, in float32; each number of vectors is compiled once. */
export const graphOperator = (backend: Backend, { inFeatures, outFeatures, forward, adjoint, feeds = {} }: GraphOperator): Operator => {
  const compiled = new Map<string, Promise<Executable>>();
  const product =
    (direction: string, apply: (x: Tensor) => Tensor, from: number, to: number) =>
    async (vectors: Vectors): Promise<Float64Array[]> => {
      const count = vectors.length;
      const key = `${direction} ${count}`;
      const executable = compiled.get(key) ?? backend.compile(program({ y: apply(input("x", [count, from])) }));
      compiled.set(key, executable);
      const { y } = await (await executable).run({ ...feeds, x: f32(fromRows(vectors), [count, from]) });
      const data = (y as HostTensor).data as Float32Array;
      if (!data.every(Number.isFinite)) throw new LowrankError("invalid-argument", "The matrix has values that are not finite numbers.");
      return rowsOf(data, count, to);
    };
  return {
    inFeatures,
    outFeatures,
    forward: product("forward", forward, inFeatures, outFeatures),
    adjoint: product("adjoint", adjoint, outFeatures, inFeatures),
    dispose: async () => {
      for (const executable of compiled.values()) await (await executable).dispose();
      compiled.clear();
    },
  };
};

export interface WeightOptions {
  /** Whether W is (in, out). Default false. */
  readonly isTurned?: boolean;
  /** What W is fed with, where it is not stored. */
  readonly feeds?: Readonly<Record<string, Feed>>;
}

/** The operator of a weight (out, in). */
export const weightOperator = (backend: Backend, W: Tensor, { isTurned = false, feeds = {} }: WeightOptions = {}): Operator => {
  const [outFeatures, inFeatures] = isTurned ? W.shape.toReversed() : W.shape;
  return graphOperator(backend, {
    inFeatures,
    outFeatures,
    forward: (x) => matmul(x, W, { transposeB: !isTurned }),
    adjoint: (y) => matmul(y, W, { transposeB: isTurned }),
    feeds,
  });
};

/** The operator of a matrix at hand, (out, in) or turned, which stays with the backend until it is disposed. */
export const uploadedOperator = async (backend: Backend, matrix: HostTensor, isTurned = false): Promise<Operator> => {
  const resident = await backend.upload(matrix);
  const operator = weightOperator(backend, input("M", matrix.shape), { isTurned, feeds: { M: resident } });
  return {
    ...operator,
    dispose: async () => {
      await operator.dispose();
      await backend.release(resident);
    },
  };
};

/** The operator of a small matrix by its rows, in float64. */
export const matrixOperator = (rows: Vectors): Operator => {
  const columns = turned(rows);
  return {
    inFeatures: columns.length,
    outFeatures: rows.length,
    forward: async (vectors) => dots(vectors, rows),
    adjoint: async (vectors) => combine(vectors, rows),
    dispose: async () => {},
  };
};

/** All rows of M. */
export const denseRows = async ({ inFeatures, outFeatures, forward, adjoint }: Operator): Promise<Float64Array[]> =>
  outFeatures < inFeatures ? adjoint(unitVectors(outFeatures)) : turned(await forward(unitVectors(inFeatures)));

/** The operator of the product L·R, which is not made. Disposing it leaves the factors. */
export const productOperator = (left: Operator, right: Operator): Operator => ({
  inFeatures: right.inFeatures,
  outFeatures: left.outFeatures,
  forward: async (vectors) => left.forward(await right.forward(vectors)),
  adjoint: async (vectors) => right.adjoint(await left.adjoint(vectors)),
  dispose: async () => {},
});
