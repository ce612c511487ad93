/** @file How far gradients are from recorded ones. It knows nothing about models. */
/** L2 norms of a recorded tensor and of our difference from it. */
export interface Distance {
  readonly size: number;
  readonly difference: number;
}

/** Of `theirs`, by index, from `ours`. */
export const distanceOf = (ours: Float32Array, theirs: (index: number) => number): Distance => {
  let difference = 0;
  let size = 0;
  ours.forEach((value, index) => {
    difference += (value - theirs(index)) ** 2;
    size += theirs(index) ** 2;
  });
  return { size: Math.sqrt(size), difference: Math.sqrt(difference) };
};

// A gradient that is zero but for rounding, as that of a bias on keys, is held to what rounding leaves of the whole gradient.
const smallestShare = 1e-5;

/** Each difference relative to the recorded tensor's size, and to a 100,000th of the size of all together where that is more. */
export const relativeDifferences = (distances: ReadonlyMap<string, Distance>): Record<string, number> => {
  const whole = Math.hypot(...Array.from(distances.values(), ({ size }) => size));
  return Object.fromEntries(
    Array.from(distances, ([name, { size, difference }]) => [name, difference / Math.max(size, smallestShare * whole)]),
  );
};
