/** @file Rows of a table by index. It knows nothing about what the table holds. */
import { cast, equal, gather, integers, reshape, scalar, scatterAdd, where, withGradient, type Tensor } from "../graph/index.ts";

/**
 * Rows of a table (V, D) for ids (…): (…, D). The row `padding` gets no gradient: as in PyTorch, the token that fills rows up is not trained
 * where it is read.
 */
export const rowsOf = (table: Tensor, ids: Tensor, padding?: number): Tensor => {
  const rows = gather(table, ids);
  if (padding === undefined) return rows;
  return withGradient(rows, [table], [ids], (dy, _, [at]) => {
    const isPadding = reshape(equal(at, cast(integers([padding]), at.dtype)), [...at.shape, 1]);
    return [scatterAdd(where(isPadding, scalar(0), dy), at, table.shape)];
  });
};
