import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { f32, i32, LowrankError, type HostTensor } from "../util/index.ts";
import { ourName, peftName, readPeftAdapter, turnFactor, writePeftAdapter, type PeftContent, type PeftType } from "./peft.ts";
import { tensorSources, writeSafetensors } from "./safetensors-write.ts";
import { readSafetensorsHeader, readTensor } from "./safetensors.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lowrank-peft-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (...names: string[]): string => join(folder, ...names);

/** Writes an adapter folder as PEFT would, without this file's writer. */
const peftFolder = async (tensors: Record<string, HostTensor>, config: unknown = { peft_type: "LORA" }): Promise<void> => {
  await writeFile(at("adapter_config.json"), JSON.stringify(config));
  await writeSafetensors(at("adapter_model.safetensors"), tensorSources(new Map(Object.entries(tensors))), { format: "pt" });
};

const storedTensors = async (directory: string): Promise<Map<string, HostTensor>> => {
  const found = new Map<string, HostTensor>();
  for (const [name, location] of (await readSafetensorsHeader(join(directory, "adapter_model.safetensors"))).tensors)
    found.set(name, await readTensor(location));
  return found;
};

const refusal = async (action: Promise<unknown>): Promise<LowrankError> => {
  const error = await action.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!LowrankError.is(error)) throw new Error(`No error of ours: ${String(error)}`);
  return error;
};

describe("names", () => {
  const q = "model.layers.0.self_attn.q_proj";
  const table: [key: string, name: string, turned: boolean][] = [
    [`base_model.model.${q}.lora_A.weight`, `${q}.lora_A`, true],
    [`base_model.model.${q}.lora_B.weight`, `${q}.lora_B`, true],
    [`base_model.model.${q}.lora_B.bias`, `${q}.lora_B.bias`, false],
    [`base_model.model.${q}.lora_magnitude_vector`, `${q}.lora_magnitude_vector`, false],
    ["base_model.model.embed.lora_embedding_A", "embed.lora_embedding_A", true],
    ["base_model.model.embed.lora_embedding_B", "embed.lora_embedding_B", true],
    [`base_model.model.${q}.base_layer.bias`, `${q}.bias`, false],
    ["base_model.model.embed.token_adapter.trainable_tokens_delta", "embed.token_rows", false],
    ["base_model.model.score.weight", "score.weight", false],
    ["base_model.model.score.bias", "score.bias", false],
    ["base_model.model.lora_tower.proj.lora_A.weight", "lora_tower.proj.lora_A", true],
  ];

  it.each(table)("%s", (key, name, turned) => {
    expect(ourName(key)).toEqual({ name, turned });
    expect(peftName(name, new Set([q]))).toEqual({ name: key, turned });
  });

  it.each<[type: PeftType, key: string, name: string, turned: boolean]>([
    ["ADALORA", `base_model.model.${q}.lora_A`, `${q}.lora_A`, true],
    ["ADALORA", `base_model.model.${q}.lora_B`, `${q}.lora_B`, true],
    ["ADALORA", `base_model.model.${q}.lora_E`, `${q}.lora_E`, false],
    ["ADALORA", "base_model.model.score.weight", "score.weight", false],
    ["VERA", `base_model.model.${q}.vera_lambda_b`, `${q}.vera_lambda_b`, false],
    ["VERA", `base_model.model.${q}.vera_lambda_d`, `${q}.vera_lambda_d`, false],
    ["VERA", `base_model.model.${q}.base_layer.bias`, `${q}.bias`, false],
    ["VERA", "base_model.vera_A", "vera_A", true],
    ["VERA", "base_model.vera_B", "vera_B", true],
  ])("%s: %s", (type, key, name, turned) => {
    expect(ourName(key, type)).toEqual({ name, turned });
    expect(peftName(name, new Set([q]), type)).toEqual({ name: key, turned });
  });

  it.each<[PeftType, string]>([
    ["ADALORA", `base_model.model.${q}.lora_A.weight`],
    ["ADALORA", "base_model.vera_A"],
    ["VERA", `base_model.model.${q}.lora_A`],
    ["VERA", `base_model.model.${q}.vera_A`],
  ])("%s does not know %s", (type, key) => expect(ourName(key, type)).toBeUndefined());

  it("puts a bias beside its weight where nothing is adapted", () => {
    expect(peftName(`${q}.bias`)).toEqual({ name: `base_model.model.${q}.bias`, turned: false });
  });

  it("knows the factors of a parameter that PEFT has wrapped before others of its module", () => {
    const name = "model.layers.0.mlp.experts.base_layer.base_layer.lora_B";
    const place = { name, turned: true };
    expect(ourName(`base_model.model.${name}.weight`)).toEqual(place);
    expect(peftName(name)).toEqual({ ...place, name: `base_model.model.${name}.weight` });
  });

  it.each([
    "model.embed_tokens.base_layer.weight",
    "classifier.original_module.bias",
    "classifier.modules_to_save.bias",
    "classifier.modules_to_save.default.out_proj.bias",
  ])("skips %s, a copy", (key) => expect(ourName(`base_model.model.${key}`)).toBeNull());

  it.each([
    `${q}.lora_A.weight`,
    "base_model.transformer.q.lora_A.weight",
    "base_model.model.lora_A.weight",
    "base_model.model..lora_A.weight",
    "base_model.model.weight",
    `base_model.model.${q}.lora_A`,
    `base_model.model.${q}.lora_A.bias`,
    `base_model.model.${q}.lora_A.default.weight`,
    `base_model.model.${q}.lora_E`,
    `base_model.model.${q}.lora_magnitude_vector.weight`,
    `base_model.model.${q}.base_layer.lora_embedding_A`,
    `base_model.model.base_layer.${q}.lora_A.weight`,
    `base_model.model.${q}.base_layer.base_layer.weight`,
    "base_model.model.classifier.modules_to_save.weight",
    "base_model.model.classifier.original_module.weight",
    `base_model.model.${q}.vera_lambda_b`,
    "base_model.model.embed.token_adapter.base_layer.weight",
    "base_model.model.norm.gamma",
    "base_model.vera_A",
    "",
  ])("does not know %j", (key) => {
    expect(ourName(key)).toBeUndefined();
  });

  it.each(["lora_A", "q.lora_A.weight", "q.base_layer.bias", "q.scale", ".weight", ""])("has no key for %j", (name) => {
    expect(peftName(name)).toBeUndefined();
  });

  it("are inverse to each other", () => {
    const module = fc.array(fc.stringMatching(/^[a-z0-9_]{1,6}$/), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("."));
    const ending = fc.constantFrom(...new Set(table.map(([, name]) => /\.(lora_.*|token_rows|weight|bias)$/.exec(name)![0])));
    fc.assert(
      fc.property(module, ending, fc.boolean(), (path, suffix, adapted) => {
        const key = peftName(`${path}${suffix}`, new Set(adapted ? [path] : []));
        expect(ourName(key!.name)).toEqual({ name: `${path}${suffix}`, turned: key!.turned });
      }),
    );
    fc.assert(
      fc.property(fc.string(), (text) => {
        const place = ourName(`base_model.model.${text}`);
        if (place) expect(peftName(place.name, new Set([place.name.replace(/\.bias$/, "")]))).toBeDefined();
      }),
    );
  });
});

describe("turnFactor", () => {
  it("transposes", () => {
    expect(turnFactor(f32([1, 2, 3, 4, 5, 6], [2, 3]), "x")).toEqual(f32([1, 4, 2, 5, 3, 6], [3, 2]));
  });

  it("undoes itself", () => {
    fc.assert(
      fc.property(fc.nat(7), fc.nat(7), (rows, columns) => {
        const tensor = f32(
          Float32Array.from({ length: rows * columns }, (_, index) => index),
          [rows, columns],
        );
        expect(turnFactor(turnFactor(tensor, "x"), "x")).toEqual(tensor);
      }),
    );
  });
});

describe("reading", () => {
  it("turns A and B into the formula's orientation and widens halves", async () => {
    await peftFolder({
      "base_model.model.q.lora_A.weight": f32([1, 2, 3, 4, 5, 6], [2, 3]),
      "base_model.model.q.lora_B.weight": { dtype: "bf16", shape: [1, 2], data: Uint16Array.of(0x3f80, 0x4000) },
      "base_model.model.q.base_layer.bias": { dtype: "f16", shape: [1], data: Uint16Array.of(0x3c00) },
      "base_model.model.head.base_layer.weight": f32([0]),
      "base_model.model.head.weight": f32([7, 8, 9], [3, 1]),
    });
    const adapter = await readPeftAdapter(folder);
    expect(adapter).toMatchObject({ directory: folder, config: { peft_type: "LORA" }, metadata: { format: "pt" } });
    expect(adapter.tensors).toEqual(
      new Map([
        ["q.lora_A", f32([1, 4, 2, 5, 3, 6], [3, 2])],
        ["q.lora_B", f32([1, 2], [2, 1])],
        ["q.bias", f32([1])],
        ["head.weight", f32([7, 8, 9], [3, 1])],
      ]),
    );
  });

  const good = { "base_model.model.q.lora_A.weight": f32([1, 2], [1, 2]) };
  it.each<[what: string, prepare: () => Promise<unknown>, code: string, telling: string]>([
    ["an empty folder", async () => {}, "not-found", "There is no adapter_config.json. Name a folder with an adapter"],
    ["a model", () => writeFile(at("config.json"), "{}"), "not-found", "This folder holds a model"],
    [
      "a configuration cut short",
      () => peftFolder(good).then(() => writeFile(at("adapter_config.json"), '{"peft')),
      "invalid-file",
      "adapter_config.json: The file is not",
    ],
    ["no peft_type", () => peftFolder(good, {}), "invalid-config", 'adapter_config.json: "peft_type" is missing'],
    [
      "another kind of adapter",
      () => peftFolder(good, { peft_type: "IA3" }),
      "unsupported",
      '"peft_type" is "IA3"; known: LORA, ADALORA, VERA',
    ],
    [
      "no weights",
      () => writeFile(at("adapter_config.json"), '{"peft_type":"LORA"}'),
      "not-found",
      "There is no adapter_model.safetensors",
    ],
    [
      "pickles only",
      () => writeFile(at("adapter_config.json"), '{"peft_type":"LORA"}').then(() => writeFile(at("adapter_model.bin"), "PK")),
      "unsupported",
      "adapter_model.bin: This is a file of Python pickles, which can run code when they are read; only safetensors is read. Convert it once",
    ],
    [
      "weights cut short",
      () => peftFolder(good).then(() => writeFile(at("adapter_model.safetensors"), "1234567890")),
      "invalid-file",
      "adapter_model.safetensors: ",
    ],
    [
      "a tensor of no known form",
      () => peftFolder({ ...good, "base_model.model.q.lora_C.weights": f32([1]) }),
      "unsupported",
      'tensor "base_model.model.q.lora_C.weights": ',
    ],
    [
      "a factor of one dimension",
      () => peftFolder({ "base_model.model.q.lora_B.weight": f32([1, 2]) }),
      "shape-mismatch",
      'q.lora_B.weight": A low-rank factor has two dimensions; this one is [2]',
    ],
    [
      "integers",
      () => peftFolder({ "base_model.model.q.lora_A.weight": i32([1], [1, 1]) }),
      "invalid-file",
      "It holds i32 values; floats are expected",
    ],
    [
      "two keys of one tensor",
      () => peftFolder({ "base_model.model.q.bias": f32([1]), "base_model.model.q.base_layer.bias": f32([1]) }),
      "invalid-file",
      'The file holds "q.bias" twice',
    ],
  ])("refuses %s", async (_, prepare, code, telling) => {
    await prepare();
    const error = await refusal(readPeftAdapter(folder));
    expect(error.message).toContain(telling);
    expect(error.message).toContain(folder);
    expect(error.code).toBe(code);
  });

  it("refuses a folder that is not there", async () => {
    expect(await refusal(readPeftAdapter(at("nowhere")))).toMatchObject({ code: "not-found", where: at("nowhere") });
  });
});

describe("writing", () => {
  const content: PeftContent = {
    config: { r: 2, peft_type: "LORA", rank_pattern: { b: 1, a: 2 }, unknown_key: [null] },
    tensors: new Map([
      ["q.lora_A", f32([1, 4, 2, 5, 3, 6], [3, 2])],
      ["q.lora_B", f32([1, 2], [2, 1])],
      ["q.bias", f32([3])],
      ["q.lora_magnitude_vector", f32([4])],
      ["embed.lora_embedding_A", f32([1, 2, 3], [3, 1])],
      ["embed.lora_embedding_B", f32([1, 2], [1, 2])],
      ["norm.bias", f32([5])],
    ]),
    metadata: { base: "sha256:0" },
  };

  it("is PEFT's layout", async () => {
    await writePeftAdapter(folder, content);
    expect(await readdir(folder)).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(await readFile(at("adapter_config.json"), "utf8")).toBe(
      '{\n  "peft_type": "LORA",\n  "r": 2,\n  "rank_pattern": {\n    "a": 2,\n    "b": 1\n  },\n  "unknown_key": [\n    null\n  ]\n}',
    );
    expect((await readSafetensorsHeader(at("adapter_model.safetensors"))).metadata).toEqual({ base: "sha256:0", format: "pt" });
    expect(await storedTensors(folder)).toEqual(
      new Map([
        ["base_model.model.embed.lora_embedding_A", f32([1, 2, 3], [1, 3])],
        ["base_model.model.embed.lora_embedding_B", f32([1, 2], [2, 1])],
        ["base_model.model.norm.bias", f32([5])],
        ["base_model.model.q.base_layer.bias", f32([3])],
        ["base_model.model.q.lora_A.weight", f32([1, 2, 3, 4, 5, 6], [2, 3])],
        ["base_model.model.q.lora_B.weight", f32([1, 2], [1, 2])],
        ["base_model.model.q.lora_magnitude_vector", f32([4])],
      ]),
    );
  });

  it("is undone by reading, and the same bytes again", async () => {
    await writePeftAdapter(at("one"), content);
    const { directory: _, ...read } = await readPeftAdapter(at("one"));
    expect(read).toEqual({ ...content, metadata: { ...content.metadata, format: "pt" } });
    await writePeftAdapter(at("two"), read);
    for (const name of await readdir(at("one"))) expect(await readFile(at("two", name))).toEqual(await readFile(at("one", name)));
  });

  it.each<[what: string, tensors: [string, HostTensor][], code: string, telling: string]>([
    [
      "a name without a place",
      [["q.lora_A.weight", f32([1], [1, 1])]],
      "invalid-argument",
      'tensor "q.lora_A.weight": PEFT\'s layout has no place',
    ],
    ["another dtype", [["q.weight", i32([1])]], "invalid-argument", "Adapters are float32, not i32"],
    ["a factor of three dimensions", [["q.lora_A", f32([1], [1, 1, 1])]], "shape-mismatch", 'tensor "q.lora_A": A low-rank factor has two'],
  ])("refuses %s before anything is touched", async (_, tensors, code, telling) => {
    const error = await refusal(writePeftAdapter(at("new"), { ...content, tensors: new Map(tensors) }));
    expect(error.message).toContain(telling);
    expect(error.code).toBe(code);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe.skipIf(!hasShared)("adapters that PEFT wrote", () => {
  it("are read and written again with the same bytes", async () => {
    const cases = await readdir(sharedPath("goldens"));
    expect(cases.length).toBeGreaterThanOrEqual(29);
    for (const name of cases) {
      const source = sharedPath("goldens", name, "adapter");
      const adapter = await readPeftAdapter(source);
      await writePeftAdapter(at(name), adapter);
      expect((await readPeftAdapter(at(name))).config).toEqual(adapter.config);
      const expected = await storedTensors(source);
      for (const key of expected.keys()) if (key.endsWith(".base_layer.weight")) expected.delete(key);
      expect(await storedTensors(at(name)), name).toEqual(expected);
      // All but the frozen copies of an embedding, which are left out: the file is the same to the byte.
      const [ours, theirs] = await Promise.all(
        [at(name), source].map((directory) => readFile(join(directory, "adapter_model.safetensors"))),
      );
      expect(ours.equals(theirs), name).toBe(name !== "llama.embed");
    }
  });

  it("have A as (in, r) and B as (r, out)", async () => {
    const { tensors } = await readPeftAdapter(sharedPath("goldens", "llama.embed", "adapter"));
    const shapes = Object.fromEntries(Array.from(tensors, ([name, { shape }]) => [name, shape]));
    expect(shapes).toMatchObject({
      "model.embed_tokens.lora_embedding_A": [199, 4],
      "model.embed_tokens.lora_embedding_B": [4, 64],
      "model.layers.0.self_attn.v_proj.lora_A": [64, 4],
      "model.layers.0.self_attn.v_proj.lora_B": [4, 32],
    });
    expect(Object.keys(shapes)).toHaveLength(10);
  });
});
