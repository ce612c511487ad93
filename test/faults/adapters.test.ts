/** @file Adapters that do not belong to the base or to their own configuration: each command refuses them, tensor by tensor. */
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readPeftAdapter, writePeftAdapter } from "../../src/formats/index.ts";
import { f32, type HostTensor } from "../../src/util/index.ts";
import { workshop, writeBase } from "./material.ts";
import { refused, succeed, type Flags } from "./program.ts";
import { adapter, prepare } from "./recipe.ts";
import { snapshot } from "./snapshot.ts";

const folder = workshop();
const recipe = { ...(await prepare(folder)), ...adapter, maxSteps: 2 };
const { model, data } = recipe;
const trained = join(folder, "trained");
beforeAll(async () => {
  await succeed("train", { ...recipe, output: trained });
});

/** The commands that take an adapter. */
const users: [string, Flags][] = [
  ["evaluate", { data, evalLimit: 4 }],
  ["generate Mia", { maxTokens: 2 }],
  ["generate Mia", { maxTokens: 2, merge: true }],
];

const refusedByAll = async (flags: Flags, code: string, says: readonly string[]): Promise<void> => {
  const before = snapshot(folder);
  for (const [command, own] of users) {
    const error = await refused(command, { ...own, ...flags });
    expect(error, command).toMatchObject({ code });
    for (const part of says) expect(error.message).toContain(part);
  }
  expect(snapshot(folder)).toEqual(before);
};

describe("a base that the adapter was not trained on", () => {
  const other = join(folder, "other");
  beforeAll(async () => {
    await writeBase(other, { seed: 2 });
  });

  it("is refused with both digests", async () => {
    await refusedByAll({ model: other, adapter: trained }, "adapter-mismatch", [
      `${trained}: The adapter was trained on the base sha256:`,
      "Name its base with --model, or pass --allow-other-base if you mean it.",
    ]);
  });

  it("is taken with --allow-other-base, and says other things than its own", async () => {
    const loss = async (flags: Flags): Promise<number> => Number((await succeed("evaluate", { ...users[0][1], ...flags }))["loss"]);
    const [own, others] = [await loss({ model, adapter: trained }), await loss({ model: other, adapter: trained, allowOtherBase: true })];
    expect(others).toBeGreaterThan(6);
    expect(Math.abs(own - others)).toBeGreaterThan(1e-4);
    expect(await succeed("generate Mia", { model: other, adapter: trained, allowOtherBase: true, maxTokens: 2 })).toMatchObject({
      tokens: 2,
    });
  });

  it("of other sizes is refused even then", async () => {
    const wide = await writeBase(join(folder, "wide"), { config: { hidden_size: 48, head_dim: 12 } });
    await refusedByAll({ model: wide, adapter: trained, allowOtherBase: true }, "adapter-mismatch", [
      "22 tensors have another shape than the model needs: model.layers.0.self_attn.q_proj.lora_A is [32, 4], needed [48, 4]",
      "Use the base that the adapter was trained on.",
    ]);
  });
});

const first = "model.layers.0.self_attn.q_proj.lora_A";

describe("an adapter's file", () => {
  it.each<[string, (tensors: Map<string, HostTensor>) => void, string[]]>([
    [
      "without one of its tensors",
      (tensors) => void tensors.delete(first),
      [`The adapter lacks 1 of its tensors: ${first}. Copy the adapter again, or check that its configuration belongs to it.`],
    ],
    [
      "with a tensor more",
      (tensors) => void tensors.set("model.layers.7.mlp.up_proj.lora_A", f32(new Float32Array(8).fill(1), [4, 2])),
      ["The adapter has 1 tensors that its configuration gives no place in this model: model.layers.7.mlp.up_proj.lora_A.", "Use the base"],
    ],
    [
      "with a tensor of another shape",
      (tensors) => void tensors.set(first, f32(new Float32Array(32 * 8).fill(1), [32, 8])),
      [
        `1 tensors have another shape than the model needs: ${first} is [32, 8], needed [32, 4]. Use the base that the adapter was trained on.`,
      ],
    ],
    [
      "with a tensor of three dimensions",
      (tensors) => void tensors.set("model.norm.weight", f32(new Float32Array(32).fill(1), [2, 4, 4])),
      ["The adapter has 1 tensors that its configuration gives no place in this model: model.norm.weight."],
    ],
    [
      "that changes nothing",
      (tensors) => {
        for (const [name, { shape }] of tensors)
          if (name.endsWith("lora_B")) tensors.set(name, f32(new Float32Array(shape[0] * shape[1]), shape));
      },
      ["The adapter has no effect: its update is zero in every module. Train it first."],
    ],
  ])("%s is refused", async (name, change, says) => {
    const directory = join(folder, name);
    const { config, tensors, metadata } = await readPeftAdapter(trained);
    const changed = new Map(tensors);
    change(changed);
    await writePeftAdapter(directory, { config, tensors: changed, metadata });
    await refusedByAll({ model, adapter: directory }, "adapter-mismatch", [`${directory}: `, ...says]);
  });

  it.each<[string, (directory: string) => void, string, string]>([
    [
      "is missing",
      (directory) => rmSync(join(directory, "adapter_model.safetensors")),
      "not-found",
      "There is no adapter_model.safetensors.",
    ],
    [
      "has no configuration",
      (directory) => rmSync(join(directory, "adapter_config.json")),
      "not-found",
      "There is no adapter_config.json.",
    ],
    [
      "has a broken configuration",
      (directory) => writeFileSync(join(directory, "adapter_config.json"), '{"peft_type": '),
      "invalid-file",
      "adapter_config.json: The file is not valid JSON",
    ],
    [
      "has a configuration of another rank",
      (directory) => {
        const path = join(directory, "adapter_config.json");
        writeFileSync(path, readFileSync(path, "utf8").replace('"r": 4', '"r": 8'));
      },
      "adapter-mismatch",
      `${first} is [32, 4], needed [32, 8]`,
    ],
  ])("that %s is refused", async (name, change, code, says) => {
    const directory = join(folder, `an adapter that ${name}`);
    cpSync(trained, directory, { recursive: true });
    change(directory);
    await refusedByAll({ model, adapter: directory }, code, [directory, says]);
  });
});
