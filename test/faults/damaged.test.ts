/** @file Files that are cut short: the base, a checkpoint's state, an adapter. Each is refused by name, and what is whole is still of use. */
import { cpSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { workshop } from "./material.ts";
import { refused, succeed, type Flags } from "./program.ts";
import { adapter, prepare, steps } from "./recipe.ts";
import { result, snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = { ...(await prepare(folder)), ...adapter };
const run = join(folder, "run");
beforeAll(async () => {
  await succeed("train", { ...recipe, output: run });
});

const cut = (path: string, share = 0.5): void => truncateSync(path, Math.floor(statSync(path).size * share));

/** A copy of the finished run. */
const copyOf = (name: string): string => {
  const copy = join(folder, name);
  cpSync(run, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
};

const { model, data } = recipe;

describe("a base whose weights are cut", () => {
  it.each<[string, number, string]>([
    ["in their data", 0.9, "The file is cut short: its header promises"],
    ["in their header", 0.001, "The file is cut short: its header promises"],
    ["to nothing", 0, "The file is empty."],
  ])("%s is refused by every command", async (name, share, says) => {
    const base = join(folder, `base cut ${name}`);
    cpSync(model, base, { recursive: true });
    const path = join(base, "model.safetensors");
    cut(path, share);
    const output = join(folder, "never");
    for (const [command, flags] of [
      ["train", { ...recipe, model: base, output }],
      ["train", { ...recipe, method: "full", model: base, output }],
      ["evaluate", { model: base, data }],
      ["generate Mia", { model: base }],
    ] as [string, Flags][]) {
      const error = await refused(command, flags);
      expect(error).toMatchObject({ code: "invalid-file", where: path, fix: "Download it again." });
      expect(error.message).toContain(says);
    }
    expect(snapshot(output)).toEqual({});
  });
});

describe("a checkpoint", () => {
  const [last, older] = [steps, steps - 1].map((step) => `checkpoints/step-${String(step).padStart(6, "0")}`);

  it.each<[string, (checkpoint: string) => void, RegExp]>([
    [
      "whose vectors are cut",
      (path) => cut(join(path, "state.safetensors")),
      /state\.safetensors: The file has \d+ bytes where \d+ were saved\./,
    ],
    ["whose progress is cut", (path) => cut(join(path, "state.json")), /state\.json: The file is not valid JSON/],
    ["without its vectors", (path) => rmSync(join(path, "state.safetensors")), /state\.safetensors: The file is missing\./],
  ])("%s is refused; the older one is named and serves", async (name, damage, says) => {
    const output = copyOf(name);
    damage(join(output, last));
    const before = snapshot(output);
    const error = await refused("train", { ...recipe, output, resume: true });
    expect(error).toMatchObject({ code: "invalid-file" });
    expect(error.message).toMatch(says);
    expect(error.message).toContain(`${join(output, last)}/state.`);
    expect(error.fix).toContain(`The checkpoint of step ${steps - 1} is whole`);
    expect(error.fix).toContain(join(output, older));
    expect(snapshot(output)).toEqual(before);

    rmSync(join(output, last), { recursive: true });
    await succeed("train", { ...recipe, output, resume: true });
    expect(result(output)).toEqual(result(run));
  });

  it("that is the only one says so", async () => {
    const output = copyOf("no other");
    for (const name of readdirSync(join(output, "checkpoints")))
      if (!last.endsWith(name)) rmSync(join(output, "checkpoints", name), { recursive: true });
    cut(join(output, last, "state.safetensors"));
    const error = await refused("train", { ...recipe, output, resume: true });
    expect(error.fix).toBe("No other checkpoint of this run is whole: start it again.");
  });

  it("whose adapter is cut still goes on, and writes it anew", async () => {
    const output = copyOf("cut adapter");
    for (const name of readdirSync(join(output, "checkpoints"))) cut(join(output, "checkpoints", name, "adapter_model.safetensors"));
    cut(join(output, "adapter_model.safetensors"));
    await succeed("train", { ...recipe, output, resume: true });
    expect(result(output)).toEqual(result(run));
  });
});

describe("an adapter whose file is cut", () => {
  it.each<[string, number, string]>([
    ["in its data", 0.9, "The file is cut short: its header promises"],
    ["in its header", 0.01, "The file is cut short: its header promises"],
    ["to nothing", 0, "The file is empty."],
  ])("%s is refused by every command", async (name, share, says) => {
    const output = copyOf(`adapter cut ${name}`);
    const path = join(output, "adapter_model.safetensors");
    cut(path, share);
    for (const [command, flags] of [
      ["evaluate", { model, data, adapter: output }],
      ["generate Mia", { model, adapter: output }],
    ] as [string, Flags][]) {
      const error = await refused(command, flags);
      expect(error).toMatchObject({ code: "invalid-file", where: path, fix: "Download it again." });
      expect(error.message).toContain(says);
    }
  });
});
