/** @file Matrices as lists of float64 vectors, which is what the few long columns of A and rows of B are. It knows nothing about adapters. */

/** Vectors of one length: the rows of a matrix, or its columns. */
export type Vectors = readonly Float64Array[];

/** The rows of a row-major (rows, columns) matrix. */
export const rowsOf = (data: ArrayLike<number>, rows: number, columns: number): Float64Array[] =>
  Array.from({ length: rows }, (_, row) => Float64Array.from({ length: columns }, (_unused, column) => data[row * columns + column]));

/** The columns of a row-major (rows, columns) matrix. */
export const columnsOf = (data: ArrayLike<number>, rows: number, columns: number): Float64Array[] =>
  Array.from({ length: columns }, (_, column) => Float64Array.from({ length: rows }, (_unused, row) => data[row * columns + column]));

/** The row-major matrix whose rows these are. */
export const fromRows = (rows: Vectors): Float32Array => {
  const width = rows[0].length;
  const data = new Float32Array(rows.length * width);
  rows.forEach((row, index) => data.set(row, index * width));
  return data;
};

/** The row-major matrix whose columns these are. */
export const fromColumns = (columns: Vectors): Float32Array => {
  const width = columns.length;
  const data = new Float32Array(columns[0].length * width);
  columns.forEach((column, index) => column.forEach((value, row) => (data[row * width + index] = value)));
  return data;
};

/** Rows as columns. */
export const turned = (rows: Vectors): Float64Array[] => Array.from(rows[0], (_, column) => Float64Array.from(rows, (row) => row[column]));

/** The rows of the identity. */
export const unitVectors = (count: number): Float64Array[] =>
  Array.from({ length: count }, (_, row) => Float64Array.from({ length: count }, (_unused, column) => Number(row === column)));

export const scaled = (vector: Float64Array, factor: number): Float64Array => vector.map((value) => value * factor);

export const dot = (a: Float64Array, b: Float64Array): number => {
  // Four sums that do not wait for each other are three times as fast as one.
  let [first, second, third, fourth] = [0, 0, 0, 0];
  const end = a.length - (a.length % 4);
  for (let index = 0; index < end; index += 4) {
    first += a[index] * b[index];
    second += a[index + 1] * b[index + 1];
    third += a[index + 2] * b[index + 2];
    fourth += a[index + 3] * b[index + 3];
  }
  for (let index = end; index < a.length; index++) first += a[index] * b[index];
  return first + second + (third + fourth);
};

export const norm = (vector: Float64Array): number => Math.sqrt(dot(vector, vector));

/** target += factor·vector. */
export const addScaled = (target: Float64Array, factor: number, vector: Float64Array): void => {
  for (let index = 0; index < target.length; index++) target[index] += factor * vector[index];
};

/** Rows aᵢ·bⱼ: A·Bᵀ of the rows of both. */
export const dots = (a: Vectors, b: Vectors): Float64Array[] => a.map((x) => Float64Array.from(b, (y) => dot(x, y)));

/** Σⱼ coefficients[i][j]·vectors[j] for each i: C·X of the rows of both. Coefficients beyond the vectors are not read. */
export const combine = (coefficients: Vectors, vectors: Vectors): Float64Array[] =>
  coefficients.map((row) => {
    const sum = new Float64Array(vectors[0].length);
    vectors.forEach((vector, index) => addScaled(sum, row[index], vector));
    return sum;
  });
