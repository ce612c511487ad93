import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { greedy } from "../../../test/greedy.ts";
import { llamaCppGreedy, stopLlamaCpp } from "../../../test/llama-cpp.ts";
import { loadTokenizer, readGgufHeader, readPeftAdapter } from "../../formats/index.ts";
import { loadAdapter } from "../../lora/index.ts";
import { openBase } from "../../models/index.ts";
import { ortBackend } from "../../runtime/index.ts";
import { lowrank, lowrankJson, oneLine } from "./command.fixture.ts";

const model = resolve("assets/tiny");
const pirate = resolve("assets/adapters/pirate");
const folder = mkdtempSync(join(tmpdir(), "lowrank-export-"));
const at = (name: string): string => join(folder, name);
beforeAll(() => void vi.stubEnv("LOWRANK_CACHE", at("cache")));
afterAll(async () => {
  await stopLlamaCpp();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

describe("lowrank export and lowrank merge --format gguf", () => {
  it("write files in which llama.cpp goes on as generate does", async () => {
    const [base, adapter, merged] = ["base.gguf", "adapter.gguf", "merged.gguf"].map(at);
    expect((await lowrank(["export", "--model", model, "--output", base])).stdout).toBe(`Model in ${base}: 3.20 MB.\n`);
    expect((await lowrank(["export", "--model", model, "--adapter", pirate, "--output", adapter])).code).toBe(0);
    const report = await lowrankJson(["merge", "--model", model, "--adapter", pirate, "--format", "gguf", "--output", merged]);
    expect(report).toMatchObject({ output: merged, format: "gguf", dtype: "source", bytes: statSync(merged).size, notes: [] });

    const opened = await openBase(model);
    const stored = { ...(await loadAdapter(pirate, opened.model, { baseDigest: opened.digest })), weight: 1 };
    const ids = (await loadTokenizer(model)).encode("The little dog was happy.");
    const backend = ortBackend({ threads: 1 });
    const [plain, adapted] = [await greedy(backend, opened, ids, 64), await greedy(backend, opened, ids, 64, [stored])];
    await backend.dispose();
    expect(adapted).not.toEqual(plain);
    expect(await llamaCppGreedy(base, ids, 64)).toEqual(plain);
    expect(await llamaCppGreedy(base, ids, 64, { adapter })).toEqual(adapted);
    expect(await llamaCppGreedy(merged, ids, 64)).toEqual(adapted);
  });

  it.each<[string, string, number]>([
    ["f16", "f16", 1_620_000],
    ["bf16", "bf16", 1_620_000],
    ["q8_0", "q8_0", 880_000],
  ])("write matrices as %s and vectors as f32", async (dtype, type, size) => {
    const output = at(`${dtype}.gguf`);
    const { bytes } = await lowrankJson(["export", "--model", model, "--dtype", dtype, "--output", output]);
    expect(Math.abs((bytes as number) - size)).toBeLessThan(30_000);
    const { tensors } = await readGgufHeader(output);
    for (const { type: found, shape } of tensors.values()) expect(found).toBe(shape.length === 1 ? "f32" : type);
  });
});

describe("lowrank import", () => {
  it.each([
    ["gguf", "tales.gguf"],
    ["mlx", "tales-mlx"],
  ])("gives back what was written as %s", async (format, name) => {
    const [exported, imported] = [at(name), at(`${name}.peft`)];
    await lowrank(["export", "--model", model, "--adapter", pirate, "--format", format, "--output", exported]);
    const { stdout, stderr } = await lowrank(["import", exported, "--model", model, "--output", imported]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(new RegExp(`^Adapter in ${imported}: rank \\d+, α \\d+, \\d+ modules, [\\d,]+ parameters\\.\\n$`));
    const [before, after] = [await readPeftAdapter(pirate), await readPeftAdapter(imported)];
    expect(Object.fromEntries(after.tensors)).toEqual(Object.fromEntries(before.tensors));
    expect(after.config["base_model_name_or_path"]).toBe(model);
    const report = await lowrankJson([
      "generate",
      "--model",
      model,
      "--adapter",
      imported,
      "--max-tokens",
      "8",
      "--temperature",
      "0",
      "Once",
    ]);
    const own = await lowrankJson(["generate", "--model", model, "--adapter", pirate, "--max-tokens", "8", "--temperature", "0", "Once"]);
    expect(report["text"]).toBe(own["text"]);
  });
});

describe("refused are", () => {
  const output = (name: string): string[] => ["--output", at(name)];
  it.each<[string, string[], string]>([
    ["a model for mlx-lm", ["export", "--model", model, "--format", "mlx", ...output("x")], "--format mlx is for adapters"],
    [
      "a precision that adapters do not have",
      ["export", "--model", model, "--adapter", pirate, "--dtype", "q8_0", ...output("x")],
      "an adapter is written as f32 or f16, not q8_0.",
    ],
    [
      "a precision for mlx-lm",
      ["export", "--model", model, "--adapter", pirate, "--format", "mlx", "--dtype", "f16", ...output("x")],
      "--dtype is for GGUF files.",
    ],
    [
      "a strength",
      ["export", "--model", model, "--adapter", `${pirate}:0.5`, ...output("x")],
      "an adapter is written as it is; its strength is set where it is used. Leave out :0.5.",
    ],
    [
      "a file that is there",
      ["export", "--model", model, ...output("there.gguf")],
      "The file is there already. Choose another name with --output, or pass --force",
    ],
    [
      "a folder for a file",
      ["merge", "--model", model, "--adapter", pirate, "--format", "gguf", "--force", ...output("")],
      "This is a folder; a file is written.",
    ],
    [
      "a GGUF precision for safetensors",
      ["merge", "--model", model, "--adapter", pirate, "--dtype", "q8_0", ...output("x")],
      "--dtype q8_0 is a type of GGUF files.",
    ],
    [
      "a size of nothing",
      ["merge", "--model", model, "--adapter", pirate, "--shard-size", "0", ...output("x")],
      '--shard-size takes a size, not "0".',
    ],
    [
      "an adapter of PEFT",
      ["import", pirate, "--model", model, ...output("x")],
      "This adapter is in PEFT's form already. Use it with --adapter as it is.",
    ],
    ["a folder without adapters", ["import", model, "--model", model, ...output("x")], "This folder holds no adapter."],
    ["another file", ["import", resolve("package.json"), "--model", model, ...output("x")], "package.json: This is not a GGUF file."],
  ])("%s", async (_, words, message) => {
    writeFileSync(at("there.gguf"), "mine");
    const before = readdirSync(folder);
    const { stderr, code } = await lowrank(words);
    expect(oneLine(stderr)).toContain(message);
    expect(code).toBe(1);
    expect(readdirSync(folder)).toEqual(before);
    expect(existsSync(at("x"))).toBe(false);
  });
});
