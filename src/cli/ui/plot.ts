/** @file Draws lines and marks over two axes with braille dots. It knows nothing about what they measure. */
import pc from "picocolors";
import { formatCount } from "./format.ts";
import { visibleWidth } from "./width.ts";

type Point = readonly [x: number, y: number];

export interface Series {
  readonly label: string;
  /** A line of dots, or one mark per point that stands before all lines. */
  readonly style: "line" | "marks";
  readonly points: readonly Point[];
}

export interface PlotOptions {
  /** Columns and lines of the whole drawing. */
  readonly width: number;
  readonly height: number;
  readonly colour?: boolean;
  /** What the horizontal axis counts; stands right of the legend where there is room. */
  readonly xLabel?: string;
}

const mark = "●";

// Dots of a braille cell by column and row, as bits above U+2800.
const dotBits = [
  [0x01, 0x02, 0x04, 0x40],
  [0x08, 0x10, 0x20, 0x80],
] as const;

/** The largest step of 1, 2 or 5 times a power of ten that is not above `range / count`. */
const roundStep = (range: number, count: number): number => {
  const power = 10 ** Math.floor(Math.log10(range / count));
  const factor = range / count / power;
  return (factor >= 5 ? 5 : factor >= 2 ? 2 : 1) * power;
};

/** Round figures from at most `low` to at least `high`, about `count` of them. */
const outerTicks = (low: number, high: number, count: number): number[] => {
  let step = roundStep(high - low, count);
  while (Math.ceil(high / step) - Math.floor(low / step) > count) step = roundStep(step * 2.5, 1);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
};

/** Round figures within a range. */
const innerTicks = (low: number, high: number, count: number): number[] =>
  outerTicks(low, high, count).filter((tick) => tick >= low - 1e-9 * (high - low) && tick <= high + 1e-9 * (high - low));

const tickLabels = (ticks: readonly number[]): string[] => {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return ticks.map((tick) => (decimals === 0 ? formatCount(tick) : tick.toFixed(decimals)));
};

/** Where points that share a column of dots become their mean, so that a long noisy series stays a line. */
const columnMeans = (points: readonly Point[]): Point[] => {
  const columns = new Map<number, { sum: number; count: number }>();
  for (const [x, y] of points) {
    const column = columns.get(x) ?? { sum: 0, count: 0 };
    columns.set(x, { sum: column.sum + y, count: column.count + 1 });
  }
  return Array.from(columns, ([x, { sum, count }]): Point => [x, sum / count]).sort(([a], [b]) => a - b);
};

interface Canvas {
  readonly columns: number;
  readonly rows: number;
  /** Braille bits of each cell, and the cells that hold a mark. */
  readonly bits: Uint8Array;
  readonly marks: Set<number>;
}

const setDot = ({ columns, bits }: Canvas, x: number, y: number): void => {
  bits[(y >> 2) * columns + (x >> 1)] |= dotBits[x & 1][y & 3];
};

const drawLine = (canvas: Canvas, [x0, y0]: Point, [x1, y1]: Point): void => {
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1);
  for (let step = 0; step <= steps; step++) {
    setDot(canvas, Math.round(x0 + ((x1 - x0) * step) / steps), Math.round(y0 + ((y1 - y0) * step) / steps));
  }
};

/** Puts labels under their columns, leaving out those that would touch the one before. */
const labelLine = (width: number, labels: readonly { text: string; column: number }[]): string => {
  let line = "";
  for (const { text, column } of labels) {
    const start = Math.min(Math.max(0, column - (text.length >> 1)), width - text.length);
    if (start >= (line === "" ? 0 : line.length + 1)) line = line.padEnd(start) + text;
  }
  return line;
};

/**
 * A drawing of `height` lines: the plot, the axis with round figures, its labels and a legend. Points that are not finite
 * are left out; without any, the drawing is empty.
 */
export const plot = (series: readonly Series[], { width, height, colour = false, xLabel = "" }: PlotOptions): string => {
  const colours = pc.createColors(colour);
  const visible = series.map((one) => ({ ...one, points: one.points.filter((point) => point.every(Number.isFinite)) }));
  const points = visible.flatMap((one) => one.points);
  if (points.length === 0) return "";

  const rows = Math.max(2, height - 3);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const extent = (values: readonly number[]): [low: number, high: number] => {
    const low = values.reduce((least, value) => Math.min(least, value));
    const high = values.reduce((most, value) => Math.max(most, value));
    return low === high ? [low - Math.max(1, Math.abs(low)) / 2, high + Math.max(1, Math.abs(high)) / 2] : [low, high];
  };
  const yTicks = outerTicks(...extent(ys), Math.ceil(rows * 0.7));
  const yLabels = tickLabels(yTicks);
  const margin = Math.max(...yLabels.map((label) => label.length));
  const columns = Math.max(4, width - margin - 2);
  const [left, right] = extent(xs);
  const [bottom, top] = [yTicks[0], yTicks[yTicks.length - 1]];
  const xDot = (x: number): number => Math.round(((x - left) / (right - left)) * (2 * columns - 1));
  const yDot = (y: number): number => Math.round(((top - y) / (top - bottom)) * (4 * rows - 1));

  const canvas: Canvas = { columns, rows, bits: new Uint8Array(columns * rows), marks: new Set() };
  for (const one of visible) {
    const dots = one.points.map(([x, y]): Point => [xDot(x), yDot(y)]);
    if (one.style === "marks") for (const [x, y] of dots) canvas.marks.add((y >> 2) * columns + (x >> 1));
    else columnMeans(dots).forEach((dot, index, all) => drawLine(canvas, all[Math.max(0, index - 1)], dot));
  }

  const cell = (index: number): string => {
    if (canvas.marks.has(index)) return colours.yellow(mark);
    return canvas.bits[index] === 0 ? " " : colours.cyan(String.fromCodePoint(0x2800 + canvas.bits[index]));
  };
  const tickRows = new Map(yTicks.map((tick, index) => [yDot(tick) >> 2, yLabels[index]]));
  const lines = Array.from({ length: rows }, (_, row) => {
    const label = tickRows.get(row);
    const cells = Array.from({ length: columns }, (_, column) => cell(row * columns + column)).join("");
    return `${(label ?? "").padStart(margin)} ${colours.dim(label === undefined ? "│" : "┤")}${cells.trimEnd()}`;
  });

  // No more ticks than units, so that a short run is not told of half steps.
  const xTicks = innerTicks(left, right, Math.max(1, Math.min(columns >> 3, Math.floor(right - left))));
  const ticks = tickLabels(xTicks).map((text, index) => ({ text, column: xDot(xTicks[index]) >> 1 }));
  const axis = Array.from({ length: columns }, (_, column) => (ticks.some((tick) => tick.column === column) ? "┬" : "─")).join("");
  const indent = " ".repeat(margin + 2);
  const key = visible.map(({ label, style }) => `${style === "marks" ? colours.yellow(mark) : colours.cyan("⠒⠒")} ${label}`);
  const legend = key.join("   ");
  const room = columns - visibleWidth(legend);
  return [
    ...lines,
    `${" ".repeat(margin)} ${colours.dim(`└${axis}`)}`,
    `${indent}${labelLine(columns, ticks)}`,
    `${indent}${legend}${room > xLabel.length ? xLabel.padStart(room) : ""}`.trimEnd(),
  ].join("\n");
};
