import { chmod, cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { openCheckpoint, tensorChunks, writeCheckpoint } from "../formats/index.ts";
import { createDecoder } from "../generate/create-decoder.ts";
import { baseInference } from "../generate/inference.ts";
import { program } from "../graph/index.ts";
import { loadAdapter, saveAdapter, writeMergedCheckpoint } from "../lora/index.ts";
import { frozenModules, openBase, storedValues, type Base } from "../models/index.ts";
import { ortBackend, type Backend } from "../runtime/index.ts";
import { hiddenStates, tokenInputs } from "../train/forward.ts";
import { i32, random } from "../util/index.ts";
import { verifyGolden } from "./verify.ts";

let backend: Backend;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  backend = ortBackend({ threads: 1 });
});
afterAll(() => backend.dispose());

const dense = ["gemma", "gemma2", "gemma3", "gpt2", "granite", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3"];
const families = [...dense.map((family) => `${family}.all-linear`), "qwen3_moe.attn"];

describe.skipIf(!hasShared)("against transformers and PEFT", () => {
  it.each(families)("%s has the recorded logits, gradients and training curve", async (golden) => {
    const { logits, gradients, losses } = await verifyGolden(backend, sharedPath("goldens", golden));
    expect(Math.max(...Object.values(logits))).toBeLessThan(2e-4);
    expect(Math.max(...Object.values(gradients))).toBeLessThan(1e-3);
    expect(Math.max(...losses)).toBeLessThan(1e-3);
  });

  it.each(["bert-cls.qv-bert", "gpt2-cls.all-linear", "roberta-cls.qv-bert"])(
    "%s has the recorded logits, gradients and training curve",
    async (reference) => {
      const { logits, gradients, losses } = await verifyGolden(backend, sharedPath("goldens", reference));
      expect(Math.max(...Object.values(logits))).toBeLessThan(2e-4);
      expect(Math.max(...Object.values(gradients))).toBeLessThan(1e-3);
      expect(Math.max(...losses)).toBeLessThan(1e-3);
    },
  );

  it("llama in bfloat16 has them with the rounded frequencies of the recording, and without them is off by what the recording says", async () => {
    const folder = join(await mkdtemp(join(tmpdir(), "lowrank-bf16-")), "golden");
    await cp(sharedPath("goldens", "llama-bf16.qv"), folder, { recursive: true });
    const { logits, gradients, losses, rounded } = await verifyGolden(backend, folder);
    expect(rounded).toBe("bf16");
    expect(Math.max(...Object.values(logits))).toBeLessThan(2e-6);
    expect(Math.max(...Object.values(gradients))).toBeLessThan(5e-6);
    expect(Math.max(...losses)).toBeLessThan(5e-6);

    const path = join(folder, "golden.json");
    const { recipe: _, ...golden } = JSON.parse(await readFile(path, "utf8")) as { recipe: object; merged_vs_unmerged_max_abs: number };
    await chmod(path, 0o600);
    await writeFile(path, JSON.stringify(golden));
    const unrounded = await verifyGolden(backend, folder);
    expect(unrounded.rounded).toBeUndefined();
    expect(unrounded.logits.merged).toBeLessThan(2e-6);
    expect(unrounded.logits.adapter).toBeCloseTo(golden.merged_vs_unmerged_max_abs, 5);
  });
});

describe.skipIf(!hasShared)("a checkpoint saved without its head", () => {
  it("opens as the same model though its names lack the prefix, and merges as the same", async () => {
    const golden = sharedPath("goldens", "gpt2.all-linear");
    const { config, tensors } = await openCheckpoint(join(golden, "model"));
    const folder = await mkdtemp(join(tmpdir(), "lowrank-headless-"));
    const sources = [...tensors].map(([name, location]) => ({
      ...location,
      name: name.replace("transformer.", ""),
      chunks: () => tensorChunks(location),
    }));
    await writeCheckpoint(join(folder, "model"), { config, tensors: sources });
    const [original, headless] = [await openBase(join(golden, "model")), await openBase(join(folder, "model"))];
    expect([...headless.weights.keys()].toSorted()).toEqual([...original.weights.keys()].toSorted());

    const merge = async (base: Base, name: string) => {
      const options = { baseDigest: base.digest };
      const adapter = { ...(await loadAdapter(join(golden, "adapter"), base.model, options)), weight: 1 };
      await writeMergedCheckpoint(backend, base, [adapter], join(folder, name));
      const merged = await openBase(join(folder, name));
      return storedValues(merged, "transformer.h.1.attn.c_attn.weight");
    };
    const expected = await merge(original, "merged");
    expect(await merge(headless, "merged-headless")).toEqual(expected);
    expect(expected).not.toEqual(await storedValues(original, "transformer.h.1.attn.c_attn.weight"));
  });

  it("and one adapted through weights that lie as (in, out) is saved with PEFT's word for it", async () => {
    const golden = sharedPath("goldens", "gpt2.all-linear");
    const base = await openBase(join(golden, "model"));
    const adapter = await loadAdapter(join(golden, "adapter"), base.model, { baseDigest: base.digest });
    const folder = await mkdtemp(join(tmpdir(), "lowrank-gpt2-"));
    await saveAdapter(join(folder, "saved"), base.model, adapter, base.digest);
    expect(JSON.parse(await readFile(join(folder, "saved/adapter_config.json"), "utf8"))).toMatchObject({ fan_in_fan_out: true });
    expect((await loadAdapter(join(folder, "saved"), base.model, { baseDigest: base.digest })).parameters).toEqual(adapter.parameters);
  });
});

describe.skipIf(!hasShared)("with a cache", () => {
  it.each(families)("%s has the logits of one pass, in whatever chunks the tokens come", async (golden) => {
    const base = await openBase(sharedPath("goldens", golden, "model"));
    const { model } = base;
    const stream = random(3);
    const T = 40;
    const ids = Int32Array.from({ length: T }, () => stream.integer(model.vocabularySize));
    const modules = frozenModules(base);
    const executable = await backend.compile(
      program({ logits: model.head.logits(modules, hiddenStates({ model, differentiable: false }, modules, tokenInputs({ B: 1, T }))) }),
    );
    const { logits } = await executable.run({
      ids: i32(ids, [1, T]),
      positions: i32([...ids.keys()], [1, T]),
      segments: i32(new Int32Array(T).fill(1), [1, T]),
    });
    const { data } = logits as { data: Float32Array };
    const decoder = await createDecoder(backend, baseInference(base), new Map(), 1);
    let end = 0;
    for (const count of [5, 1, 1, 20, 10, 1, 1, 1]) {
      const row = await decoder.append([...ids.subarray(end, end + count)]);
      end += count;
      const expected = data.subarray((end - 1) * model.vocabularySize, end * model.vocabularySize);
      expect(Math.max(...row.map((value, index) => Math.abs(value - expected[index])))).toBeLessThan(2e-5);
    }
    expect(end).toBe(T);
  });
});
