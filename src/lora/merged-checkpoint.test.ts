import { mkdtemp, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { largestDifference, logitsAfter } from "../../test/model-logits.ts";
import { randomAdapter, tinyModel, tinyT5 } from "../../test/tiny-model.ts";
import { openCheckpoint, readTensor } from "../formats/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import type { LoraOptions } from "./config.ts";
import type { WeightedAdapter } from "./merge.ts";
import { writeMergedCheckpoint } from "./merged-checkpoint.ts";

let base: Base;
let encoderDecoder: Base;
let backend: Backend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(await tinyModel({ vocab_size: 97 }));
  // Its configuration does not say that what the tied head reads is scaled.
  encoderDecoder = await openBase(await tinyT5({ vocab_size: 97, scale_decoder_outputs: undefined }));
  backend = ortBackend({ threads: 1 });
});
afterAll(() => backend.dispose());

const folder = async (): Promise<string> => join(await mkdtemp(join(tmpdir(), "lowrank-merged-")), "model");
const adapterOn = async (config: LoraOptions, on = base): Promise<WeightedAdapter> => ({ ...(await randomAdapter(on, config)), weight: 1 });

const logitsOf = (model: Base, adapters: readonly WeightedAdapter[] = []): Promise<Float32Array> =>
  logitsAfter(backend, model, [1, 40, 17, 96, 3], adapters);

describe("a merged checkpoint", () => {
  it.each<[string, LoraOptions, boolean]>([
    ["every linear module", {}, true],
    ["a tied head", { target_modules: ["lm_head", "v_proj"] }, false],
    ["a tied head trained whole", { target_modules: ["q_proj"], modules_to_save: ["lm_head"] }, false],
    ["a tied embedding trained whole", { target_modules: ["q_proj"], modules_to_save: ["embed_tokens"] }, false],
    ["a tied embedding", { target_modules: ["embed_tokens", "q_proj"] }, false],
    ["rows of tokens", { target_modules: ["q_proj"], trainable_token_indices: [40, 3] }, true],
    ["rows of a tied head alone", { target_modules: ["q_proj"], trainable_token_indices: { lm_head: [40, 3] } }, false],
    ["every linear module, by DoRA", { use_dora: true }, true],
    ["norms trained whole", { target_modules: ["q_proj"], modules_to_save: ["norm"] }, true],
  ])("says by itself what base and adapter on %s say", async (_, config, isTied) => {
    const adapters = [await adapterOn(config)];
    const directory = await folder();
    await writeMergedCheckpoint(backend, base, adapters, directory);
    const merged = await openBase(directory);
    expect(merged.model.config["tie_word_embeddings"]).toBe(isTied);
    const [alone, beside] = [await logitsOf(merged), await logitsOf(base, adapters)];
    expect(largestDifference(alone, beside)).toBeLessThan(1e-4);
    expect(largestDifference(alone, await logitsOf(base))).toBeGreaterThan(0.05);
    expect(merged.digest).not.toBe(base.digest);
  });

  it.each<[string, LoraOptions, boolean]>([
    ["every linear module", {}, true],
    ["a head that is its embedding", { target_modules: ["q", "lm_head"] }, false],
    ["what its encoder and decoder read", { target_modules: ["q"], modules_to_save: ["embed_tokens"] }, true],
    ["rows of tokens", { target_modules: ["q"], trainable_token_indices: [40, 3] }, true],
    ["its biases by distance", { target_modules: ["q", "relative_attention_bias"] }, true],
  ])("of an encoder–decoder says what base and adapter on %s say", async (_, config, isTied) => {
    const adapters = [await adapterOn(config, encoderDecoder)];
    const directory = await folder();
    await writeMergedCheckpoint(backend, encoderDecoder, adapters, directory);
    const merged = await openBase(directory);
    expect(merged.model.config).toMatchObject({ tie_word_embeddings: isTied, scale_decoder_outputs: true });
    const beside = await logitsOf(encoderDecoder, adapters);
    expect(largestDifference(await logitsOf(merged), beside)).toBeLessThan(1e-4);
    expect(largestDifference(beside, await logitsOf(encoderDecoder))).toBeGreaterThan(0.01);
  });

  it("keeps the bytes that no adapter changes, and the tokenizer", async () => {
    const directory = await folder();
    await writeMergedCheckpoint(backend, base, [await adapterOn({ target_modules: ["lm_head", "layers.1.self_attn.q_proj"] })], directory);
    const [before, after] = [await openCheckpoint(base.directory), await openCheckpoint(directory)];
    const changed: string[] = [];
    for (const [name, location] of after.tensors) {
      const original = before.tensors.get(name);
      if (
        original === undefined ||
        Buffer.compare(Buffer.from((await readTensor(original)).data.buffer), Buffer.from((await readTensor(location)).data.buffer)) !== 0
      )
        changed.push(name);
    }
    expect(changed.sort()).toEqual(["lm_head.weight", "model.layers.1.self_attn.q_proj.weight"]);
    for (const file of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
      expect(await readFile(join(directory, file))).toEqual(await readFile(join(base.directory, file)));
  });

  it.each([
    ["bf16", "bfloat16", 0.1],
    ["f16", "float16", 0.01],
  ] as const)("can be written as %s", async (dtype, name, tolerance) => {
    const adapters = [await adapterOn({})];
    const directory = await folder();
    await writeMergedCheckpoint(backend, base, adapters, directory, { dtype });
    const { config, tensors } = await openCheckpoint(directory);
    expect(config["torch_dtype"]).toBe(name);
    expect(new Set([...tensors.values()].map((location) => location.dtype))).toEqual(new Set([dtype]));
    const [rounded, exact] = [await logitsOf(await openBase(directory)), await logitsOf(base, adapters)];
    expect(largestDifference(rounded, exact)).toBeLessThan(tolerance);
    // A checkpoint of half the size stays so when something is merged into it.
    const again = await folder();
    await writeMergedCheckpoint(backend, await openBase(directory), adapters, again);
    expect(new Set([...(await openCheckpoint(again)).tensors.values()].map((location) => location.dtype))).toEqual(new Set([dtype]));
  });

  it("is cut into shards that take the tensors in order, with an index", async () => {
    const adapters = [await adapterOn({})];
    const directory = await folder();
    await writeMergedCheckpoint(backend, base, adapters, directory, { shardBytes: 8000 });
    const files = (await readdir(directory)).filter((name) => name.endsWith(".safetensors"));
    expect(files.length).toBeGreaterThan(2);
    expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`);
    const index = JSON.parse(await readFile(join(directory, "model.safetensors.index.json"), "utf8")) as Record<string, object>;
    const { tensors } = await openCheckpoint(directory);
    expect(Object.keys(index["weight_map"]).toSorted()).toEqual([...tensors.keys()].toSorted());
    const sizes = files.map((file) =>
      [...tensors.values()].filter(({ path }) => path.endsWith(file)).reduce((sum, { bytes }) => sum + bytes, 0),
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8000);
    const [alone, beside] = [await logitsOf(await openBase(directory)), await logitsOf(base, adapters)];
    expect(largestDifference(alone, beside)).toBeLessThan(1e-4);
  });

  it("spells the configuration's numbers as the base does", async () => {
    const configPath = join(base.directory, "config.json");
    const own = await readFile(configPath, "utf8");
    const [float, directory] = [own.replace('"rope_theta": 10000', '"rope_theta": 10000.0'), await folder()];
    try {
      await writeFile(configPath, float);
      await writeMergedCheckpoint(backend, base, [await adapterOn({})], directory);
    } finally {
      await writeFile(configPath, own);
    }
    expect(await readFile(join(directory, "config.json"), "utf8")).toBe(float);
  });

  it("is refused as f16 where a value is too large, and leaves no file", async () => {
    const one = await adapterOn({ target_modules: ["layers.0.mlp.up_proj"] });
    const directory = await folder();
    const error = await writeMergedCheckpoint(backend, base, [{ ...one, weight: 1e7 }], directory, { dtype: "f16" }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: "invalid-data", where: "model.layers.0.mlp.up_proj.weight" });
    expect((error as Error).message).toContain(
      "The tensor has values above 65504, the largest that f16 can hold. Write bf16 or f32 instead.",
    );
    expect(await readdir(directory)).toEqual([]);
  });

  it("is not written over its base, by whatever path", async () => {
    const link = await folder();
    await symlink(base.directory, link);
    const before = await readFile(join(base.directory, "model.safetensors"));
    for (const directory of [base.directory, `${base.directory}/`, relative(process.cwd(), base.directory), link])
      await expect(writeMergedCheckpoint(backend, base, [await adapterOn({})], directory)).rejects.toThrow(
        "The merged model would overwrite the base that it is made from. Choose another folder.",
      );
    expect(await readFile(join(base.directory, "model.safetensors"))).toEqual(before);
  });
});
