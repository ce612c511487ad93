import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Dataset, Example } from "../data/index.ts";
import { openCheckpoint, tensorSources, writeCheckpoint } from "../formats/index.ts";
import { loadAdapter, loraConfig, planAdapter, startAdapter, type LoraOptions } from "../lora/index.ts";
import { openBase, storedValues, type Base } from "../models/index.ts";
import { viewOf } from "../nn/index.ts";
import { ortBackend } from "../runtime/index.ts";
import { f32 } from "../util/index.ts";
import type { TrainEvent } from "./events.ts";
import { nextToken } from "./losses/next-token.ts";
import { tinyConfig, tinyExamples, wholeModel } from "./model.fixture.ts";
import { checkOutput, run, type RunOptions, type RunSettings, type Subject } from "./run.ts";

const backend = ortBackend({ threads: 1 });
let folder: string;
let base: Base;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-run-"));
  process.env["LOWRANK_CACHE"] = join(folder, "cache");
  const { trainable, parameters } = wholeModel();
  const tensors = new Map(trainable.layout.slots.map((slot) => [slot.name, f32(viewOf(parameters, slot), slot.shape)]));
  await writeCheckpoint(join(folder, "base"), { config: tinyConfig, tensors: tensorSources(tensors) });
  await writeFile(join(folder, "base/tokenizer.json"), "{}");
  base = await openBase(join(folder, "base"));
});
afterAll(async () => {
  await backend.dispose();
  await rm(folder, { recursive: true });
});

const dataset = (examples: readonly Example[]): Dataset => ({
  examples,
  report: {
    path: "tiny.jsonl",
    noun: "example",
    format: "completion",
    loss: "completion",
    template: undefined,
    rows: examples.length + 3,
    examples: examples.length,
    truncated: 1,
    cutTokens: 4,
    dropped: { "nothing supervised": 1, "empty text or completion": 2 },
    tokens: examples.reduce((sum, { ids }) => sum + ids.length, 0),
    supervisedTokens: 60,
    supervisedShare: 0.6,
    longest: 16,
    endToken: undefined,
    warnings: [],
  },
});

const settings: RunSettings = {
  epochs: 2,
  batchSize: 2,
  accumulate: 2,
  sequenceLength: 16,
  pack: false,
  optimiser: "adamw",
  learningRate: 0.3,
  schedule: "constant",
  warmupSteps: 0,
  weightDecay: 0,
  loraPlusRatio: 1,
  maxGradientNorm: 1,
  evalEvery: 1,
  saveEvery: 1,
  patience: 0,
  seed: 1,
};

const adapter = async (config: LoraOptions = {}, seed = 1): Promise<Subject> => {
  const planned = planAdapter(base.model, loraConfig({ r: 2, lora_alpha: 4, lora_dropout: 0.1, ...config }));
  return {
    method: "lora",
    base,
    stored: await startAdapter(planned, base, seed),
  };
};

/** Runs and gives the events; `until` interrupts after a step. */
const record = async (output: string, given: Partial<RunOptions<Example>> = {}, until = Infinity): Promise<TrainEvent[]> => {
  const controller = new AbortController();
  const events: TrainEvent[] = [];
  for await (const event of run({
    backend,
    subject: await adapter(),
    settings,
    loss: nextToken,
    data: dataset(tinyExamples([9, 16, 5, 12, 7, 3, 4, 8, 11])),
    heldOut: dataset(tinyExamples([10, 12, 6], 8)),
    output: join(folder, output),
    signal: controller.signal,
    ...given,
  })) {
    events.push(event);
    if (event.type === "step-end" && event.step === until) controller.abort();
  }
  return events;
};

const ofType = <Type extends TrainEvent["type"]>(events: readonly TrainEvent[], type: Type) =>
  events.filter((event): event is Extract<TrainEvent, { type: Type }> => event.type === type);

const bytes = (...path: readonly string[]): Promise<Buffer> => readFile(join(folder, ...path));
const weights = "adapter_model.safetensors";

it.each([
  [undefined, 4, 1],
  ["int8", 1, 4],
] as const)(
  "cuts a batch of a base in %s into passes of %d rows, where longer ones are no faster",
  async (precision, batchSize, accumulate) => {
    const rounded = await openBase(join(folder, "base"), { ...(precision && { precision }) });
    const planned = planAdapter(rounded.model, loraConfig({ r: 2 }));
    const events = run({
      backend,
      subject: { method: "lora", base: rounded, stored: await startAdapter(planned, rounded, 1) },
      settings: { ...settings, batchSize: 4, accumulate: 1, sequenceLength: 512, pack: true },
      loss: nextToken,
      data: dataset(tinyExamples([9, 16, 5])),
      output: join(folder, `passes-${precision}`),
    });
    const { value } = await events.next();
    expect(value).toMatchObject({ type: "run-start", plan: { batchSize, accumulate } });
    await events.return(undefined);
  },
);

describe("a run of any adapter kind", () => {
  const short = { ...settings, learningRate: 0.05, evalEvery: 0 };
  it.each<[string, LoraOptions]>([
    ["DoRA", { use_dora: true }],
    ["LoRA-FA", { freeze_A: true }],
    ["VeRA", { vera: {}, lora_alpha: 8 }],
    ["AdaLoRA", { r: 4, adalora: { target_r: 2, tinit: 1, tfinal: 2 } }],
  ])("of %s goes on where it was interrupted as if it had not been", async (kind, config) => {
    const given = async (seed?: number) => ({ settings: short, heldOut: undefined, subject: await adapter(config, seed) });
    const whole = await record(`${kind}-whole`, await given());
    expect(ofType(whole, "run-end")[0]).toMatchObject({ reason: "completed", step: 6 });
    for (const step of [2, 5]) {
      await record(`${kind}-${step}`, await given(), step);
      await record(`${kind}-${step}`, { ...(await given()), resume: true });
      expect(await bytes(`${kind}-${step}`, weights)).toEqual(await bytes(`${kind}-whole`, weights));
    }
    const { adapter: loaded } = await loadAdapter(join(folder, `${kind}-whole`), base.model, { baseDigest: base.digest });
    expect(loaded.variant.name).toBe(kind === "LoRA-FA" ? "LoRA" : kind);
  });

  it("takes AdaLoRA's ranks within the run, and says in files which are left", async () => {
    const config = JSON.parse((await bytes("AdaLoRA-whole", "adapter_config.json")).toString()) as Record<string, unknown>;
    expect(config).toMatchObject({ peft_type: "ADALORA", init_r: 4, target_r: 2, total_step: 6 });
    const kept = Object.values(config["rank_pattern"] as Record<string, boolean[]>);
    expect(kept).toHaveLength(14);
    expect(kept.flat().filter(Boolean)).toHaveLength(2 * 14);
  });

  it("goes on with the frozen A that it began with", async () => {
    const given = { settings: short, heldOut: undefined };
    await record("other-A", { ...given, subject: await adapter({ freeze_A: true }) }, 2);
    await record("other-A", { ...given, subject: await adapter({ freeze_A: true }, 2), resume: true });
    expect(await bytes("other-A", weights)).toEqual(await bytes("LoRA-FA-whole", weights));
  });
});

describe("a run", () => {
  let events: TrainEvent[];
  beforeAll(async () => {
    events = await record("whole");
  });

  it("says what it is about to do", () => {
    expect(events[0]).toEqual({
      type: "run-start",
      plan: {
        loss: "next-token",
        model: join(folder, "base"),
        method: "lora",
        trainable: 2 * 2 * (16 + 12 + 12 + 16 + 20 + 20 + 20),
        total: 19 * 8 + 2 * (8 * (8 + 4 + 4 + 8) + 3 * 96 + 16) + 8 + 2 * 2 * 116,
        steps: 6,
        epochs: 2,
        batchSize: 2,
        accumulate: 2,
        sequenceLength: 16,
        tokens: 150,
      },
    });
    expect(events[1]).toEqual({
      type: "data-ready",
      report: { examples: 9, evaluationExamples: 3, tokens: 75, supervised: 60, truncated: 1, dropped: 3, endTokenSupervised: false },
    });
    expect(events.at(-1)).toMatchObject({ type: "run-end", reason: "completed", step: 6, tokens: 150, output: join(folder, "whole") });
  });

  it("leaves the adapter of its best evaluation, not of its last", async () => {
    const evaluations = ofType(events, "eval-end");
    const best = evaluations.reduce((lowest, event) => (event.loss < lowest.loss ? event : lowest));
    expect(best.step).toBeGreaterThan(0);
    expect(best.step).toBeLessThan(6);
    expect(await bytes("whole", weights)).toEqual(await bytes("whole/best", weights));
    expect(await bytes("whole", weights)).not.toEqual(await bytes("whole/last", weights));
    expect(ofType(events, "checkpoint-saved").findLast(({ kind }) => kind === "best")).toMatchObject({ step: best.step });
    const { adapter: loaded } = await loadAdapter(join(folder, "whole"), base.model, { baseDigest: base.digest });
    expect(loaded.config).toMatchObject({ r: 2, lora_alpha: 4, lora_dropout: 0.1 });
  });

  it("leaves that one also where it was interrupted after it, and resumed", async () => {
    const { best } = ofType(events, "run-end")[0];
    const first = await record("interrupted", {}, best!.step + 1);
    expect(ofType(first, "run-end")[0]).toMatchObject({ reason: "interrupted", step: best!.step + 1, best });
    expect(await readdir(join(folder, "interrupted"))).not.toContain(weights);
    const second = await record("interrupted", { resume: true });
    expect(second[0]).toMatchObject({ resumedStep: best!.step + 1 });
    expect(ofType(second, "run-end")[0]).toMatchObject({ reason: "completed", best });
    expect(await bytes("interrupted", weights)).toEqual(await bytes("whole", weights));
  });

  it("goes on beside what its start took from the base, bit for bit, though that were made again otherwise", async () => {
    const planned = planAdapter(base.model, loraConfig({ r: 2, lora_alpha: 4, init_lora_weights: "pissa" }));
    const subject = async (): Promise<Subject> => ({ method: "lora", base, stored: await startAdapter(planned, base, 1, { backend }) });
    await record("shifted", { subject: await subject(), heldOut: undefined });
    await record("shifted-in-two", { subject: await subject(), heldOut: undefined }, 2);
    const again = await subject();
    if (again.method === "lora") again.stored.frozen.forEach((value, index) => (again.stored.frozen[index] = value + 1e-6));
    await record("shifted-in-two", { subject: again, heldOut: undefined, resume: true });
    expect(await bytes("shifted-in-two", weights)).toEqual(await bytes("shifted", weights));
    const { adapter: loaded } = await loadAdapter(join(folder, "shifted"), base.model, { baseDigest: base.digest });
    expect(loaded.config).toMatchObject({ r: 4, lora_alpha: 8, init_lora_weights: true });
  });

  it("leaves the adapter of its last step without held-out data", async () => {
    const alone = await record("alone", { heldOut: undefined });
    expect(ofType(alone, "eval-end")).toEqual([]);
    expect(await bytes("alone", weights)).toEqual(await bytes("alone/last", weights));
    expect(await bytes("alone", weights)).toEqual(await bytes("whole/last", weights));
    expect(basename(ofType(alone, "checkpoint-saved").at(-1)!.path)).toBe("step-000006");
  });

  it("counts the updates of packed rows, limits them, and ends its schedule there", async () => {
    const packed = await record("packed", { heldOut: undefined, settings: { ...settings, pack: true, accumulate: 1, epochs: 3 } });
    expect(packed[0]).toMatchObject({ plan: { steps: 9 } }); // 75 tokens fill five rows of 16, and three batches of two
    const limited = await record("limited", {
      heldOut: undefined,
      settings: { ...settings, maxSteps: 4, schedule: "linear" },
    });
    expect(limited[0]).toMatchObject({ plan: { steps: 4 } });
    expect(ofType(limited, "step-end").map(({ learningRate }) => learningRate / 0.3)).toEqual(
      [1, 0.75, 0.5, 0.25].map((share) => expect.closeTo(share)),
    );
    expect(limited.at(-1)).toMatchObject({ reason: "max-steps", step: 4 });
  });

  it("within a memory limit is the run with the settings that the limit leads to", async () => {
    const given = { ...settings, batchSize: 4, accumulate: 1, epochs: 1, pack: true };
    const plain = await record("unlimited", { settings: given, heldOut: undefined });
    const limited = await record("enough", { settings: given, heldOut: undefined, memoryLimit: 4e9 });
    const [planned] = ofType(limited, "memory-planned");
    expect(planned).toMatchObject({ limit: 4e9, plan: { batchSize: 4, accumulate: 1, recompute: false } });
    const losses = (events: readonly TrainEvent[]): number[] => ofType(events, "step-end").map(({ loss }) => loss);
    expect(losses(limited)).toEqual(losses(plain));

    const cut = await record("cut", { settings: given, heldOut: undefined, memoryLimit: planned.plan.estimate.total - 1 });
    const [{ plan }] = ofType(cut, "memory-planned");
    expect(plan.batchSize * plan.accumulate).toBe(4);
    expect(plan.batchSize).toBeLessThan(4);
    expect(cut[0]).toMatchObject({ plan: { batchSize: plan.batchSize, accumulate: plan.accumulate } });
    expect((await bytes("cut", "log.jsonl")).toString()).toContain('"memory-planned"');

    const { estimate: _estimate, ...chosen } = plan;
    const same = await record("same", { settings: { ...given, ...chosen }, heldOut: undefined });
    expect(losses(same)).toEqual(losses(cut));

    await record("broken", { settings: given, memoryLimit: planned.plan.estimate.total - 1, heldOut: undefined }, 1);
    await record("broken", { settings: given, memoryLimit: planned.plan.estimate.total - 1, heldOut: undefined, resume: true });
    expect(await bytes("broken", weights)).toEqual(await bytes("cut", weights));
    await expect(record("none", { settings: given, heldOut: undefined, memoryLimit: 1e6 })).rejects.toThrow(
      "Training does not fit into 1MB",
    );
    await expect(readdir(join(folder, "none"))).rejects.toThrow("ENOENT");
  });

  it.each<[string, () => Subject]>([
    ["fine-tunes a whole model", () => ({ method: "full", base })],
    ["trains a new model", () => ({ method: "pretrain", model: base.model, directory: base.directory })],
  ])("%s and writes it with its tokenizer", async (name, subject) => {
    const [start] = await record(name, { subject: subject(), heldOut: undefined, settings: { ...settings, learningRate: 0.01 } });
    expect(start).toMatchObject({ plan: { trainable: 1152, total: 1152 } });
    expect((await readdir(join(folder, name))).sort()).toEqual([
      "checkpoints",
      "config.json",
      "last",
      "log.jsonl",
      "model.safetensors",
      "tokenizer.json",
    ]);
    const written = await openBase(join(folder, name));
    const before = await storedValues(base, "model.norm.weight");
    const after = await storedValues(written, "model.norm.weight");
    const furthest = Math.max(...after.map((value, index) => Math.abs(value - before[index])));
    expect(furthest).toBeGreaterThan(0.01);
    expect(furthest).toBeLessThan(6 * 0.0101); // Adam moves by the rate at most, six times
    expect((await openCheckpoint(join(folder, name))).config).toMatchObject({ tie_word_embeddings: true, torch_dtype: "float32" });
  });
});

describe("checkOutput", () => {
  const make = async (name: string, ...folders: readonly string[]): Promise<string> => {
    for (const each of folders) await mkdir(join(folder, name, each), { recursive: true });
    return join(folder, name);
  };

  it.each([
    ["missing"],
    ["empty", "."],
    ["in use for other things", "notes"],
    ["of a run without a checkpoint", "checkpoints"],
    ["of a run killed in its first", "checkpoints/step-000001.partial"],
  ])("takes a folder that is %s", async (...names) => {
    await checkOutput(await make(names[0], ...names.slice(1)), false);
  });

  it("takes one with checkpoints only to continue", async () => {
    const output = await make("taken", "checkpoints/step-000001");
    await checkOutput(output, true);
    await expect(checkOutput(output, false)).rejects.toMatchObject({ code: "invalid-argument", where: output });
  });
});

it("a run goes on after the base was moved", async () => {
  await record("moved", {}, 2);
  await cp(join(folder, "base"), join(folder, "elsewhere"), { recursive: true });
  const there = await openBase(join(folder, "elsewhere"));
  const subject = (await adapter()) as Extract<Subject, { method: "lora" }>;
  await record("moved", { resume: true, subject: { ...subject, base: there } });
  expect(await bytes("moved", weights)).toEqual(await bytes("whole", weights));
});
