/** @file The thin QR decomposition by Householder's reflections [Golub and Van Loan 2013, alg. 5.2.1], in float64, with LAPACK's signs. */
import { addScaled, dot, scaled, unitVectors, type Vectors } from "./vectors.ts";

/** aⱼ = Σᵢ R[i][j]·Q[i] for columns aⱼ. */
export interface Qr {
  /** k = min(rows, columns) orthonormal columns. */
  readonly Q: readonly Float64Array[];
  /** k rows, upper triangular. */
  readonly R: readonly Float64Array[];
}

/** H = 1 − τ·v·vᵀ with v = (0 … 0, 1, rest) from place j on, such that H·x ends in zeros behind place j. τ = 0 where it does already. */
interface Reflection {
  readonly v: Float64Array;
  readonly tau: number;
  readonly diagonal: number;
}

const reflection = (x: Float64Array): Reflection => {
  const tail = x.subarray(1);
  const size = Math.hypot(x[0], Math.sqrt(dot(tail, tail)));
  if (size === Math.abs(x[0])) return { v: x, tau: 0, diagonal: x[0] };
  // The sign that does not cancel.
  const diagonal = x[0] >= 0 ? -size : size;
  const v = scaled(x, 1 / (x[0] - diagonal));
  v[0] = 1;
  return { v, tau: (diagonal - x[0]) / diagonal, diagonal };
};

const reflect = ({ v, tau }: Reflection, place: number, x: Float64Array): void => {
  if (tau === 0) return;
  const tail = x.subarray(place);
  addScaled(tail, -tau * dot(v, tail), v);
};

/** R, and Q as what it does to a few vectors of k coordinates; Q itself is not made. The given columns stay as they are. */
export const triangle = (columns: Vectors): { readonly R: readonly Float64Array[]; times(vectors: Vectors): Float64Array[] } => {
  const work = columns.map((column) => column.slice());
  const [width, length] = [work.length, work[0].length];
  const count = Math.min(width, length);
  const reflections: Reflection[] = [];
  for (let place = 0; place < count; place++) {
    const made = reflection(work[place].subarray(place));
    work[place][place] = made.diagonal;
    for (let later = place + 1; later < width; later++) reflect(made, place, work[later]);
    reflections.push(made);
  }
  return {
    R: Array.from({ length: count }, (_, row) => Float64Array.from(work, (column, index) => (index < row ? 0 : column[row]))),
    times: (vectors) =>
      vectors.map((coordinates) => {
        const result = new Float64Array(length);
        result.set(coordinates);
        // Those behind the last coordinate leave it alone.
        const last = coordinates.findLastIndex((value) => value !== 0);
        for (let place = last; place >= 0; place--) reflect(reflections[place], place, result);
        return result;
      }),
  };
};

/**
 * Q·R of a matrix given by its columns. Columns that depend on those before get a basis vector all the same.
 * Costs 4·rows·columns² multiplications.
 */
export const qr = (columns: Vectors): Qr => {
  const { R, times } = triangle(columns);
  return { Q: times(unitVectors(R.length)), R };
};
