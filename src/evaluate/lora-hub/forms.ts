/** @file Two ways to let weights act on a set of adapters inside a program: on their updates, and on their factors as in the paper. It knows nothing about searches. */
import { constant, gather, matmul, multiply, reshape, type Tensor } from "../../graph/index.ts";
import type { ModuleTerms } from "../../lora/index.ts";
import { f32, i32, LowrankError, type HostTensor } from "../../util/index.ts";

/** Adapters at one module: what stays with the backend, and s·x·ΔW for weights w (n) that are an input. */
export interface WeightedForm {
  /** By short names. */
  readonly tensors: Readonly<Record<"A" | "B", HostTensor>>;
  /** y (N, out) with what the adapters add; `reduce` gives x·A of what the module reads. */
  add(y: Tensor, A: Tensor, B: Tensor, w: Tensor, reduce: (A: Tensor) => Tensor): Tensor;
}

export type FormName = "updates" | "factors";

const concat = (parts: readonly Float32Array[]): Float32Array => {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

const flat = (vectors: readonly Float64Array[], factor = 1): Float32Array =>
  concat(vectors.map((vector) => Float32Array.from(vector, (value) => value * factor)));

/** Σ wᵢ·sᵢ·x·Aᵢ·Bᵢ, which is Σ wᵢΔWᵢ exactly: all factors side by side, each adapter's columns of x·A times its weight. */
const updates = ({ terms, adapters }: ModuleTerms): WeightedForm => {
  const owners = terms.flatMap(({ a }, index) => a.map(() => adapters[index]));
  const R = owners.length;
  const [inFeatures, outFeatures] = [terms[0].a[0].length, terms[0].b[0].length];
  // Columns of A as rows: (R, in), turned where it is used.
  const A = concat(terms.map(({ a, scaling }) => flat(a, scaling)));
  const turned = new Float32Array(A.length);
  for (let r = 0; r < R; r++) for (let i = 0; i < inFeatures; i++) turned[i * R + r] = A[r * inFeatures + i];
  return {
    tensors: { A: f32(turned, [inFeatures, R]), B: f32(concat(terms.map(({ b }) => flat(b))), [R, outFeatures]) },
    add: (y, stackA, stackB, w, reduce) => {
      const each = gather(w, constant(i32(owners))); // (R)
      return matmul(multiply(reduce(stackA), each), stackB, {}, y); // (N, out)
    },
  };
};

/** x·(Σ wᵢAᵢ)·(Σ wᵢsᵢBᵢ) [Huang et al. 2023, eq. 1], which has cross terms AᵢBⱼ. */
const factors = ({ module, terms, adapters }: ModuleTerms): WeightedForm => {
  const ranks = new Set(terms.map(({ a }) => a.length));
  if (ranks.size > 1)
    throw new LowrankError(
      "invalid-argument",
      `The adapters have the ranks ${[...ranks].join(", ")} here, and factors are added at one rank.`,
      {
        where: module,
        fix: "Compose the updates instead.",
      },
    );
  const [inFeatures, outFeatures, r, n] = [terms[0].a[0].length, terms[0].b[0].length, terms[0].a.length, terms.length];
  const rows = (vectors: readonly Float64Array[]): Float32Array => {
    const turned = new Float32Array(vectors.length * vectors[0].length);
    vectors.forEach((vector, column) => vector.forEach((value, row) => (turned[row * vectors.length + column] = value)));
    return turned;
  };
  return {
    tensors: {
      A: f32(concat(terms.map(({ a }) => rows(a))), [n, inFeatures * r]),
      B: f32(concat(terms.map(({ b, scaling }) => flat(b, scaling))), [n, r * outFeatures]),
    },
    add: (y, stackA, stackB, w, reduce) => {
      const own = reshape(gather(w, constant(i32(adapters))), [1, n]);
      const A = reshape(matmul(own, stackA), [inFeatures, r]);
      const B = reshape(matmul(own, stackB), [r, outFeatures]);
      return matmul(reduce(A), B, {}, y); // (N, out)
    },
  };
};

export const forms: Readonly<Record<FormName, (terms: ModuleTerms) => WeightedForm>> = { updates, factors };
