import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { rows, writeRows } from "../../../test/faults/material.ts";
import { tinyModel } from "../../../test/tiny-model.ts";
import { loraConfig, variantOf } from "../../lora/index.ts";
import { adapterConfig, adapterOptions } from "./adapter-options.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const configured = (given: object) => {
  const options = { model: "base", ...z.object(adapterOptions).parse(given) };
  return loraConfig(adapterConfig(options, { encode: (text) => Array.from(text, (letter) => letter.charCodeAt(0)) }));
};

describe("the flags of an adapter", () => {
  it.each([
    [{}, "LoRA", { r: 8, lora_alpha: 16, target_modules: "all-linear", bias: "none", trainable_token_indices: null }],
    [{ rank: 4, alpha: 3, rslora: true }, "LoRA", { r: 4, lora_alpha: 3, use_rslora: true }],
    [{ adapterKind: "dora", targets: ["q_proj", "v_proj"] }, "DoRA", { r: 8, target_modules: ["q_proj", "v_proj"] }],
    [{ adapterKind: "lora-fa" }, "LoRA-FA", { freeze_A: true }],
    [{ adapterKind: "vera", dropout: 0.1 }, "VeRA", { r: 256, lora_dropout: 0.1 }],
    [{ adapterKind: "adalora" }, "AdaLoRA", { r: 12, lora_alpha: 24, adalora: expect.objectContaining({ target_r: 8 }) as object }],
    [{ adapterKind: "adalora", rank: 6, targetRank: 2 }, "AdaLoRA", { r: 6, adalora: expect.objectContaining({ target_r: 2 }) as object }],
    [{ loraBias: true }, "LoRA with a bias", { lora_bias: true }],
    [{ bias: "lora_only", trainTokens: ["A", "Z"] }, "LoRA", { bias: "lora_only", trainable_token_indices: [65, 90] }],
  ])("%j mean %s", (given, kind, expected) => {
    const config = configured(given);
    expect(variantOf(config).name).toBe(kind);
    expect(config).toMatchObject(expected);
  });

  it.each([
    [{ trainTokens: ["AB"] }, '--train-tokens: "AB" is 2 tokens. Name single tokens of the model\'s vocabulary.'],
    [{ adapterKind: "dora", loraBias: true }, "exclude each other"],
    [{ adapterKind: "vera", rslora: true }, 'A VERA configuration has no "use_rslora".'],
  ])("%j are refused", (given, message) => expect(() => configured(given)).toThrow(message));
});

describe("train --adapter-kind", () => {
  const folder = mkdtempSync(join(tmpdir(), "lowrank-kinds-"));
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await tinyModel();
    data = writeRows(join(folder, "train.jsonl"), rows(12));
  });
  afterAll(() => [folder, model].forEach((path) => rmSync(path, { recursive: true })));

  const train = (output: string, ...words: string[]): string[] => {
    const common = [
      "--model",
      model,
      "--data",
      data,
      "--seq-length",
      "32",
      "--max-steps",
      "3",
      "--batch-size",
      "4",
      "--learning-rate",
      "0.05",
    ];
    return ["train", ...common, "--output", join(folder, output), ...words];
  };

  it.each([
    ["dora", ["--train-tokens", "<user>"], { use_dora: true, trainable_token_indices: [3] }, "a DoRA adapter"],
    [
      "adalora",
      ["--rank", "4", "--target-rank", "2"],
      { peft_type: "ADALORA", init_r: 4, target_r: 2, total_step: 3 },
      "an AdaLoRA adapter",
    ],
    ["vera", ["--rank", "16"], { peft_type: "VERA", r: 16 }, "a VeRA adapter"],
  ])("trains %s, and every command takes the result", async (kind, words, expected, called) => {
    await lowrankJson(train(kind, "--adapter-kind", kind, ...words));
    const output = join(folder, kind);
    expect(JSON.parse(readFileSync(join(output, "adapter_config.json"), "utf8"))).toMatchObject(expected);
    expect((await lowrank(["inspect", output])).stdout).toContain(called);
    const say = async (...from: string[]) =>
      (await lowrankJson(["generate", ...from, "--max-tokens", "4", "--temperature", "0", "Hi"]))["text"];
    const merged = join(folder, `${kind}-merged`);
    await lowrank(["merge", "--model", model, "--adapter", output, "--output", merged]);
    expect(await say("--model", model, "--adapter", output)).toBe(await say("--model", merged));
  });

  it("says what cannot go together", async () => {
    const { stderr, code } = await lowrank(train("x", "--adapter-kind", "dora", "--init", "pissa"));
    expect(oneLine(stderr)).toContain('DoRA cannot begin with "init_lora_weights": "pissa". Choose another start, or plain LoRA.');
    expect(code).toBe(1);
  });
});
