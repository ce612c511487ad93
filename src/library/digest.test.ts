import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { adapterDigest, digestFile, type AdapterIdentity } from "./digest.ts";
import { workshop } from "./library.fixture.ts";
import { someBase } from "./small-adapter.fixture.ts";

const folder = workshop();

it("hashes a file of any length in chunks", async () => {
  for (const length of [0, 1, 2 ** 20, 2 ** 20 + 1]) {
    const bytes = Buffer.alloc(length, 7);
    const path = join(folder, "file");
    writeFileSync(path, bytes);
    const seen: Buffer[] = [];
    const digest = await digestFile(path, async (chunk) => void seen.push(Buffer.from(chunk)));
    expect(digest).toEqual({ bytes: length, sha256: createHash("sha256").update(bytes).digest("hex") });
    expect(Buffer.concat(seen).equals(bytes)).toBe(true);
  }
});

it("hashes files one after the other in the same memory, and several at once each in its own", async () => {
  const paths = ["a", "b", "c"].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, path.repeat(30_000)); // more than one chunk
  const memory = new Set<ArrayBufferLike>();
  const digestOf = (path: string): Promise<string> =>
    digestFile(path, async ({ buffer }) => void memory.add(buffer)).then(({ sha256 }) => sha256);
  const inTurn: string[] = [];
  for (const path of paths) inTurn.push(await digestOf(path));
  expect(inTurn).toEqual(paths.map((path) => createHash("sha256").update(path.repeat(30_000)).digest("hex")));
  expect(memory.size).toBe(1);
  expect(await Promise.all(paths.map(digestOf))).toEqual(inTurn);
  expect(memory.size).toBe(paths.length);
});

const adapter: AdapterIdentity = {
  weights: "a".repeat(64),
  base: someBase,
  config: { peft_type: "LORA", r: 8, target_modules: ["q_proj", "v_proj"], rank_pattern: { q: 4, k: 2 } },
};
const digest = adapterDigest(adapter);

describe("an adapter's digest", () => {
  it("is sha256 of base, configuration and weights as sorted JSON", () => {
    const text = JSON.stringify(
      {
        base: adapter.base,
        config: { peft_type: "LORA", r: 8, rank_pattern: { k: 2, q: 4 }, target_modules: ["q_proj", "v_proj"] },
        weights: adapter.weights,
      },
      null,
      2,
    );
    expect(digest).toBe(`sha256:${createHash("sha256").update(text).digest("hex")}`);
  });

  it.each<[what: string, config: Record<string, unknown>]>([
    ["the path of the base", { base_model_name_or_path: "/home/me/base" }],
    ["who wrote the file", { peft_version: "0.21.0", inference_mode: true, auto_mapping: { base_model_class: "x" } }],
    ["options that are null", { layers_pattern: null, loftq_config: null }],
    ["the order of the targets", { target_modules: ["v_proj", "q_proj"] }],
    ["the order of keys", { rank_pattern: { k: 2, q: 4 } }],
  ])("does not change with %s", (_, config) =>
    expect(adapterDigest({ ...adapter, config: { ...adapter.config, ...config } })).toBe(digest),
  );

  it.each<[what: string, change: Partial<AdapterIdentity>]>([
    ["weights", { weights: "b".repeat(64) }],
    ["base", { base: null }],
    ["rank", { config: { ...adapter.config, r: 4 } }],
    ["targets", { config: { ...adapter.config, target_modules: ["q_proj"] } }],
    ["an option that is not known here", { config: { ...adapter.config, use_something: true } }],
  ])("changes with the %s", (_, change) => expect(adapterDigest({ ...adapter, ...change })).not.toBe(digest));

  it("does not change with the order in which a configuration is written", () => {
    const values = fc.jsonValue({ maxDepth: 2 });
    fc.assert(
      fc.property(fc.dictionary(fc.string(), values, { maxKeys: 6 }), (config) => {
        const turned = Object.fromEntries(Object.entries(config).toReversed());
        expect(adapterDigest({ ...adapter, config: turned })).toBe(adapterDigest({ ...adapter, config }));
      }),
    );
  });
});
