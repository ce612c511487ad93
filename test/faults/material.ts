/** @file Small models and data in temporary folders. It knows nothing about what goes wrong with them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll } from "vitest";
import { copyCompanions, readJsonObject, tensorSources, writeCheckpoint } from "../../src/formats/index.ts";
import { modelOf } from "../../src/models/index.ts";
import { viewOf } from "../../src/nn/index.ts";
import { freshParameters, trainableModel } from "../../src/train/index.ts";
import type { HostTensor } from "../../src/util/index.ts";

const embedded = resolve(import.meta.dirname, "../../assets/tiny");

/** An empty folder for a file of tests, removed after them; caches go beside it. */
export const workshop = (): string => {
  const parent = mkdtempSync(join(tmpdir(), "lowrank-faults-"));
  process.env["LOWRANK_CACHE"] = join(parent, "cache");
  afterAll(() => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, "work");
  mkdirSync(folder);
  return folder;
};

export interface BaseOptions {
  readonly seed?: number;
  /** Entries of `config.json` in place of the usual ones. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Changes a tensor before it is written. */
  readonly change?: (name: string, values: Float32Array) => void;
}

const size = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8 };

/** Writes a small base with random weights and the embedded model's tokenizer; returns the folder. */
export const writeBase = async (folder: string, { seed = 1, config: given = {}, change }: BaseOptions = {}): Promise<string> => {
  const config = { ...(await readJsonObject(join(embedded, "config.json"))), ...size, ...given };
  const model = modelOf(config, "config.json");
  const { layout } = trainableModel(model);
  const parameters = freshParameters(model, seed);
  const tensors = new Map<string, HostTensor>();
  for (const slot of layout.slots) {
    const data = viewOf(parameters, slot);
    change?.(slot.name, data);
    tensors.set(slot.name, { dtype: "f32", shape: slot.shape, data });
  }
  await copyCompanions(embedded, folder);
  await writeCheckpoint(folder, { config, tensors: tensorSources(tensors) });
  return folder;
};

const names = ["Mia", "Leo", "Anna", "Tom", "Clara"];
const things = ["apple", "bun", "cup of tea", "red onion", "bowl of soup", "peach", "egg"];

/** Rows that are all different and of several lengths. */
export const rows = (count: number): { prompt: string; completion: string }[] =>
  Array.from({ length: count }, (_, index) => {
    const [name, thing] = [names[index % names.length], things[index % things.length]];
    const more = index % 3 === 0 ? ` and two ${things[(index + 2) % things.length]}s` : "";
    return { prompt: `${name} wants one ${thing}${more}.`, completion: ` ${name}: ${thing}${more}` };
  });

/** Writes rows as a `.jsonl` file; a text stands for itself. */
export const writeRows = (path: string, lines: readonly (object | string)[], encoding: BufferEncoding = "utf8"): string => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""), encoding);
  return path;
};
