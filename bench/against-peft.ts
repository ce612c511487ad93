/**
 * @file Training steps here and with PEFT in turn, the same shapes on the same cores: tokens per second, memory, first step, and how far gradients agree.
 * Run: npx tsx bench/against-peft.ts --python PATH [--shape smollm2-135m] [--batch-size 4] [--seq-length 256] [--rank 16] [--steps 6] [--rounds 3]
 *      [--threads 2] [--checkpointing] [--json]. The Python must have torch, transformers and peft; nothing is installed.
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
const ours = (precision: string): string => {
  const step = `--batch-size ${B} --seq-length ${T} --rank ${rank} --steps ${steps} --threads ${threads}`;
  const flagText = `bench train --json --shape ${shape} --base-precision ${precision} ${step}${flags.checkpointing ? " --checkpointing" : ""}`;
  return run("npx", ["tsx", join(import.meta.dirname, "../src/cli/main.ts"), ...flagText.split(" ")]);
};

const sides: Record<string, () => string> = {
  "float32, here": () => ours("fp32"),
  "float32, PEFT": () => peft({ autocast: false }),
  "int8, here": () => ours("int8"),
  "bfloat16 autocast, PEFT": () => peft({ autocast: true }),
};

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
const measured: Record<string, Measured[]> = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
for (let round = 0; round < rounds; round++)
  for (const [name, side] of Object.entries(sides)) measured[name].push(JSON.parse(side().trim().split("\n").at(-1)!) as Measured);

const tokens = (one: Measured): number => (B * T * 1000) / median(one.stepMilliseconds);
const ratios = (a: string, b: string): number[] => measured[a].map((one, round) => tokens(one) / tokens(measured[b][round]));
const comparison = (a: string, b: string) => ({
  speed: median(ratios(a, b)),
  speeds: ratios(a, b),
  memory: median(measured[a].map((one) => one.peakMemoryBytes)) / median(measured[b].map((one) => one.peakMemoryBytes)),
});
const result = {
  shape,
  batchSize: B,
  sequenceLength: T,
  rank,
  checkpointing: flags.checkpointing,
  sides: Object.fromEntries(
    Object.entries(measured).map(([name, all]) => [
      name,
      {
        tokensPerSecond: median(all.map(tokens)),
        rounds: all.map(tokens),
        peakMegabytes: median(all.map((one) => one.peakMemoryBytes)) / 1e6,
        firstStepSeconds: median(all.map((one) => one.firstStepSeconds)),
      },
    ]),
  ),
  float32: comparison("float32, here", "float32, PEFT"),
  int8: comparison("int8, here", "bfloat16 autocast, PEFT"),
  gradients: agreement,
  loadAverage: machine().loadAverage,
};
if (flags.json) console.log(JSON.stringify(result));
else {
  const line = (...cells: readonly string[]): void =>
    console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(26) : cell.padStart(16))).join(""));
  console.log(`${shape}, ${B} × ${T}, rank ${rank}, ${rounds} rounds of ${steps} steps${flags.checkpointing ? ", checkpointing" : ""}\n`);
  line("", "tokens/s", "spread", "peak MB", "first step s");
  for (const [name, { tokensPerSecond, rounds: all, peakMegabytes, firstStepSeconds }] of Object.entries(result.sides))
    line(
      name,
      tokensPerSecond.toFixed(0),
      `${Math.min(...all).toFixed(0)}–${Math.max(...all).toFixed(0)}`,
      peakMegabytes.toFixed(0),
      firstStepSeconds.toFixed(1),
    );
  for (const [name, { speed, speeds, memory }] of [
    ["float32", result.float32],
    ["int8 / bfloat16", result.int8],
  ] as const)
    console.log(
      `\n${name}: ${speed.toFixed(2)} × the speed (${Math.min(...speeds).toFixed(2)}–${Math.max(...speeds).toFixed(2)}), ${memory.toFixed(2)} × the memory`,
    );
  for (const [name, { cosine, relative }] of Object.entries(agreement))
    console.log(
      `\ngradient of ${name} against PEFT's in float32: cosine ${cosine.toFixed(6)}, relative difference ${relative.toExponential(1)}`,
    );
  console.log(`\nload ${result.loadAverage.map((value) => value.toFixed(1)).join(" → ")}`);
}
