/**
 * @file Training steps here and with PEFT in turn, the same shapes on the same cores: tokens per second, memory, first step, and how far gradients agree.
 * Run: npm run build && npx tsx bench/against-peft.ts --python PATH [--shape smollm2-135m] [--batch-size 4] [--seq-length 256] [--rank 16] [--steps 6] [--rounds 3]
 *      [--threads 2] [--checkpointing] [--memory-limit SIZE, for ours] [--only float32|int8] [--json]. The Python must have torch, transformers and peft; nothing is installed.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { benchShapes, randomCheckpoint, type BenchShape } from "../src/evaluate/bench/index.ts";
import { median, observeMachine } from "../src/evaluate/bench/machine.ts";
import { ourName, readSafetensorsHeader, readTensorF32 } from "../src/formats/index.ts";
import { loraConfig, planAdapter, saveAdapter, startAdapter } from "../src/lora/index.ts";
import { openBase, storedTensors } from "../src/models/index.ts";
import { viewOf } from "../src/nn/index.ts";
import { ortBackend } from "../src/runtime/index.ts";
import { nextToken, trainableAdapter, trainingRunner } from "../src/train/index.ts";
import { random } from "../src/util/index.ts";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string" },
    shape: { type: "string", default: "smollm2-135m" },
    "batch-size": { type: "string", default: "4" },
    "seq-length": { type: "string", default: "256" },
    rank: { type: "string", default: "16" },
    steps: { type: "string", default: "6" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    checkpointing: { type: "boolean", default: false },
    "memory-limit": { type: "string" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const [B, T, rank, steps, rounds, threads] = (["batch-size", "seq-length", "rank", "steps", "rounds", "threads"] as const).map((name) =>
  Number(flags[name]),
);
const python = flags.python ?? "python3";
const peftScript = join(import.meta.dirname, "peft-step.py");
try {
  execFileSync(python, ["-c", "import torch, transformers, peft"], { stdio: "pipe" });
} catch {
  console.error(`${python} has no torch, transformers and peft; name one that has them with --python.`);
  process.exit(2);
}

const scratch = mkdtempSync(join(tmpdir(), "lowrank-against-"));
process.once("exit", () => rmSync(scratch, { recursive: true, force: true }));
const shape = flags.shape as BenchShape;
const folder = await randomCheckpoint(shape, benchShapes[shape], 0);
const [adapterFolder, tokensFile] = [join(scratch, "adapter"), join(scratch, "tokens.json")];

/** Saves an adapter whose B is not zero, and tokens; returns our gradients of them, by precision of the base. */
const prepare = async () => {
  const generator = random(0);
  const bases = { fp32: await openBase(folder), int8: await openBase(folder, { precision: "int8" }) };
  const { model } = bases.fp32;
  const adapter = planAdapter(model, loraConfig({ r: rank, lora_alpha: 2 * rank, init_lora_weights: false }));
  const stored = await startAdapter(adapter, bases.fp32, 0);
  await saveAdapter(adapterFolder, model, stored, bases.fp32.digest);
  const rows = Array.from({ length: B * (T + 1) }, () => generator.integer(model.vocabularySize));
  writeFileSync(tokensFile, JSON.stringify(rows));
  const at = (offset: number): Int32Array =>
    Int32Array.from({ length: B * T }, (_, index) => rows[Math.floor(index / T) * (T + 1) + (index % T) + offset]);
  const batch = {
    rows: B,
    length: T,
    tokens: B * T,
    ids: at(0),
    positions: Int32Array.from({ length: B * T }, (_, index) => index % T),
    segments: new Int32Array(B * T).fill(1),
    labels: at(1),
  };
  const gradients: Record<string, Float32Array> = {};
  for (const [precision, base] of Object.entries(bases)) {
    const backend = ortBackend({ threads });
    const runner = trainingRunner(backend, {
      model,
      find: storedTensors(base),
      trainable: trainableAdapter(model, stored),
      loss: nextToken,
    });
    const { gradient, weight } = await runner.run(batch, stored.parameters, 0, 0);
    gradients[precision] = gradient.map((value) => value / weight);
    await runner.dispose();
    await backend.dispose();
  }
  return { layout: adapter.layout, gradients };
};

interface Measured {
  readonly stepMilliseconds: readonly number[];
  readonly peakMemoryBytes: number;
  readonly firstStepSeconds: number;
}

const warmup = 2;
const request = {
  model: folder,
  adapter: adapterFolder,
  tokens: tokensFile,
  batchSize: B,
  sequenceLength: T,
  threads,
  warmup,
  steps,
  checkpointing: flags.checkpointing,
};
const run = (command: string, parameters: readonly string[]): string =>
  execFileSync(command, parameters, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"], maxBuffer: 1e8 });
const peft = (more: object): string => run(python, [peftScript, JSON.stringify({ ...request, ...more })]);
// The built program, as people run it: the development loader alone takes 100 MB.
const program = join(import.meta.dirname, "../dist/cli/main.js");
const limit = flags["memory-limit"];
// Under a limit ours chooses by itself whether layers are computed again.
const ownFlags = limit === undefined ? (flags.checkpointing ? " --checkpointing" : "") : ` --memory-limit ${limit}`;
const ours = (precision: string): string => {
  const step = `--batch-size ${B} --seq-length ${T} --rank ${rank} --steps ${steps} --threads ${threads}`;
  const flagText = `bench train --json --shape ${shape} --base-precision ${precision} ${step}${ownFlags}`;
  return run("node", [program, ...flagText.split(" ")]);
};

interface Pair {
  readonly here: () => string;
  readonly peft: () => string;
}
const pairs: Record<string, Pair> = {
  float32: { here: () => ours("fp32"), peft: () => peft({ autocast: false }) },
  int8: { here: () => ours("int8"), peft: () => peft({ autocast: true }) },
};
const chosen = Object.entries(pairs).filter(([name]) => flags.only === undefined || flags.only === name);

const { layout, gradients } = await prepare();
const gradientFile = join(scratch, "gradients.safetensors");
peft({ autocast: false, checkpointing: false, gradients: gradientFile });
const theirs = new Map<string, Float32Array>();
for (const [key, location] of (await readSafetensorsHeader(gradientFile)).tensors) {
  const place = ourName(key)!;
  const values = (await readTensorF32(location)).data as Float32Array;
  const [rows, columns] = location.shape;
  theirs.set(place.name, place.turned ? values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]) : values);
}
const agreement = Object.fromEntries(
  Object.entries(gradients).map(([precision, gradient]) => {
    let [dot, own, other, difference] = [0, 0, 0, 0];
    for (const slot of layout.slots) {
      const reference = theirs.get(slot.name)!;
      viewOf(gradient, slot).forEach((value, index) => {
        dot += value * reference[index];
        own += value ** 2;
        other += reference[index] ** 2;
        difference += (value - reference[index]) ** 2;
      });
    }
    return [precision, { cosine: dot / Math.sqrt(own * other), relative: Math.sqrt(difference / other) }];
  }),
);

const machine = observeMachine(threads);
const tokens = ({ stepMilliseconds }: Measured): number => (B * T * 1000) / median(stepMilliseconds);
const parse = (text: string): Measured => JSON.parse(text.trim().split("\n").at(-1)!) as Measured;
const summary = (all: readonly Measured[]) => ({
  tokensPerSecond: median(all.map(tokens)),
  rounds: all.map(tokens),
  peakMegabytes: median(all.map(({ peakMemoryBytes }) => peakMemoryBytes)) / 1e6,
  firstStepSeconds: median(all.map(({ firstStepSeconds }) => firstStepSeconds)),
});
const results = chosen.map(([name, pair]) => {
  // Turn by turn, so that a slower spell of the machine meets both.
  const turns = Array.from({ length: rounds }, () => ({ here: parse(pair.here()), peft: parse(pair.peft()) }));
  const [here, peftSide] = [summary(turns.map((turn) => turn.here)), summary(turns.map((turn) => turn.peft))];
  const speeds = turns.map((turn) => tokens(turn.here) / tokens(turn.peft));
  return { name, here, peft: peftSide, speed: median(speeds), speeds, memory: here.peakMegabytes / peftSide.peakMegabytes };
});
const { loadAverage } = machine();
if (flags.json) console.log(JSON.stringify({ shape, ...request, memoryLimit: limit, results, gradients: agreement, loadAverage }));
else {
  const line = (...cells: readonly string[]): void =>
    console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(26) : cell.padStart(16))).join(""));
  const settings = `${flags.checkpointing ? ", checkpointing" : ""}${limit === undefined ? "" : `, here within ${limit}`}`;
  console.log(`${shape}, ${B} × ${T}, rank ${rank}, ${rounds} rounds of ${steps} steps${settings}\n`);
  line("", "tokens/s", "spread", "peak MB", "first step s");
  for (const { name, here, peft: peftSide, speed, speeds, memory } of results) {
    const theirName = name === "int8" ? "bfloat16 autocast" : name;
    for (const [title, { tokensPerSecond, rounds: all, peakMegabytes, firstStepSeconds }] of [
      [`${name}, here`, here],
      [`${theirName}, PEFT`, peftSide],
    ] as const) {
      const spread = `${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}`;
      line(title, tokensPerSecond.toFixed(0), spread, peakMegabytes.toFixed(0), firstStepSeconds.toFixed(1));
    }
    console.log(
      `${speed.toFixed(2)} × the speed (${Math.min(...speeds).toFixed(2)}–${Math.max(...speeds).toFixed(2)}), ${memory.toFixed(2)} × the memory\n`,
    );
  }
  for (const [precision, { cosine, relative }] of Object.entries(agreement))
    console.log(
      `gradient of ${precision} against PEFT's in float32: cosine ${cosine.toFixed(6)}, relative difference ${relative.toExponential(1)}`,
    );
  console.log(`load ${loadAverage.map((value) => value.toFixed(1)).join(" → ")}`);
}
