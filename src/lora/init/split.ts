/** @file A and B of a matrix that is given by singular triplets, in equal shares. It knows no initialisation. */
import { balancedFactors, type Svd } from "../algebra/svd.ts";
import { fromColumns, fromRows } from "../algebra/vectors.ts";

/** Fills A (in, r) and B (r, out) so that s·(A·B)ᵀ = Σ S·U·Vᵀ: A = V·√(S/s) and B = √(S/s)·Uᵀ. */
export const split = (A: Float32Array, B: Float32Array, { U, S, V }: Svd, scaling: number): void => {
  const { a, b } = balancedFactors({ U, S: S.map((size) => size / scaling), V });
  A.set(fromColumns(b));
  B.set(fromRows(a));
};
