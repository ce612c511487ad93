/**
 * @file How far estimates of a training step's memory are from the peaks that processes reach, over models, lengths, precisions and with layers computed again.
 * Each cell is a process of its own.
 * Run: npm run build && npx tsx bench/memory.ts [folder of a small model]
 */
import { spawnSync } from "node:child_process";
import { join, resolve } from "node:path";

const command = join(resolve(import.meta.dirname, ".."), "dist/cli/main.js");
const large = ["--shape", "smollm2-135m"];
const small = process.argv[2] === undefined ? [] : ["--model", process.argv[2]];

interface Cell {
  readonly rows: number;
  readonly length: number;
  readonly precision: string;
  readonly again: "on" | "off";
  readonly rank: number;
  readonly model: readonly string[];
}

const cell = (rows: number, length: number, precision: string, again: Cell["again"], { rank = 16, model = large } = {}): Cell => ({
  rows,
  length,
  precision,
  again,
  rank,
  model,
});

const cells: readonly Cell[] = [
  ...["fp32", "int8", "nf4"].flatMap((precision) => [cell(4, 256, precision, "off"), cell(4, 256, precision, "on")]),
  ...["fp32", "int8"].flatMap((precision) => [
    cell(8, 128, precision, "off"),
    cell(8, 128, precision, "on"),
    cell(1, 2048, precision, "on"),
  ]),
  cell(1, 128, "fp32", "off"),
  cell(1, 1024, "fp32", "off"),
  cell(4, 256, "fp32", "off", { rank: 128 }),
  ...(small.length === 0
    ? []
    : (["off", "on"] as const).flatMap((again) =>
        ["fp32", "int8"].map((precision) => cell(16, 128, precision, again, { rank: 8, model: small })),
      )),
];

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6)} MB`.padStart(8);

let [low, high] = [0, 0];
for (const { rows, length, precision, again, rank, model } of cells) {
  const step = [
    "--batch-size",
    String(rows),
    "--seq-length",
    String(length),
    again === "on" ? "--checkpointing" : "--no-checkpointing",
    "--steps",
    "1",
  ];
  const words = ["bench", "train", ...model, ...step, "--base-precision", precision, "--rank", String(rank), "--json"];
  const { stdout, stderr, status } = spawnSync(process.execPath, [command, ...words], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  const { peakMemoryBytes, estimate } = JSON.parse(stdout) as { peakMemoryBytes: number; estimate: { total: number } };
  const error = estimate.total / peakMemoryBytes - 1;
  [low, high] = [Math.min(low, error), Math.max(high, error)];
  const what = `${model[1]} ${rows} × ${length} ${precision}, rank ${rank}${again === "on" ? ", layers computed again" : ""}`;
  console.log(`${what.padEnd(72)} ${megabytes(peakMemoryBytes)} ${megabytes(estimate.total)} ${(100 * error).toFixed(1).padStart(6)} %`);
}
console.log(`estimates are between ${(100 * low).toFixed(1)} and +${(100 * high).toFixed(1)} % of the peaks`);
