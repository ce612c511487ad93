/** @file Eigenvalues and vectors of a small symmetric matrix by Jacobi's rotations [Golub and Van Loan 2013, §8.5]. It knows nothing about what the matrix holds. */

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array;
  /** Unit vectors, one for each value. */
  readonly vectors: readonly Float64Array[];
}

const sweeps = 40;

/** C = Σ values[k]·vectors[k]·vectors[k]ᵀ for C (n, n), given as rows. Cubic in n with a large factor: for matrices of a few hundred at most. */
export const symmetricEigen = (matrix: readonly Float64Array[]): Eigen => {
  const n = matrix.length;
  const a = matrix.map((row) => row.slice());
  const v = Array.from({ length: n }, (_, row) => Float64Array.from({ length: n }, (_, column) => Number(row === column))); // rows are vectors
  const size = Math.sqrt(a.reduce((sum, row) => sum + row.reduce((inner, value) => inner + value * value, 0), 0));
  for (let sweep = 0; sweep < sweeps; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += a[p][q] ** 2;
    if (Math.sqrt(off) <= 1e-15 * size) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) if (a[p][q] !== 0) rotate(a, v, p, q);
  }
  const order = Array.from({ length: n }, (_, index) => index).sort((i, j) => a[j][j] - a[i][i]);
  return { values: Float64Array.from(order, (index) => a[index][index]), vectors: order.map((index) => v[index]) };
};

/** Makes a[p][q] zero by a rotation in the plane of p and q. */
const rotate = (a: readonly Float64Array[], v: readonly Float64Array[], p: number, q: number): void => {
  // t = tan of the smaller of the two angles that do it [eq. 8.5.2]
  const tau = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = Math.sign(tau || 1) / (Math.abs(tau) + Math.hypot(1, tau));
  const c = 1 / Math.hypot(1, t);
  const s = t * c;
  for (let k = 0; k < a.length; k++) {
    const [kp, kq] = [a[k][p], a[k][q]];
    a[k][p] = c * kp - s * kq;
    a[k][q] = s * kp + c * kq;
  }
  for (const rows of [a, v]) {
    const [rowP, rowQ] = [rows[p], rows[q]];
    for (let k = 0; k < rowP.length; k++) {
      const [pk, qk] = [rowP[k], rowQ[k]];
      rowP[k] = c * pk - s * qk;
      rowQ[k] = s * pk + c * qk;
    }
  }
};
