/** @file Writes a base with adapters folded in as a checkpoint, one tensor in memory at a time. It knows nothing about how tensors are folded. */
import { realpath } from "node:fs/promises";
import {
  copyCompanions,
  float32Chunks,
  makeFolder,
  narrowed,
  openCheckpoint,
  tensorChunks,
  writeCheckpoint,
  type TensorSource,
} from "../formats/index.ts";
import { namedTensors, type Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError, type DType } from "../util/index.ts";
import { mergedTensors, type WeightedAdapter } from "./merge.ts";

/** What a merged checkpoint can be written as. */
export type MergedDType = "f32" | "bf16" | "f16";

const typeNames = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;
const pieceElements = 2 ** 20;

function* narrowedPieces(values: Float32Array, dtype: DType, where: string): Generator<Uint8Array> {
  for (let begin = 0; begin < values.length; begin += pieceElements)
    yield narrowed(values.subarray(begin, begin + pieceElements), dtype, where);
}

export interface MergedCheckpointOptions {
  /** Default: every tensor keeps the base's own, and those that no adapter changes keep their bytes. */
  readonly dtype?: MergedDType | undefined;
  /** Tensor bytes that a file takes at most, unless one tensor alone has more; 5 GB by default. */
  readonly shardBytes?: number | undefined;
}

/**
 * Writes the merged checkpoint with the base's tokenizer and settings beside it. The base's own folder is refused.
 */
export const writeMergedCheckpoint = async (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  directory: string,
  { dtype, shardBytes }: MergedCheckpointOptions = {},
): Promise<void> => {
  await makeFolder(directory);
  if ((await realpath(directory)) === (await realpath(base.directory)))
    throw new LowrankError("invalid-argument", "The merged model would overwrite the base that it is made from.", {
      where: directory,
      fix: "Choose another folder.",
    });
  const { config, unread } = base.model;
  const named = namedTensors(base.model, (await openCheckpoint(base.directory)).tensors);
  // Heads that are not this model's are left behind; a new one comes along.
  const created = [...base.fresh].map((name) => [name, base.weights.get(name)!] as const);
  const stored = new Map([...[...named].filter(([name]) => unread?.test(name) !== true), ...created]);
  const changed = mergedTensors(backend, base, adapters);
  const homeless = [...changed.keys()].find((name) => !stored.has(name) && !Object.hasOwn(base.model.aliases, name));
  if (homeless !== undefined)
    throw new LowrankError(
      "unsupported",
      `The merged model would need the tensor "${homeless}", which a ${base.model.type} does not have.`,
      {
        fix: "Use the adapter beside its base.",
      },
    );
  // A head that changes as the embedding does stays tied to it; one that does not is no longer the embedding.
  const heads = Object.entries(base.model.aliases).filter(([name]) => changed.has(name));
  const untied = heads.filter(([name, source]) => changed.get(name) !== changed.get(source));
  for (const [name] of heads) if (!untied.some(([other]) => other === name)) changed.delete(name);
  const names = new Set([...stored.keys(), ...changed.keys()]);
  const tensors = [...names].map((name): TensorSource => {
    const location = stored.get(name) ?? stored.get(base.model.aliases[name])!;
    const target = dtype ?? location.dtype;
    const make = changed.get(name);
    return {
      name,
      dtype: target,
      shape: location.shape,
      chunks: async function* () {
        if (make !== undefined) yield* narrowedPieces((await make()).data as Float32Array, target, name);
        else if (target === location.dtype) yield* tensorChunks(location);
        else for await (const values of float32Chunks(location)) yield narrowed(values, target, name);
      },
    };
  });
  const isHead = (name: string): boolean => base.model.linears.some((linear) => linear.isHead && `${linear.module}.weight` === name);
  const ties = untied.some(([name]) => isHead(name)) ? { tie_word_embeddings: false } : {};
  const typed = dtype === undefined ? {} : { torch_dtype: typeNames[dtype], ...("dtype" in config && { dtype: typeNames[dtype] }) };
  await writeCheckpoint(directory, {
    config: { ...config, ...ties, ...typed },
    spelledAs: base.directory,
    tensors,
    ...(shardBytes !== undefined && { shardBytes }),
  });
  await copyCompanions(base.directory, directory);
};
