import { describe, expect, it } from "vitest";
import { formatBytes, formatCount, formatDuration, formatFigure, formatLargeCount, formatPercent, formatRate } from "./format.ts";

describe.each<[string, (value: number) => string, [number, string][]]>([
  [
    "formatCount",
    formatCount,
    [
      [0, "0"],
      [999, "999"],
      [1000, "1,000"],
      [4884480, "4,884,480"],
      [-1234, "-1,234"],
      [1204.6, "1,205"],
    ],
  ],
  [
    "formatLargeCount",
    formatLargeCount,
    [
      [7, "7"],
      [999, "999"],
      [1000, "1.00 k"],
      [12345, "12.3 k"],
      [999_600, "1.00 M"],
      [4_884_480, "4.88 M"],
      [134_515_008, "135 M"],
      [1.5e16, "15000 T"],
    ],
  ],
  [
    "formatBytes",
    formatBytes,
    [
      [0, "0 B"],
      [512, "512 B"],
      [1310, "1.31 kB"],
      [99_960, "100 kB"],
      [269_060_552, "269 MB"],
      [1_310_000_000, "1.31 GB"],
    ],
  ],
  [
    "formatDuration",
    formatDuration,
    [
      [0.0004, "0 ms"],
      [0.45, "450 ms"],
      [0.9996, "1.0 s"],
      [3.24, "3.2 s"],
      [9.97, "10 s"],
      [59.6, "1 min 00 s"],
      [200, "3 min 20 s"],
      [3599.7, "1 h 00 min"],
      [7500, "2 h 05 min"],
      [86_399, "1 d 00 h"],
      [273_600, "3 d 04 h"],
      [Infinity, "?"],
    ],
  ],
  [
    "formatPercent",
    formatPercent,
    [
      [0, "0 %"],
      [1, "100 %"],
      [0.43, "43 %"],
      [0.035, "3.5 %"],
      [0.0036, "0.36 %"],
      [0.00012, "0.012 %"],
      [NaN, "?"],
    ],
  ],
  [
    "formatFigure",
    formatFigure,
    [
      [2.41349, "2.413"],
      [12.3456, "12.35"],
      [0.012345, "0.01235"],
      [NaN, "NaN"],
      [Infinity, "Infinity"],
    ],
  ],
  [
    "formatRate",
    formatRate,
    [
      [2e-4, "2.00e-4"],
      [1.8654e-4, "1.87e-4"],
      [0.01, "1.00e-2"],
      [0, "0"],
    ],
  ],
])("%s", (_, format, cases) => {
  it.each(cases)("shows %d as %j", (value, text) => {
    expect(format(value)).toBe(text);
  });
});
