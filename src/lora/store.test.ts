import { cp, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readPeftAdapter, writePeftAdapter } from "../formats/index.ts";
import { openBase, type Base } from "../models/index.ts";
import { f32, type HostTensor } from "../util/index.ts";
import { loadAdapter, saveAdapter } from "./store.ts";

const golden = resolve(import.meta.dirname, "../../test/golden/llama.all-linear");
const first = "model.layers.0.self_attn.q_proj.lora_A";

let base: Base;
let folder: string;
beforeAll(async () => {
  process.env["LOWRANK_CACHE"] = await mkdtemp(join(tmpdir(), "lowrank-cache-"));
  base = await openBase(join(golden, "model"));
  folder = await mkdtemp(join(tmpdir(), "lowrank-store-"));
});

const load = (directory: string, options: object = {}) => loadAdapter(directory, base.model, { baseDigest: base.digest, ...options });

/** The golden adapter with some of its tensors changed. */
const tampered = async (name: string, change: (tensors: Map<string, HostTensor>) => void, metadata = {}): Promise<string> => {
  const directory = join(folder, name);
  const { config, tensors } = await readPeftAdapter(join(golden, "adapter"));
  const changed = new Map(tensors);
  change(changed);
  await writePeftAdapter(directory, { config, tensors: changed, metadata });
  return directory;
};

describe("adapter folders", () => {
  it("keep every byte of PEFT's tensors through loading and saving", async () => {
    const stored = await load(join(golden, "adapter"));
    expect(stored.adapter.layout.size).toBe(15616);
    await saveAdapter(join(folder, "again"), base.model, stored, base.digest);
    const [ours, theirs] = [await readPeftAdapter(join(folder, "again")), await readPeftAdapter(join(golden, "adapter"))];
    expect(Object.fromEntries(ours.tensors)).toEqual(Object.fromEntries(theirs.tensors));
    expect(ours.metadata["lowrank.base"]).toBe(base.digest);
    expect(ours.config["target_modules"]).toEqual(expect.arrayContaining(theirs.config["target_modules"] as string[]));
  });

  it("of encoder–decoders name no task, which PEFT could not open beside transformers 5, but the base's class", async () => {
    const golden = resolve(import.meta.dirname, "../../test/golden/t5.all-linear");
    const t5 = await openBase(join(golden, "model"));
    const { adapter, ...rest } = await loadAdapter(join(golden, "adapter"), t5.model, { baseDigest: t5.digest });
    const named = { ...rest, adapter: { ...adapter, config: { ...adapter.config, task_type: "SEQ_2_SEQ_LM" } } };
    await saveAdapter(join(folder, "t5"), t5.model, named, t5.digest);
    const { config } = await readPeftAdapter(join(folder, "t5"));
    const theirs = (await readPeftAdapter(join(golden, "adapter"))).config;
    expect(config).toMatchObject({ task_type: null, auto_mapping: theirs["auto_mapping"] });
    const { architectures: _, ...anonymous } = t5.model.config;
    await saveAdapter(join(folder, "anonymous"), { ...t5.model, config: anonymous }, named, t5.digest);
    expect((await readPeftAdapter(join(folder, "anonymous"))).config).toMatchObject({ task_type: null, auto_mapping: null });
  });

  it("are the same bytes when the same adapter is saved twice", async () => {
    const stored = await load(join(golden, "adapter"));
    for (const name of ["one", "two"]) await saveAdapter(join(folder, name), base.model, stored, base.digest);
    for (const file of ["adapter_model.safetensors", "adapter_config.json"])
      expect(await readFile(join(folder, "one", file))).toEqual(await readFile(join(folder, "two", file)));
  });

  it.each<[string, (tensors: Map<string, HostTensor>) => void, string]>([
    ["a missing tensor", (tensors) => void tensors.delete(first), `The adapter lacks 1 of its tensors: ${first}.`],
    [
      "an extra tensor",
      (tensors) => void tensors.set("model.layers.7.mlp.up_proj.lora_A", f32(new Float32Array(8), [4, 2])),
      "model.layers.7.mlp.up_proj.lora_A",
    ],
    [
      "a misshaped tensor",
      (tensors) => void tensors.set(first, f32(new Float32Array(32 * 8), [32, 8])),
      `${first} is [32, 8], needed [64, 8]`,
    ],
    [
      "no effect",
      (tensors) => tensors.forEach(({ data }, name) => name.endsWith("lora_B") && data.fill(0 as never)),
      "The adapter has no effect: its update is zero in every module.",
    ],
    [
      "a value that is none",
      (tensors) => tensors.get(first)!.data.fill(NaN as never, 1, 2),
      `${first} holds values that are not finite numbers.`,
    ],
  ])("are refused with %s", async (name, change, message) => {
    const directory = await tampered(name.replaceAll(" ", "-"), change);
    const error = await load(directory).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: message.includes("finite") ? "invalid-file" : "adapter-mismatch", where: directory });
    expect((error as Error).message).toContain(message);
  });

  it("are refused on another base, unless that is meant", async () => {
    const directory = await tampered("other-base", () => {}, { "lowrank.base": `sha256:${"0".repeat(64)}` });
    await expect(load(directory)).rejects.toThrow("The adapter was trained on the base sha256:000000000000…");
    expect((await load(directory, { allowOtherBase: true })).parameters).toHaveLength(15616);
  });

  it("are refused when cut short", async () => {
    const directory = join(folder, "cut");
    await cp(join(golden, "adapter"), directory, { recursive: true });
    const path = join(directory, "adapter_model.safetensors");
    await writeFile(path, (await readFile(path)).subarray(0, 20_000));
    await expect(load(directory)).rejects.toMatchObject({ code: "invalid-file", where: expect.stringContaining(path) as unknown });
  });
});
