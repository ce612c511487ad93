/** @file Packs examples into rows of one length without splitting any. It knows nothing about tokens. */

// The window bounds the work, which grows with its square, and keeps examples near their place in the order.
const window = 1024;

/** First fit decreasing (Johnson 1973): the longest first, each into the first row that has room for it. */
const fit = (indices: readonly number[], lengthOf: (index: number) => number, length: number): number[][] => {
  const rows: number[][] = [];
  const room: number[] = [];
  for (const index of indices.toSorted((a, b) => lengthOf(b) - lengthOf(a))) {
    const size = lengthOf(index);
    const found = room.findIndex((left) => left >= size);
    if (found === -1) {
      rows.push([index]);
      room.push(length - size);
    } else {
      rows[found].push(index);
      room[found] -= size;
    }
  }
  return rows;
};

/** Rows of at most `length` tokens that hold every index once; examples are packed with others that are at most 1,024 places away. */
export const packRows = (order: ArrayLike<number>, lengthOf: (index: number) => number, length: number): number[][] => {
  const indices = Array.from(order);
  const rows: number[][] = [];
  for (let start = 0; start < indices.length; start += window) rows.push(...fit(indices.slice(start, start + window), lengthOf, length));
  return rows;
};
