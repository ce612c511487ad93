/** @file The singular value decomposition of small matrices, and of products of factors through a small core. It knows nothing about models. */
import { qr } from "./qr.ts";
import { combine, dot, dots, norm, scaled, turned, unitVectors, type Vectors } from "./vectors.ts";

/** M = Σₖ S[k]·U[k]·V[k]ᵀ. */
export interface Svd {
  /** Orthonormal, of the length of M's columns. */
  readonly U: readonly Float64Array[];
  /** Descending, none negative. */
  readonly S: Float64Array;
  /** Orthonormal, of the length of M's rows. */
  readonly V: readonly Float64Array[];
}

const sweeps = 60;
const precision = 2 ** -52;

/** x and y by the angle of a cosine and a sine. */
const turn = (x: Float64Array, y: Float64Array, cosine: number, sine: number): void => {
  for (let index = 0; index < x.length; index++) {
    const value = x[index];
    x[index] = cosine * value - sine * y[index];
    y[index] = sine * value + cosine * y[index];
  }
};

/** The tangent of the smaller of the two angles that make vectors orthogonal, by their products; 0 where they are. */
const tangentOf = (xx: number, yy: number, xy: number): number => {
  if (Math.abs(xy) <= precision * Math.sqrt(xx * yy)) return 0;
  const zeta = (yy - xx) / (2 * xy);
  return (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
};

/** The unit vectors of all but the zero ones, which a basis of the rest takes the place of. */
const orthonormal = (vectors: Vectors, sizes: Float64Array): Float64Array[] => {
  const negligible = sizes[0] * precision * vectors.length;
  if (sizes[sizes.length - 1] > negligible) return vectors.map((vector, index) => scaled(vector, 1 / sizes[index]));
  const { Q } = qr(vectors);
  return vectors.map((vector, index) => (sizes[index] > negligible ? scaled(vector, 1 / sizes[index]) : Q[index]));
};

/** M (m, n) with m ≤ n by its rows, m of them. Hestenes's one-sided rotations make the rows orthogonal: J·M = S·Vᵀ. */
const rotated = (rows: Vectors): Svd => {
  const work = rows.map((row) => row.slice());
  const J = unitVectors(work.length);
  for (let sweep = 0, moved = true; moved && sweep < sweeps; sweep++) {
    moved = false;
    const squares = work.map((row) => dot(row, row));
    for (let p = 0; p < work.length; p++)
      for (let q = p + 1; q < work.length; q++) {
        const product = dot(work[p], work[q]);
        const tangent = tangentOf(squares[p], squares[q], product);
        if (tangent === 0) continue;
        moved = true;
        const cosine = 1 / Math.hypot(1, tangent);
        turn(work[p], work[q], cosine, cosine * tangent);
        turn(J[p], J[q], cosine, cosine * tangent);
        squares[p] -= tangent * product;
        squares[q] += tangent * product;
      }
  }
  const sizes = work.map(norm);
  const order = sizes.map((_, index) => index).sort((a, b) => sizes[b] - sizes[a]);
  const S = Float64Array.from(order, (index) => sizes[index]);
  return {
    U: order.map((index) => J[index]),
    S,
    V: orthonormal(
      order.map((index) => work[index]),
      S,
    ),
  };
};

const swapped = ({ U, S, V }: Svd): Svd => ({ U: V, S, V: U });

/**
 * All min(m, n) singular triplets of a matrix (m, n) given by its rows. Cubic in the smaller size with a large factor:
 * for matrices whose smaller size is a few hundred at most.
 */
export const svd = (rows: Vectors): Svd => {
  if (rows.length > rows[0].length) return swapped(svd(turned(rows)));
  if (rows.length === rows[0].length) return rotated(rows);
  // Mᵀ = Q·R, so M = Rᵀ·Qᵀ, and rotations see vectors of the smaller size.
  const { Q, R } = qr(rows);
  const { U, S, V } = svd(turned(R));
  return { U, S, V: combine(V, Q) };
};

/**
 * The triplets of the product Σᵢ aᵢ·bᵢᵀ of columns aᵢ (A) and rows bᵢ (B), as many as there are pairs, by QR of both factors and the SVD of
 * a core of the rank's size: the product itself is never made. U is of A's length and V of B's.
 * @example const { S } = productSvd(columnsOf(A, dIn, r), rowsOf(B, r, dOut));
 */
export const productSvd = (a: Vectors, b: Vectors): Svd => {
  const [left, right] = [qr(a), qr(b)];
  // A·B = Qa·(Ra·Rbᵀ)·Qbᵀ
  const { U, S, V } = svd(dots(left.R, right.R));
  return { U: combine(U, left.Q), S, V: combine(V, right.Q) };
};

/** The best approximation of a lower rank [Eckart and Young 1936], and the share of ΣS² that it keeps (1 for a zero matrix). */
export const truncate = ({ U, S, V }: Svd, rank: number): { readonly svd: Svd; readonly energy: number } => {
  const kept = S.subarray(0, rank);
  const all = dot(S, S);
  return { svd: { U: U.slice(0, rank), S: kept, V: V.slice(0, rank) }, energy: all === 0 ? 1 : dot(kept, kept) / all };
};

/** The smallest rank that keeps a share of ΣS², S descending; at least 1. */
export const rankOf = (S: Float64Array, energy: number): number => {
  const wanted = energy * dot(S, S);
  let kept = 0;
  const found = S.findIndex((value) => (kept += value ** 2) >= wanted);
  return found === -1 ? S.length : found + 1;
};

/** Factors of M in equal shares, M = Σ aᵢ·bᵢᵀ with aᵢ = √Sᵢ·Uᵢ and bᵢ = √Sᵢ·Vᵢ. */
export const balancedFactors = ({ U, S, V }: Svd): { readonly a: Float64Array[]; readonly b: Float64Array[] } => ({
  a: U.map((vector, index) => scaled(vector, Math.sqrt(S[index]))),
  b: V.map((vector, index) => scaled(vector, Math.sqrt(S[index]))),
});
