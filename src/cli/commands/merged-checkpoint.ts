/** @file Writes a base with adapters folded in as a checkpoint, one tensor in memory at a time. It knows nothing about flags. */
import { copyCompanions, openCheckpoint, readTensorF32, tensorChunks, writeCheckpoint, type TensorSource } from "../../formats/index.ts";
import type { Tensor } from "../../graph/index.ts";
import { mergeModule, type WeightedAdapter } from "../../lora/index.ts";
import { storedTensors, type Base } from "../../models/index.ts";
import { viewOf } from "../../nn/index.ts";
import type { Backend } from "../../runtime/index.ts";
import { f32, LowrankError, narrowBf16, narrowF16, type DType, type HostTensor } from "../../util/index.ts";

/** What a merged checkpoint can be written as. */
export type MergedDType = "f32" | "bf16" | "f16";

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

/** How to make each tensor that the adapters change, by its name in the checkpoint. */
const changesOf = (backend: Backend, base: Base, adapters: readonly WeightedAdapter[]): Map<string, () => Promise<HostTensor>> => {
  const find = storedTensors(base);
  const changes = new Map<string, () => Promise<HostTensor>>();
  for (const { module } of base.model.linears) {
    if (!adapters.some(({ adapter }) => adapter.targets.has(module))) continue;
    const name = `${module}.weight`;
    // A tied head that an adapter changes becomes a tensor of its own.
    const W = (find(name) ?? find(base.model.aliases[name])) as Tensor;
    changes.set(name, async () => (await mergeModule(backend, module, W, adapters))!);
  }
  for (const { adapter, parameters } of adapters)
    for (const slot of adapter.layout.slots)
      if (slot.role === "weight" || slot.role === "bias")
        changes.set(slot.name, () => Promise.resolve(f32(viewOf(parameters, slot), slot.shape)));
  return changes;
};

const typeNames = { f32: "float32", bf16: "bfloat16", f16: "float16" } as const;

/**
 * Writes the merged checkpoint with the base's tokenizer and settings beside it. Without `dtype` every tensor keeps the base's
 * own, and those that no adapter changes keep their bytes.
 */
export const writeMergedCheckpoint = async (
  backend: Backend,
  base: Base,
  adapters: readonly WeightedAdapter[],
  directory: string,
  dtype?: MergedDType,
): Promise<void> => {
  const { config, tensors: stored } = await openCheckpoint(base.directory);
  const changes = changesOf(backend, base, adapters);
  const names = new Set([...stored.keys(), ...changes.keys()]);
  const tensors = [...names].map((name): TensorSource => {
    const location = stored.get(name) ?? stored.get(base.model.aliases[name])!;
    const target = dtype ?? location.dtype;
    const change = changes.get(name);
    return {
      name,
      dtype: target,
      shape: location.shape,
      chunks: async function* () {
        if (change === undefined && target === location.dtype) yield* tensorChunks(location);
        else yield bytesOf(narrow(await (change?.() ?? readTensorF32(location)), target, name));
      },
    };
  });
  const untied = Object.keys(base.model.aliases).some((name) => changes.has(name)) ? { tie_word_embeddings: false } : {};
  const typed = dtype === undefined ? {} : { torch_dtype: typeNames[dtype], ...("dtype" in config && { dtype: typeNames[dtype] }) };
  await writeCheckpoint(directory, { config: { ...config, ...untied, ...typed }, tensors });
  await copyCompanions(base.directory, directory);
};
