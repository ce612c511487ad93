import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { openCheckpoint, readPeftAdapter, readTensorF32 } from "../../formats/index.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const golden = (name: string, part: "model" | "adapter"): string => sharedPath("goldens", name, part);
const model = hasShared ? golden("llama.all-linear", "model") : "";
const adapter = hasShared ? golden("llama.all-linear", "adapter") : "";

const values = async (directory: string, name: string): Promise<Float32Array> =>
  (await readTensorF32((await openCheckpoint(directory)).tensors.get(name)!)).data as Float32Array;

describe.skipIf(!hasShared)("lowrank merge", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-merge-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const merge = (output: string, ...words: string[]) => lowrank(["merge", "--model", model, "--output", join(folder, output), ...words]);

  it("writes W + Σ scale·s·(A·B)ᵀ", async () => {
    const output = join(folder, "two");
    const { stdout, code } = await merge("two", "--adapter", `${adapter}:0.5`, "--adapter", `${adapter}:-2`);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        `^Merged model in ${output}: 325 kB\\.\\nRead back: its logits differ from base and adapter by \\d\\.\\de-\\d at most\\.\\n$`,
      ),
    );
    const { tensors } = await readPeftAdapter(adapter);
    const module = "model.layers.1.mlp.down_proj";
    const [A, B] = [tensors.get(`${module}.lora_A`)!, tensors.get(`${module}.lora_B`)!];
    const [inFeatures, rank] = A.shape;
    const outFeatures = B.shape[1];
    const before = await values(model, `${module}.weight`);
    const after = await values(output, `${module}.weight`);
    const expected = before.map((value, index) => {
      const [row, column] = [Math.floor(index / inFeatures), index % inFeatures];
      let product = 0;
      for (let k = 0; k < rank; k++) product += Number(A.data[column * rank + k]) * Number(B.data[k * outFeatures + row]);
      return value + (0.5 - 2) * 2 * product; // α/r = 16/8
    });
    expect(Math.max(...after.map((value, index) => Math.abs(value - expected[index])))).toBeLessThan(2e-6);
    expect(await values(output, "model.norm.weight")).toEqual(await values(model, "model.norm.weight"));
  });

  it.each<[string, string, number, number]>([
    ["source", "f32", 323_000, 2e-6],
    ["bf16", "bf16", 161_000, 2e-2],
    ["f16", "f16", 161_000, 3e-3],
  ])("writes --dtype %s and reads it back", async (dtype, stored, size, tolerance) => {
    const output = join(folder, dtype);
    const report = await lowrankJson(["merge", "--model", model, "--adapter", adapter, "--dtype", dtype, "--output", output]);
    expect(report).toMatchObject({ model, adapters: [{ directory: adapter, scale: 1 }], output, dtype });
    expect(Math.abs((report["bytes"] as number) - size)).toBeLessThan(3000);
    expect(report["largestDifference"]).toBeLessThan(tolerance);
    const { tensors, config } = await openCheckpoint(output);
    expect([...new Set([...tensors.values()].map((tensor) => tensor.dtype))]).toEqual([stored]);
    expect(config["torch_dtype"] ?? config["dtype"]).toBe({ f32: "float32", bf16: "bfloat16", f16: "float16" }[stored]);
  });

  it("keeps bf16 where the base has it", async () => {
    const output = join(folder, "kept");
    const parts = ["model", "adapter"].map((part) => golden("llama-bf16.qv", part as "model"));
    const report = await lowrankJson(["merge", "--model", parts[0], "--adapter", parts[1], "--output", output]);
    expect(report["largestDifference"]).toBeLessThan(2e-2);
    const { tensors } = await openCheckpoint(output);
    expect([...new Set([...tensors.values()].map(({ dtype }) => dtype))]).toEqual(["bf16"]);
  });

  it("unties a head that the adapter holds", async () => {
    const output = join(folder, "untied");
    const parts = ["model", "adapter"].map((part) => golden("llama.save-norm", part as "model"));
    const report = await lowrankJson(["merge", "--model", parts[0], "--adapter", parts[1], "--output", output]);
    expect(report["largestDifference"]).toBeLessThan(2e-6);
    const { config, tensors } = await openCheckpoint(output);
    expect(config["tie_word_embeddings"]).toBe(false);
    expect(tensors.get("lm_head.weight")?.shape).toEqual([199, 64]);
  });

  it("takes the tokenizer along", async () => {
    const base = sharedPath("models", "stories260k");
    const output = join(folder, "stories");
    const tuned = join(folder, "tuned");
    const { loadModel } = await import("../../language-model.ts");
    const opened = await loadModel(base);
    const attached = await opened.attach({ r: 2, init_lora_weights: false }, 1);
    await opened.saveAdapter(tuned, attached);
    await opened.close();
    expect((await lowrank(["merge", "--model", base, "--adapter", tuned, "--output", output])).code).toBe(0);
    expect(readdirSync(output)).toEqual([
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const prompt = ["--max-tokens", "12", "Once upon a time"];
    const merged = await lowrank(["generate", "--model", output, ...prompt]);
    expect(merged.stdout).toBe((await lowrank(["generate", "--model", base, "--adapter", tuned, "--no-merge", ...prompt])).stdout);
  });

  it("refuses a folder that is not empty, unless forced", async () => {
    const output = join(folder, "full");
    expect((await merge("full", "--adapter", adapter)).code).toBe(0);
    writeFileSync(join(output, "notes.txt"), "mine");
    const { stderr, code } = await merge("full", "--adapter", `${adapter}:3`);
    expect(oneLine(stderr)).toBe(
      `error: ${output}: The folder is not empty. Choose another folder with --output, or pass --force to write into this one.`,
    );
    expect(code).toBe(1);
    expect((await merge("full", "--adapter", `${adapter}:3`, "--force")).code).toBe(0);
    expect(readdirSync(output)).toContain("notes.txt");
  });

  it("refuses the base's own folder", async () => {
    const output = join(folder, "base");
    expect((await merge("base", "--adapter", adapter)).code).toBe(0);
    const { stderr, code } = await lowrank(["merge", "--model", output, "--adapter", adapter, "--output", output, "--force"]);
    expect(oneLine(stderr)).toContain("would overwrite the base");
    expect(code).toBe(1);
  });

  it("refuses an adapter for another model, and leaves nothing behind", async () => {
    const output = join(folder, "nothing");
    const { stderr, code } = await lowrank([
      "merge",
      "--model",
      sharedPath("models", "stories260k"),
      "--adapter",
      adapter,
      "--output",
      output,
    ]);
    expect(oneLine(stderr)).toContain(`${adapter}: 6 tensors have another shape than the model needs`);
    expect(code).toBe(1);
    expect(readdirSync(folder)).not.toContain("nothing");
  });
});
