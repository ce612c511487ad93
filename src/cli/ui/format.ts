/** @file Numbers as people read them: bytes, counts, durations, shares, rates. It knows nothing about where they are shown. */

/** Groups the digits of a whole number: 4,884,480. */
export const formatCount = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ",");

const scaled = (value: number, units: readonly string[]): string => {
  let index = 0;
  while (index < units.length - 1 && Math.abs(value) >= 999.5) {
    value /= 1000;
    index += 1;
  }
  const digits = index === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[index]}`.trimEnd();
};

/** A count in three digits: 4.88 M. */
export const formatLargeCount = (count: number): string => scaled(count, ["", "k", "M", "G", "T"]);

/** Bytes in decimal units: 1.31 GB. */
export const formatBytes = (bytes: number): string => scaled(bytes, ["B", "kB", "MB", "GB", "TB"]);

const padded = (value: number): string => String(value).padStart(2, "0");

/** Seconds in the two largest units that matter: 450 ms, 3.2 s, 3 min 20 s, 2 h 05 min, 3 d 04 h. */
export const formatDuration = (seconds: number): string => {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${padded(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${padded(minutes % 60)} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${padded(hours % 24)} h`;
};

/** A share of 1: 43 %, 3.5 %, 0.36 %. */
export const formatPercent = (share: number): string => {
  const percent = share * 100;
  if (!Number.isFinite(percent)) return "?";
  if (percent === 0) return "0 %";
  return `${percent >= 9.95 ? percent.toFixed(0) : percent >= 0.995 ? percent.toFixed(1) : percent.toPrecision(2)} %`;
};

/** A loss or norm in four digits: 2.413. */
export const formatFigure = (value: number): string => (Number.isFinite(value) ? value.toPrecision(4) : String(value));

/** A learning rate: 1.87e-4. */
export const formatRate = (rate: number): string => (rate === 0 ? "0" : rate.toExponential(2));
