/**
 * @file How a training step's cost grows: tokens per second over the adapter's rank, memory over the length of a row; plotted into docs/.
 * Run: npm run build && npx tsx bench/cost.ts [shape]
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const shape = process.argv[2] ?? "smollm2-135m";
const root = join(import.meta.dirname, "..");

interface Step {
  readonly tokensPerSecond: number;
  readonly peakMemoryBytes: number;
  readonly loadAverage: readonly [number, number];
}
const measure = (flags: string): Step => {
  const command = ["dist/cli/main.js", "bench", "train", "--json", "--shape", shape, ...flags.split(" ")];
  return JSON.parse(execFileSync("node", command, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as Step;
};

interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}
const [width, height, left, bottom, top, right] = [640, 360, 64, 48, 40, 24];
const colours = ["#3b6fb6", "#c2562d"];

/** A line chart with powers of two on its x axis, as SVG. */
const chart = (title: string, xTitle: string, lines: readonly Line[]): string => {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].toSorted((a, b) => a - b);
  const most = Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y)));
  const unit = 10 ** Math.floor(Math.log10(most));
  const step = most / unit < 2 ? unit / 4 : most / unit < 5 ? unit / 2 : unit;
  const end = Math.ceil(most / step) * step;
  const [first, last] = [Math.log2(xs[0]), Math.log2(xs.at(-1)!)];
  const px = (x: number): number => left + ((Math.log2(x) - first) / (last - first)) * (width - left - right);
  const py = (y: number): number => height - bottom - (y / end) * (height - bottom - top);
  const text = (x: number, y: number, content: string, more = ""): string =>
    `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${content}</text>`;
  const rows = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#444">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(left, 22, title, 'font-size="14" fill="#111"'),
    ...rows.flatMap((y) => [
      `<line x1="${left}" x2="${width - right}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#e4e4e4"/>`,
      text(left - 8, py(y) + 4, y.toLocaleString("en"), 'text-anchor="end"'),
    ]),
    ...xs.map((x) => text(px(x), height - bottom + 18, x.toLocaleString("en"), 'text-anchor="middle"')),
    text((left + width - right) / 2, height - 10, xTitle, 'text-anchor="middle"'),
    ...lines.flatMap(({ name, points }, index) => {
      const [endX, endY] = points.at(-1)!;
      const path = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
      return [
        `<polyline points="${path}" fill="none" stroke="${colours[index]}" stroke-width="2"/>`,
        ...points.map(([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colours[index]}"/>`),
        text(px(endX), py(endY) - 8, name, `text-anchor="end" fill="${colours[index]}"`),
      ];
    }),
    "</svg>\n",
  ].join("\n");
};

const loads: number[] = [];
const series = (names: readonly string[], xs: readonly number[], value: (step: Step) => number, flags: (x: number) => string): Line[] =>
  names.map((name) => ({
    name,
    points: xs.map((x) => {
      const step = measure(`${flags(x)} --base-precision ${name}`);
      loads.push(...step.loadAverage);
      return [x, value(step)] as const;
    }),
  }));

const speeds = (): Line[] =>
  series(
    ["fp32", "int8"],
    [4, 16, 64, 256],
    (step) => step.tokensPerSecond,
    (rank) => `--batch-size 4 --seq-length 256 --steps 3 --rank ${rank}`,
  );
// A machine may be slower for a minute, so that each point has two turns, far apart.
const [once, again] = [speeds(), speeds()];
const ranks = once.map(({ name, points }, line) => ({
  name,
  points: points.map(([x, y], index) => [x, Math.max(y, again[line].points[index][1])] as const),
}));
const lengths = series(
  ["int8"],
  [256, 512, 1024, 2048, 4096, 8192],
  (step) => step.peakMemoryBytes / 1e6,
  (length) => `--batch-size 1 --seq-length ${length} --steps 1 --rank 16 --checkpointing`,
);
writeFileSync(
  join(root, "docs/cost-rank.svg"),
  chart(`Training, ${shape}, 4 × 256: tokens per second`, "rank, on every linear layer", ranks),
);
writeFileSync(
  join(root, "docs/cost-length.svg"),
  chart(`Training, ${shape}, one row, rank 16: peak memory in MB`, "tokens in a row; layers are computed again", lengths),
);
const table = (head: string, lines: readonly Line[]): string =>
  [
    `| ${head} | ${lines.map(({ name }) => name).join(" | ")} |`,
    `|---|${lines.map(() => "---:").join("|")}|`,
    ...lines[0].points.map(
      ([x], index) =>
        `| ${x.toLocaleString("en")} | ${lines.map(({ points }) => Math.round(points[index][1]).toLocaleString("en")).join(" | ")} |`,
    ),
  ].join("\n");
const text = `# What a training step costs

Written by \`bench/cost.ts\`: ${shape} (random weights), AdamW included, two threads; load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)} while it ran.

![tokens per second over rank](cost-rank.svg)

${table("rank (4 × 256): tokens/s, the better of two turns", ranks)}

![memory over length](cost-length.svg)

${table("tokens in a row (rank 16, layers computed again): peak MB", lengths)}
`;
writeFileSync(join(root, "docs/cost.md"), text);
console.log(text);
