/** @file Norms of low-rank updates from their factors alone. It knows nothing about files. */

/** A matrix in row-major order. */
export interface Matrix {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** ‖M‖_F. */
export const frobeniusNorm = ({ data }: Matrix): number => {
  let sum = 0;
  for (let index = 0; index < data.length; index++) sum += data[index] ** 2;
  return Math.sqrt(sum);
};

/** The Gram matrix (r, r), in float64, of the r columns of a factor: element (k, i) of it lies at `k·step + i·stride`. */
const gram = (data: ArrayLike<number>, rank: number, length: number, step: number, stride: number): Float64Array => {
  const products = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++)
    for (let j = i; j < rank; j++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += data[k * step + i * stride] * data[k * step + j * stride];
      products[i * rank + j] = sum;
      products[j * rank + i] = sum;
    }
  return products;
};

/** ‖A·B‖_F for A (d_in, r) and B (r, d_out): the root of tr(AᵀA · BBᵀ), so that the (d_in, d_out) product never exists. */
export const productNorm = (A: Matrix, B: Matrix): number => {
  const [inFeatures, rank] = A.shape;
  const outFeatures = B.shape[1];
  const left = gram(A.data, rank, inFeatures, rank, 1); // AᵀA
  const right = gram(B.data, rank, outFeatures, 1, outFeatures); // BBᵀ
  const trace = left.reduce((sum, value, index) => sum + value * right[index], 0);
  return Math.sqrt(Math.max(0, trace)); // rounding may leave a little less than nothing
};
