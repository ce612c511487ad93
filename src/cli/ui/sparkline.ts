/** @file A series of numbers as one line of small bars. It knows nothing about what they measure. */

const bars = "▁▂▃▄▅▆▇█";

/** Means of `count` stretches of a series, in order; the series itself when it is not longer. */
export const resample = (values: readonly number[], count: number): number[] => {
  if (values.length <= count) return [...values];
  return Array.from({ length: count }, (_, index) => {
    const stretch = values.slice(Math.floor((index * values.length) / count), Math.floor(((index + 1) * values.length) / count));
    return stretch.reduce((sum, value) => sum + value, 0) / stretch.length;
  });
};

/** At most `width` bars from the lowest to the highest value; what is not finite is left blank. */
export const sparkline = (values: readonly number[], width: number): string => {
  const shown = resample(values, width);
  const finite = shown.filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const isFlat = high - low <= 1e-6 * Math.abs(high); // else rounding would look like a trend
  const bar = (value: number): string => {
    if (!Number.isFinite(value)) return " ";
    return bars[isFlat ? 0 : Math.round(((value - low) / (high - low)) * (bars.length - 1))];
  };
  return shown.map(bar).join("");
};
