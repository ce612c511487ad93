/** @file Matrices to round, whose rows differ in size by powers of ten. They know no form. */
import { random } from "../../util/index.ts";

/** Normal values (rows, columns), each row ten times the one before, three sizes in all. */
export const matrix = (rows: number, columns: number, seed: number): Float32Array => {
  const generator = random(seed);
  return Float32Array.from({ length: rows * columns }, (_, index) => generator.normal() * 10 ** (Math.floor(index / columns) % 3));
};
