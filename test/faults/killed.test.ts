/** @file Runs that are killed or interrupted at any moment, and go on to the same bytes as one that was not. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { random } from "../../src/util/index.ts";
import { rows, workshop, writeRows } from "./material.ts";
import { interrupted, lowrank, refused, succeed, type Flags, type Interruption } from "./program.ts";
import { adapter, prepare, steps } from "./recipe.ts";
import { result, snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = await prepare(folder);

/** All that a run leaves: the result, which may be of an earlier evaluation, and the state after the last step. */
const remains = (output: string) => ({ result: result(output), last: snapshot(join(output, "last")) });

/** Each kind of line in a run's log with its steps in order, without what a resumed run says again. */
const logged = (output: string): Record<string, number[]> => {
  const steps: Record<string, number[]> = {};
  for (const line of readFileSync(join(output, "log.jsonl"), "utf8").trim().split("\n")) {
    const { type, step } = JSON.parse(line) as { type: string; step?: number };
    if (step !== undefined) (steps[type] ??= []).push(step);
  }
  return steps;
};

const numbers = (first: number, last: number, stride = 1): number[] =>
  Array.from({ length: Math.floor((last - first) / stride) + 1 }, (_, index) => first + index * stride);

/** Carries a run on to its end: from its last checkpoint, or anew where it was killed before the first. */
const finish = async (command: string, flags: Flags & { readonly output: string }): Promise<void> => {
  if (existsSync(join(flags.output, "last"))) await succeed(command, { ...flags, resume: true });
  else {
    expect(await refused(command, { ...flags, resume: true })).toMatchObject({ code: "not-found" });
    await succeed(command, flags);
  }
};

describe("a LoRA run", () => {
  const flags = { ...recipe, ...adapter };
  const unbroken = join(folder, "unbroken");
  beforeAll(async () => {
    const { steps: made } = await succeed("train", { ...flags, output: unbroken });
    expect(made).toBe(steps);
  });

  const draw = random(2024);
  const rounds = Array.from({ length: 5 }, (_, round) => {
    // One moment in each fifth of the run, and in every other round one more in what is left of it.
    const moment = (from: number): Interruption => ({
      signal: "SIGKILL",
      step: from + Math.floor(((steps - from) * (round + draw.uniform())) / 5),
      delay: Math.floor(40 * draw.uniform()),
    });
    const first = moment(0);
    const kills = round % 2 === 1 ? [first, moment(first.step)] : [first];
    const when = kills.map(({ step, delay }) => `${delay} ms after step ${step}`).join(" and ");
    return [when, `killed-${round}`, 1 + (round % 2), kills] as const;
  });

  it.each(rounds)("killed %s ends in the bytes of an unbroken one", { timeout: 120_000 }, async (_, name, saveEvery, kills) => {
    const output = join(folder, name);
    const settings = { ...flags, saveEvery, output };
    for (const kill of kills) await interrupted("train", { ...settings, resume: existsSync(join(output, "last")) }, kill);
    await finish("train", settings);
    expect(remains(output)).toEqual(remains(unbroken));
    expect(logged(output)).toMatchObject({ "step-end": numbers(1, steps), "eval-end": numbers(0, steps, 2), "run-end": [steps] });
  });

  it("interrupted by Ctrl-C saves, says how to go on, and ends in the same bytes", { timeout: 120_000 }, async () => {
    const output = join(folder, "interrupted");
    const settings = { ...flags, saveEvery: 0, output };
    const { code, stderr } = await interrupted("train", settings, { signal: "SIGINT", step: 0, delay: 0 });
    expect(code).toBe(130);
    const [, step] = /Stopped at step (\d+), with a checkpoint\. To go on: repeat the command with --resume\.\n$/.exec(stderr)!;
    expect(logged(output)["step-end"]).toEqual(numbers(1, Number(step)));
    expect(Number(step)).toBeLessThan(steps);
    expect(result(output)).toEqual({});

    const { code: again, stdout } = await lowrank("train", { ...settings, resume: true });
    expect(again).toBe(0);
    expect(stdout).toContain(`continuing after step ${step}\n`);
    expect(remains(output)).toEqual(remains(unbroken));
    expect(logged(output)["step-end"]).toEqual(numbers(1, steps));
  });
});

/** The same rows as pairs: each answer before that of the next row. */
const pairs = rows(31).map((row, index, all) => {
  const [{ prompt, completion: chosen }, { completion: rejected }] = [row, all[(index + 1) % all.length]];
  return { prompt, chosen, rejected };
});
const preferences = {
  ...recipe,
  ...adapter,
  data: writeRows(join(folder, "pairs.jsonl"), pairs.slice(0, 27)),
  evalData: writeRows(join(folder, "held-out-pairs.jsonl"), pairs.slice(27)),
};

describe.each<[string, string, Flags, string]>([
  ["full fine-tuning", "train", { ...recipe, method: "full" }, "model.safetensors"],
  ["training from scratch", "pretrain", recipe, "model.safetensors"],
  ["DPO", "train", { ...preferences, loss: "dpo" }, "adapter_model.safetensors"],
])("%s", (name, command, flags, file) => {
  it("killed ends in the bytes of an unbroken run", { timeout: 120_000 }, async () => {
    const [unbroken, output] = [join(folder, `${name}, unbroken`), join(folder, `${name}, killed`)];
    await succeed(command, { ...flags, output: unbroken });
    await interrupted(command, { ...flags, output }, { signal: "SIGKILL", step: 5, delay: 10 });
    await finish(command, { ...flags, output });
    expect(remains(output)).toEqual(remains(unbroken));
    expect(Object.keys(result(output))).toContain(file);
    expect(logged(output)["step-end"]).toEqual(numbers(1, steps));
  });
});
