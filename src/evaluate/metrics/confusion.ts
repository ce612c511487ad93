/** @file Confusion matrices: how often each class was taken for each other. It knows nothing about models. */

/** `confusion[i][j]`: documents of class i that were taken for class j. */
export type Confusion = readonly (readonly number[])[];

/** The matrix from its cells row by row, as a classifier's loss counts them. */
export const confusionOf = (cells: readonly number[]): Confusion => {
  const classes = Math.sqrt(cells.length);
  return Array.from({ length: classes }, (_, row) => cells.slice(row * classes, (row + 1) * classes));
};

const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);

/** What the matrix says of each class: documents of it, documents taken for it, and those for which both hold. */
export const classCounts = (confusion: Confusion): { readonly actual: number; readonly predicted: number; readonly correct: number }[] =>
  confusion.map((row, index) => ({
    actual: total(row),
    predicted: total(confusion.map((other) => other[index])),
    correct: row[index],
  }));
