/** @file Runs whose loss stops being a number: they end there, and what was saved before stays. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { workshop, writeBase } from "./material.ts";
import { refused, succeed, type Flags } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = await prepare(folder);

const loggedSteps = (output: string): unknown[] =>
  readFileSync(join(output, "log.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; step: number })
    .filter(({ type }) => type === "step-end")
    .map(({ step }) => step);

describe("a learning rate far too high", () => {
  // A warm-up starts at rate 0, so that the second update is the first that does harm and the third step the one that sees it.
  it.each<[string, string, Flags]>([
    ["LoRA", "train", { ...adapter, init: "gaussian" }],
    ["full fine-tuning", "train", { method: "full" }],
    ["training from scratch", "pretrain", {}],
  ])("ends %s at the step that it spoils, and again after a resumption", async (name, command, given) => {
    const output = join(folder, name);
    const flags = { ...recipe, ...given, evalData: undefined, learningRate: 1e30, warmupSteps: 1, output };
    const error = await refused(command, flags);
    expect(error).toMatchObject({ code: "training-diverged" });
    expect(error.message).toMatch(
      /train\.jsonl:\d+.*: The (loss|gradient) at step 3 is not a finite number\. Start a new run with a lower --learning-rate/,
    );
    expect(readdirSync(output).sort()).toEqual(["checkpoints", "last", "log.jsonl"]);
    expect(readdirSync(join(output, "checkpoints"))).toEqual(["step-000001", "step-000002"]);
    expect(loggedSteps(output)).toEqual([1, 2]);

    const before = snapshot(join(output, "checkpoints"));
    expect(await refused(command, { ...flags, resume: true })).toEqual(error);
    expect(snapshot(join(output, "checkpoints"))).toEqual(before);
    expect(loggedSteps(output)).toEqual([1, 2]);
  });

  it("is seen by the last evaluation where no step follows", async () => {
    const output = join(folder, "last step");
    const flags = { ...recipe, ...adapter, learningRate: 1e30, warmupSteps: 1, maxSteps: 2, evalEvery: 0, saveEvery: 0, output };
    const error = await refused("train", flags);
    expect(error).toMatchObject({ code: "training-diverged" });
    expect(error.message).toContain("The held-out loss at step 2 is not a finite number.");
    expect(readdirSync(output)).toEqual(["log.jsonl"]);
  });
});

describe("a base that holds no finite numbers", () => {
  it("ends a run before its first update, and does not blame the learning rate", async () => {
    const model = await writeBase(join(folder, "infinite"), {
      change: (name, values) => {
        if (name === "model.layers.1.mlp.up_proj.weight") values[7] = Infinity;
      },
    });
    const output = join(folder, "infinite run");
    const error = await refused("train", { ...recipe, ...adapter, model, evalData: undefined, output });
    expect(error).toMatchObject({ code: "training-diverged" });
    expect(error.message).toContain("at step 1 is not a finite number. Nothing was trained yet, so check the base");
    expect(readdirSync(output)).toEqual(["log.jsonl"]);
  });
});

it("the same run at a fitting rate does not diverge", async () => {
  const { loss } = await succeed("train", { ...recipe, ...adapter, maxSteps: 3, output: join(folder, "fine") });
  expect(loss).toBeGreaterThan(6);
  expect(loss).toBeLessThan(8);
});
