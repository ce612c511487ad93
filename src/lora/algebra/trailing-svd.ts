/** @file The trailing singular triplets of a matrix, as the leading ones of its triangle's inverse. It knows nothing about models. */
import type { Random } from "../../util/index.ts";
import { leadingSvd } from "./leading-svd.ts";
import { denseRows, type Operator } from "./operator.ts";
import { triangle } from "./qr.ts";
import type { Svd } from "./svd.ts";
import { turned, type Vectors } from "./vectors.ts";

export interface TrailingOptions {
  readonly rank: number;
  readonly generator: Random;
}

const precision = 2 ** -52;
/** Its square's inverse is finite. */
const tiny = 1e-100;

/** R⁻¹ and its transpose, by substitution; what is as good as zero on the diagonal counts as the smallest number that shows beside the largest. */
const inverseOperator = (R: Vectors): Operator => {
  const size = R.length;
  const largest = Math.max(...R.map((row, index) => Math.abs(row[index])));
  const smallest = Math.max(precision * largest, tiny);
  const diagonal = Float64Array.from(R, (row, index) => (Math.abs(row[index]) < smallest ? smallest : row[index]));
  const columns = turned(R);
  const backward = (x: Float64Array): Float64Array => {
    const y = x.slice();
    for (let row = size - 1; row >= 0; row--) {
      for (let column = row + 1; column < size; column++) y[row] -= R[row][column] * y[column];
      y[row] /= diagonal[row];
    }
    return y;
  };
  const forward = (x: Float64Array): Float64Array => {
    const y = x.slice();
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < row; column++) y[row] -= columns[row][column] * y[column];
      y[row] /= diagonal[row];
    }
    return y;
  };
  return {
    inFeatures: size,
    outFeatures: size,
    forward: async (vectors) => vectors.map(backward),
    adjoint: async (vectors) => vectors.map(forward),
    dispose: async () => {},
  };
};

/**
 * The `rank` smallest of the min(in, out) triplets, in descending order. One QR decomposition of the whole matrix in float64,
 * which for 4,096 × 4,096 takes minutes and 400 MB.
 */
export const trailingSvd = async (operator: Operator, { rank, generator }: TrailingOptions): Promise<Svd> => {
  const { inFeatures, outFeatures } = operator;
  const rows = await denseRows(operator);
  const isWide = outFeatures < inFeatures;
  // The columns of M, or of Mᵀ where that is the taller one.
  const { R, times } = triangle(isWide ? rows : turned(rows));
  const { U: right, S, V } = await leadingSvd(inverseOperator(R), { rank, generator });
  const left = times(V);
  const sizes = Float64Array.from(S, (size) => 1 / size).toReversed();
  return { U: (isWide ? right : left).toReversed(), S: sizes, V: (isWide ? left : right).toReversed() };
};
