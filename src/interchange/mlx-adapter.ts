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
  const factors = factorsOf(stored, "An adapter of mlx-lm");
  const scale = mostFrequent(factors.map(({ scaling }) => scaling));
  const rank = Math.max(...factors.map((one) => one.rank));
  const tensors = new Map<string, HostTensor>();
  const keys = new Set<string>();
  let first = model.layers;
  for (const { module, scaling, A, B } of factors) {
    const name = names.get(module);
    if (name === undefined)
      throw new LowrankError("unsupported", `mlx-lm has no place for an adapter on ${module} of this model.`, {
        where: module,
        fix: "Write the merged model instead: `lowrank merge`.",
      });
    tensors.set(`${name}.lora_a`, padded(A, A.shape[0], rank));
    tensors.set(`${name}.lora_b`, padded(B, rank, B.shape[1], scaling / scale));
    const [, , layer, key] = inLayer.exec(name) ?? [];
    keys.add(key ?? name);
    if (layer !== undefined) first = Math.min(first, Number(layer));
  }
  const { lora_dropout: dropout } = stored.adapter.config;
  await writeMlxAdapter(directory, { layers: model.layers - first, rank, scale, dropout, keys: [...keys], tensors });
};

/** Reads an adapter for a base; every tensor of the file is accounted for, or it is an error that names it. */
export const readMlxFolder = async (directory: string, { model }: Base): Promise<StoredAdapter> => {
  const modules = modulesOf(model);
  const { rank, scale, dropout, tensors } = await readMlxAdapter(directory);
  const factors = new Map<string, Partial<Record<"a" | "b", HostTensor>>>();
  for (const [key, tensor] of tensors) {
    const name = key.slice(0, -".lora_a".length);
    const module = modules.get(name);
    if (module === undefined)
      throw new LowrankError("adapter-mismatch", `The model has no linear module ${JSON.stringify(name)}.`, {
        where: directory,
        fix: "Name the base that the adapter was trained on with --model.",
      });
    factors.set(module, { ...factors.get(module), [key.at(-1) as "a" | "b"]: tensor });
  }
  const complete = [...factors].map(([module, { a, b }]): Factors => {
    if (a === undefined || b === undefined)
      throw new LowrankError("invalid-file", `${module} has no lora_${a === undefined ? "a" : "b"}.`, { where: directory });
    if (a.shape[1] !== rank)
      throw new LowrankError("invalid-file", `${module} has rank ${a.shape[1]} where the configuration says ${rank}.`, {
        where: directory,
      });
    return { module, A: a, B: b };
  });
  return adapterOf(model, complete, { alpha: scale * rank, lora_dropout: dropout }, directory);
};
