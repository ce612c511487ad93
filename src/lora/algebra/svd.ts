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

/** Makes x and y orthogonal by a rotation, which j and k go along with; false where they were. */
const rotate = (x: Float64Array, y: Float64Array, j: Float64Array, k: Float64Array): boolean => {
  const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
  if (Math.abs(xy) <= precision * Math.sqrt(xx * yy)) return false;
  // tan of the smaller of the two angles that do it.
  const zeta = (yy - xx) / (2 * xy);
  const tangent = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const cosine = 1 / Math.hypot(1, tangent);
  const sine = cosine * tangent;
  for (const [p, q] of [
    [x, y],
    [j, k],
  ])
    for (let index = 0; index < p.length; index++) {
      const [a, b] = [p[index], q[index]];
      p[index] = cosine * a - sine * b;
      q[index] = sine * a + cosine * b;
    }
  return true;
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
    for (let p = 0; p < work.length; p++) for (let q = p + 1; q < work.length; q++) if (rotate(work[p], work[q], J[p], J[q])) moved = true;
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
