/** @file Writes a base with adapters folded in as a checkpoint, one tensor in memory at a time. It knows nothing about how tensors are folded. */
import { realpath } from "node:fs/promises";
import {
  copyCompanions,
  makeFolder,
  openCheckpoint,
  readTensorF32,
  tensorChunks,
  writeCheckpoint,
  type TensorSource,
} from "../formats/index.ts";
import { namedTensors, type Base } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError, narrowBf16, narrowF16, type DType, type HostTensor } from "../util/index.ts";
import { mergedTensors, type WeightedAdapter } from "./merge.ts";

/** What a merged checkpoint can be written as. */
export type MergedDType = "f32" | "bf16" | "f16";

const typeNames = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;
const largestF16 = 65_504;

const narrow = ({ data, shape }: HostTensor, dtype: DType, name: string): HostTensor => {
  const values = data as Float32Array;
  if (dtype === "f32") return { dtype, shape, data };
  if (dtype === "bf16") return { dtype, shape, data: narrowBf16(values) };
  if (dtype !== "f16")
    throw new LowrankError("unsupported", `A merged tensor cannot be written as ${dtype}.`, {
      where: name,
      fix: "Choose f32, bf16 or f16.",
    });
  if (values.some((value) => Math.abs(value) > largestF16))
    throw new LowrankError("invalid-data", `The tensor has values above ${largestF16}, the largest that f16 can hold.`, {
      where: name,
      fix: "Write bf16 or f32 instead.",
    });
  return { dtype, shape, data: narrowF16(values) };
};

const bytesOf = ({ data }: HostTensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Writes the merged checkpoint with the base's tokenizer and settings beside it. Without `dtype` every tensor keeps the base's own,
 * and those that no adapter changes keep their bytes. The base's own folder is refused.
 */
export const writeMergedCheckpoint = async (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  directory: string,
  dtype?: MergedDType,
): Promise<void> => {
  await makeFolder(directory);
  if ((await realpath(directory)) === (await realpath(base.directory)))
    throw new LowrankError("invalid-argument", "The merged model would overwrite the base that it is made from.", {
      where: directory,
      fix: "Choose another folder.",
    });
  const { config, tensors: named } = await openCheckpoint(base.directory);
  const stored = namedTensors(base.model, named);
  const changed = mergedTensors(backend, base, adapters);
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
        if (make === undefined && target === location.dtype) yield* tensorChunks(location);
        else yield bytesOf(narrow(await (make?.() ?? readTensorF32(location)), target, name));
      },
    };
  });
  // A head that an adapter changed on its own is no longer the embedding.
  const untied = Object.keys(base.model.aliases).some((name) => changed.has(name)) ? { tie_word_embeddings: false } : {};
  const typed = dtype === undefined ? {} : { torch_dtype: typeNames[dtype], ...("dtype" in config && { dtype: typeNames[dtype] }) };
  await writeCheckpoint(directory, { config: { ...config, ...untied, ...typed }, tensors });
  await copyCompanions(base.directory, directory);
};
