/** @file Resuming with other settings, into a folder of another run, or without a checkpoint: each is refused, and says what to do. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { rows, workshop, writeBase, writeRows } from "./material.ts";
import { refused, succeed, type Flags } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { result, snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = { ...(await prepare(folder)), ...adapter, maxSteps: 3 };
const output = join(folder, "run");
const flags = { ...recipe, output };

beforeAll(async () => {
  await succeed("train", flags);
  await writeBase(join(folder, "other-base"), { seed: 2 });
  cpSync(join(folder, "base"), join(folder, "same-base"), { recursive: true });
  writeRows(join(folder, "as-many-tokens.jsonl"), rows(27).toReversed());
  writeRows(join(folder, "fewer.jsonl"), rows(26));
});

const file = (name: string): string => join(folder, name);

describe("a run resumed with another", () => {
  it.each<[string, Flags, string]>([
    ["learning rate", { learningRate: 0.02 }, "learningRate was 0.01 and is now 0.02."],
    ["batch size and seed", { batchSize: 2, seed: 6 }, "batchSize was 4 and is now 2; seed was 5 and is now 6."],
    ["limit of steps", { maxSteps: undefined }, "maxSteps was 3 and is now not set."],
    [
      "rank and dropout",
      { rank: 8, dropout: 0 },
      "adapter.r was 4 and is now 8; adapter.lora_alpha was 8 and is now 16; adapter.lora_dropout was 0.1 and is now 0.",
    ],
    ["method", { method: "full" }, 'method was "lora" and is now "full"; adapter.r was 4 and is now not set;'],
    ["base", { model: file("other-base") }, 'base was "sha256:'],
    ["order of the data", { data: file("as-many-tokens.jsonl") }, 'data was "27 examples, '],
    ["number of rows", { data: file("fewer.jsonl") }, 'and is now "26 examples, '],
    ["held-out data", { evalData: file("fewer.jsonl") }, 'heldOut was "4 examples, '],
  ])("%s is refused by the setting's name", async (_, change, named) => {
    const before = snapshot(output);
    const error = await refused("train", { ...flags, ...change, resume: true });
    expect(error).toMatchObject({ code: "invalid-config", fix: "Resume with the same values, or start a new run in another folder." });
    expect(error.message).toContain("The run was started with other settings: ");
    expect(error.message).toContain(named);
    expect(error.message.length).toBeLessThan(1200);
    expect(snapshot(output)).toEqual(before);
  });

  it.each<[string, Flags]>([
    ["place of the same base", { model: file("same-base") }],
    ["interval of checkpoints", { saveEvery: 7 }],
    ["number of threads", { threads: 1 }],
  ])("%s goes on", async (name, change) => {
    const copy = join(folder, `resumed with another ${name}`);
    cpSync(output, copy, { recursive: true, verbatimSymlinks: true });
    await succeed("train", { ...flags, ...change, output: copy, resume: true });
    expect(result(copy)["adapter_model.safetensors"]).toBe(result(output)["adapter_model.safetensors"]);
  });
});

describe("an output folder", () => {
  it("with another run's checkpoints is refused without --resume", async () => {
    const before = snapshot(output);
    expect(await refused("train", flags)).toMatchObject({
      code: "invalid-argument",
      where: output,
      message: `${output}: The folder holds the checkpoints of another run. Continue it with --resume, or choose another --output.`,
    });
    expect(snapshot(output)).toEqual(before);
  });

  it.each<[string, (empty: string) => void]>([
    ["that does not exist", () => {}],
    ["of a run that was killed before its first checkpoint", (empty) => mkdirSync(join(empty, "checkpoints"), { recursive: true })],
    [
      "of a run that was killed in its first checkpoint",
      (empty) => {
        mkdirSync(join(empty, "checkpoints/step-000001.partial"), { recursive: true });
        writeFileSync(join(empty, "checkpoints/step-000001.partial/state.json"), "{");
      },
    ],
  ])("%s is refused with --resume, and taken without", async (name, make) => {
    const empty = join(folder, name);
    make(empty);
    expect(await refused("train", { ...flags, output: empty, resume: true })).toMatchObject({
      code: "not-found",
      message: `${empty}: There is no checkpoint to resume from. Check the folder, or start the run without resuming.`,
    });
    await succeed("train", { ...flags, output: empty });
    expect(result(empty)).toEqual(result(output));
  });

  it("that is a file is refused", async () => {
    const before = snapshot(folder);
    expect(await refused("train", { ...flags, output: flags.data })).toMatchObject({ code: "io-failed", where: flags.data });
    expect(snapshot(folder)).toEqual(before);
  });
});
