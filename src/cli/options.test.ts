import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { resolveOptions, type GivenFlags } from "./options.ts";

const options = z
  .object({
    model: z.string().describe("the base model"),
    data: z.array(z.string()).min(1).default(["d.jsonl"]),
    targets: z.union([z.string(), z.array(z.string())]).default("all-linear"),
    learningRate: z.number().positive().default(2e-4),
    rank: z.int().min(1).max(512).default(16),
    pack: z.boolean().default(true),
    schedule: z.enum(["constant", "linear", "cosine"]).default("linear"),
  })
  .refine(({ rank, learningRate }) => rank < 100 || learningRate < 1, { path: ["rank"], message: "so high a rank needs a rate below 1" });

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lowrank-config-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const resolve = (given: GivenFlags, yaml?: string) => {
  const configPath = yaml === undefined ? undefined : join(folder, "run.yaml");
  if (configPath !== undefined) writeFileSync(configPath, yaml!);
  return resolveOptions(options, given, { command: "lowrank train", configPath });
};

const defaults = { model: "m", data: ["d.jsonl"], targets: "all-linear", learningRate: 2e-4, rank: 16, pack: true, schedule: "linear" };

describe("resolveOptions", () => {
  it.each<[string, GivenFlags, string | undefined, object]>([
    ["defaults", { model: ["m"] }, undefined, {}],
    [
      "flags",
      { model: ["m"], learningRate: ["1e-3"], rank: ["8"], pack: false, data: ["a", "b"] },
      undefined,
      { learningRate: 1e-3, rank: 8, pack: false, data: ["a", "b"] },
    ],
    ["the last of a flag given twice", { model: ["x", "m"] }, undefined, {}],
    ["one target as a text", { model: ["m"], targets: ["q_proj"] }, undefined, { targets: "q_proj" }],
    ["two targets as a list", { model: ["m"], targets: ["q_proj", "v_proj"] }, undefined, { targets: ["q_proj", "v_proj"] }],
    ["a file", {}, "model: m\nlearning-rate: 2e-3\ndata: [a, b]\npack: false\n", { learningRate: 2e-3, data: ["a", "b"], pack: false }],
    ["a file in other spellings", {}, "model: m\nlearningRate: 1\n", { learningRate: 1 }],
    ["a file with underscores", {}, "model: m\nlearning_rate: 1\n", { learningRate: 1 }],
    ["a file with one item for a list", {}, "model: m\ndata: a.jsonl\n", { data: ["a.jsonl"] }],
    ["flags above the file", { rank: ["4"] }, "model: m\nrank: 8\nschedule: cosine\n", { rank: 4, schedule: "cosine" }],
    ["anchors in a file", {}, "model: &name m\ntargets: *name\n", { targets: "m" }],
    ["an empty file", { model: ["m"] }, "# nothing yet\n", {}],
  ])("takes %s", async (_, given, yaml, expected) => {
    expect(await resolve(given, yaml)).toEqual({ ...defaults, ...expected });
  });

  it.each<[string, GivenFlags, string | undefined, string]>([
    ["a missing option", {}, undefined, "--model is required: the base model. See `lowrank train --help`."],
    [
      "a text for a number",
      { model: ["m"], learningRate: ["abc"] },
      undefined,
      '--learning-rate takes a number above 0, not "abc". See `lowrank train --help`.',
    ],
    ["a number out of range", { model: ["m"], rank: ["0"] }, undefined, "--rank takes a whole number from 1 to 512, not 0. See"],
    [
      "a fraction for a whole number",
      { model: ["m"], rank: ["2.5"] },
      undefined,
      "--rank takes a whole number from 1 to 512, not 2.5. See",
    ],
    [
      "an unknown choice",
      { model: ["m"], schedule: ["cosin"] },
      undefined,
      '--schedule takes one of constant, linear, cosine, not "cosin" (did you mean cosine?). See',
    ],
    [
      "several at once",
      { rank: ["0"] },
      undefined,
      "--model is required: the base model. --rank takes a whole number from 1 to 512, not 0. See",
    ],
    [
      "values that do not go together",
      { model: ["m"], rank: ["100"], learningRate: ["2"] },
      undefined,
      "--rank: so high a rank needs a rate below 1. See",
    ],
    [
      "a wrong value in a file",
      {},
      "# first\nmodel: m\nrank: high\n",
      'run.yaml:3: rank takes a whole number from 1 to 512, not "high". See',
    ],
    ["an empty value in a file", {}, "model:\n", "run.yaml:1: model takes a text, not null. See"],
    ["an unknown key", {}, "model: m\nlerning-rate: 1\n", 'run.yaml:2: There is no option "lerning-rate"; did you mean learning-rate?'],
    [
      "a key far from any",
      {},
      "zzzzzz: 1\n",
      'run.yaml:1: There is no option "zzzzzz". Known are: model, data, targets, learning-rate, rank, pack, schedule.',
    ],
    ["a key in two spellings", {}, "learning-rate: 1\nlearningRate: 2\n", "run.yaml:2: learning-rate is given twice. Remove one."],
    ["a repeated key", {}, "rank: 1\nrank: 2\n", "run.yaml:2: This is not valid YAML: Map keys must be unique."],
    ["broken YAML", {}, "rank: [1\nmodel: m\n", "run.yaml:2: This is not valid YAML: "],
    [
      "a list for a file",
      {},
      "- rank\n",
      "run.yaml: The file is not a list of options. Write one `key: value` per line, for example `rank: 16`.",
    ],
  ])("refuses %s", async (_, given, yaml, message) => {
    await expect(resolve(given, yaml)).rejects.toThrow(message);
  });

  it("says that a file is missing or too long", async () => {
    const missing = resolveOptions(options, {}, { command: "lowrank train", configPath: join(folder, "none.yaml") });
    await expect(missing).rejects.toMatchObject({ code: "not-found" });
    await expect(resolve({}, "#".repeat(1_000_001))).rejects.toThrow(
      "run.yaml: The file has 1000001 bytes; a file of options has at most 1000000.",
    );
  });
});
