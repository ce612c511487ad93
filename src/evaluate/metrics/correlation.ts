/** @file How far predicted values follow actual ones, from their moments. It knows nothing about models. */

/** Σ1, Σy, Σŷ, Σy², Σŷ² and Σy·ŷ, as the loss over values counts them. */
export type Moments = readonly number[];

const central = ([n, y, guess, yy, guesses, products]: Moments) => ({
  n,
  actual: yy - (y * y) / n,
  predicted: guesses - (guess * guess) / n,
  shared: products - (y * guess) / n,
  error: yy - 2 * products + guesses,
});

/** Pearson's r, from −1 to 1; 0 where one side does not vary. */
export const pearson = (moments: Moments): number => {
  const { actual, predicted, shared } = central(moments);
  return actual <= 0 || predicted <= 0 ? 0 : shared / Math.sqrt(actual * predicted);
};

/** √(mean (ŷ − y)²), in the unit of the values. */
export const rootMeanSquareError = (moments: Moments): number => {
  const { n, error } = central(moments);
  return Math.sqrt(Math.max(0, error) / n);
};
