/**
 * @file Writes adapters as folders of mlx-lm and reads them. It knows nothing about families: they say how their modules are called there.
 *
 * mlx-lm has one rank and one scale for all modules. Lower ranks are filled up with zeros, and where a module's scaling s is another than the
 * scale, B′ = B·(s/scale).
 */
import { readMlxAdapter, writeMlxAdapter } from "../formats/index.ts";
import type { StoredAdapter } from "../lora/index.ts";
import type { Base, Model } from "../models/index.ts";
import { f32, LowrankError, type HostTensor } from "../util/index.ts";
import { adapterOf, factorsOf, mostFrequent, type Factors } from "./factors.ts";

/**
 * The modules of a model by their names in mlx-lm, which has no module for a head that is the embedding, and lets an adapter on such an
 * embedding act on the head as well.
 */
const modulesOf = ({ type, mlxRoot, linears, embeddings, aliases }: Model): Map<string, string> => {
  if (mlxRoot === undefined)
    throw new LowrankError("unsupported", `MLX is not offered for the model family "${type}".`, { where: "config.json" });
  const shared = new Set(Object.entries(aliases).flat());
  const named = [...linears, ...embeddings.map(({ module }) => ({ module, isHead: false }))].filter(
    ({ module }) => !shared.has(`${module}.weight`),
  );
  return new Map(named.map(({ module, isHead }) => [isHead ? module : module.replace(/^[^.]+/, mlxRoot), module]));
};

/** A matrix (rows, columns) in the corner of one of zeros. */
const padded = ({ data, shape }: HostTensor, rows: number, columns: number, factor = 1): HostTensor => {
  const result = new Float32Array(rows * columns);
  const [height, width] = shape;
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) result[row * columns + column] = Number(data[row * width + column]) * factor;
  return f32(result, [rows, columns]);
};

const inLayer = /^(.+)\.(\d+)\.(.+)$/;

/** Writes an adapter; one with anything but low-rank factors of linear modules is refused by name. */
export const writeMlxFolder = async (directory: string, { model }: Base, stored: StoredAdapter): Promise<void> => {
  const names = new Map([...modulesOf(model)].map(([theirs, ours]) => [ours, theirs]));
  const factors = factorsOf(stored, { name: "An adapter of mlx-lm", magnitudes: true });
  const kind = factors.some(({ magnitude }) => magnitude !== undefined) ? "dora" : "lora";
  const scale = mostFrequent(factors.map(({ scaling }) => scaling));
  const rank = Math.max(...factors.map((one) => one.rank));
  const tensors = new Map<string, HostTensor>();
  const keys = new Set<string>();
  let first = model.layers;
  const embeddings = new Set(model.embeddings.map(({ module }) => module));
  for (const { module, scaling, A, B, magnitude } of factors) {
    // Its magnitudes of an embedding are those of rows, PEFT's those of columns.
    const name = magnitude !== undefined && embeddings.has(module) ? undefined : names.get(module);
    if (name === undefined)
      throw new LowrankError("unsupported", `mlx-lm has no place for an adapter on ${module} of this model.`, {
        where: module,
        fix: "Write the merged model instead: `lowrank merge`.",
      });
    tensors.set(`${name}.lora_a`, padded(A, A.shape[0], rank));
    tensors.set(`${name}.lora_b`, padded(B, rank, B.shape[1], scaling / scale));
    if (magnitude !== undefined) tensors.set(`${name}.m`, magnitude);
    const [, , layer, key] = inLayer.exec(name) ?? [];
    keys.add(key ?? name);
    if (layer !== undefined) first = Math.min(first, Number(layer));
  }
  const { lora_dropout: dropout } = stored.adapter.config;
  await writeMlxAdapter(directory, { kind, layers: model.layers - first, rank, scale, dropout, keys: [...keys], tensors });
};

/** Reads an adapter for a base; every tensor of the file is accounted for, or it is an error that names it. */
export const readMlxFolder = async (directory: string, { model }: Base): Promise<StoredAdapter> => {
  const modules = modulesOf(model);
  const { kind, rank, scale, dropout, tensors } = await readMlxAdapter(directory);
  const found = new Map<string, Record<string, HostTensor>>();
  for (const [key, tensor] of tensors) {
    const [, name, part] = /^(.+)\.(\w+)$/.exec(key)!;
    const module = modules.get(name);
    if (module === undefined)
      throw new LowrankError("adapter-mismatch", `The model has no module ${JSON.stringify(name)} that adapters could act on.`, {
        where: directory,
        fix: "Name the base that the adapter was trained on with --model.",
      });
    found.set(module, { ...found.get(module), [part]: tensor });
  }
  const factors = [...found].map(([module, parts]): Factors => {
    const take = (part: string): HostTensor => {
      if (Object.hasOwn(parts, part)) return parts[part];
      throw new LowrankError("invalid-file", `${module} has no ${part}.`, { where: directory });
    };
    const A = take("lora_a");
    if (A.shape[1] !== rank)
      throw new LowrankError("invalid-file", `${module} has rank ${A.shape[1]} where the configuration says ${rank}.`, {
        where: directory,
      });
    return { module, A, B: take("lora_b"), ...(kind === "dora" && { magnitude: take("m") }) };
  });
  return adapterOf(model, factors, { alpha: scale * rank, lora_dropout: dropout, use_dora: kind === "dora" }, directory);
};
