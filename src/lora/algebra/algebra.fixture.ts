/** @file Matrices whose decompositions are known, for the tests of the algebra. */
import { normalVectors } from "./randomised-svd.ts";
import { qr } from "./qr.ts";
import type { Svd } from "./svd.ts";
import { addScaled, dots, scaled, type Vectors } from "./vectors.ts";
import type { Random } from "../../util/index.ts";

/** The rows of M = Σ S[k]·U[k]·V[k]ᵀ. */
export const recompose = ({ U, S, V }: Svd): Float64Array[] =>
  Array.from(U[0], (_, row) => {
    const sum = new Float64Array(V[0].length);
    S.forEach((size, index) => addScaled(sum, size * U[index][row], V[index]));
    return sum;
  });

/** A matrix (rows, columns) with these singular values and random vectors. */
export const withSingularValues = (S: Float64Array, rows: number, columns: number, generator: Random): Svd => ({
  U: qr(normalVectors(S.length, rows, generator)).Q,
  S,
  V: qr(normalVectors(S.length, columns, generator)).Q,
});

/** Largest absolute difference of two matrices. */
export const difference = (a: Vectors, b: Vectors): number =>
  Math.max(...a.map((row, index) => row.reduce((most, value, place) => Math.max(most, Math.abs(value - b[index][place])), 0)));

/** How far vectors are from orthonormal: largest |vᵢ·vⱼ − δᵢⱼ|. */
export const departure = (vectors: Vectors): number =>
  Math.max(...dots(vectors, vectors).map((row, i) => row.reduce((most, value, j) => Math.max(most, Math.abs(value - Number(i === j))), 0)));

/** Largest distance of Σ S·U·Vᵀ of two decompositions, which does not see the signs of pairs. */
export const distance = (a: Svd, b: Svd): number => difference(recompose(a), recompose(b));

/** A random matrix by its rows; some of its columns depend on the others where `rank` is smaller than both sizes. */
export const randomRows = (rows: number, columns: number, rank: number, generator: Random): Float64Array[] => {
  const left = normalVectors(rows, rank, generator);
  return dots(left, normalVectors(columns, rank, generator)).map((row) => scaled(row, 1 / Math.sqrt(rank)));
};
