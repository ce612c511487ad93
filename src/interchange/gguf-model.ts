/** @file Writes a base, with adapters folded in or without any, as a GGUF file. It knows nothing about families: they say how they lie in it. */
import { basename } from "node:path";
import {
  encodeGguf,
  float32Chunks,
  gguf,
  ggufTensorTypes,
  openCheckpoint,
  readGgufTokenizer,
  readTensorF32,
  turnFactor,
  writeGguf,
  type GgufSource,
  type GgufTensorType,
  type GgufValue,
  type TensorLocation,
} from "../formats/index.ts";
import { mergedTensors, type WeightedAdapter } from "../lora/index.ts";
import { interleavedRows, namedTensors, type Base, type GgufLayout, type GgufPlace } from "../models/index.ts";
import type { Backend } from "../runtime/index.ts";
import { LowrankError, type DType, type HostTensor } from "../util/index.ts";

/** A GGUF file's precision: of every matrix, or each as the base has it. */
export type GgufPrecision = GgufTensorType | "source";

export const layoutOf = ({ model }: Pick<Base, "model">): GgufLayout => {
  if (model.gguf === undefined)
    throw new LowrankError("unsupported", `GGUF is not offered for the model family "${model.type}".`, { where: "config.json" });
  return model.gguf;
};

const typeOf = (precision: GgufPrecision, stored: DType, shape: readonly number[]): GgufTensorType => {
  // llama.cpp adds and multiplies vectors in float32 alone.
  if (shape.length < 2) return "f32";
  if (precision === "source") return stored === "f16" || stored === "bf16" ? stored : "f32";
  return shape.at(-1)! % ggufTensorTypes[precision].elements === 0 ? precision : "f16";
};

/** A matrix's rows in the order of the file, or its transpose. */
const placed = (tensor: HostTensor, { name, interleavedHeads, shift = 0, turned = false }: GgufPlace): Float32Array => {
  const values = tensor.data as Float32Array;
  if (shift !== 0) return values.map((value) => value + shift);
  if (turned) return turnFactor(tensor, name).data as Float32Array;
  const [rows, columns = 1] = tensor.shape;
  if (interleavedHeads === undefined) return values;
  const result = new Float32Array(values.length);
  interleavedRows(rows, interleavedHeads).forEach((from, row) =>
    result.set(values.subarray(from * columns, (from + 1) * columns), row * columns),
  );
  return result;
};

/** A stored tensor in another type, some MiB at a time. */
async function* converted(location: TensorLocation, type: GgufTensorType, where: string): AsyncGenerator<Uint8Array> {
  for await (const values of float32Chunks(location)) yield encodeGguf(values, type, where);
}

export interface GgufModelOptions {
  readonly backend: Backend;
  readonly base: Base;
  readonly adapters: readonly WeightedAdapter[];
  readonly precision: GgufPrecision;
}

/**
 * Writes the file, one tensor in memory at a time, and returns what it does differently from the model, in sentences for people.
 * Models, settings and tokenizers that llama.cpp has no equal of are refused by name before anything is written.
 */
export const writeGgufModel = async (
  path: string,
  { backend, base, adapters, precision }: GgufModelOptions,
): Promise<readonly string[]> => {
  const { model } = base;
  const layout = layoutOf(base);
  if (model.head.predicts !== "tokens")
    throw new LowrankError("unsupported", `GGUF files are written of language models alone; this model predicts ${model.head.predicts}.`, {
      where: "config.json",
    });
  const { metadata, tensors: ropeTensors, notes } = layout.describe();
  const tokenizer = await readGgufTokenizer(base.directory, model.vocabularySize);
  const stored = namedTensors(model, (await openCheckpoint(base.directory)).tensors);
  const changed = mergedTensors(backend, base, adapters);
  const written = model.parameters.map(({ name }) => name);
  for (const name of Object.keys(model.aliases)) if (changed.has(name) || layout.repeatsTiedHead === true) written.push(name);

  const sources = written.map((name): GgufSource => {
    const place = layout.place(name);
    if (place === undefined)
      throw new LowrankError("unsupported", `GGUF has no place for the tensor "${name}".`, { where: base.directory });
    const location = stored.get(name) ?? stored.get(model.aliases[name])!;
    const shape = place.turned ? location.shape.toReversed() : location.shape;
    const type = typeOf(precision, location.dtype, shape);
    const make = changed.get(name);
    const moved = place.turned !== undefined || place.interleavedHeads !== undefined || place.shift !== undefined;
    return {
      name: place.name,
      type,
      shape,
      chunks: async function* () {
        if (make === undefined && !moved) yield* converted(location, type, name);
        else yield encodeGguf(placed((await make?.()) ?? (await readTensorF32(location)), place), type, name);
      },
    };
  });
  for (const [name, values] of ropeTensors)
    sources.push({ name, type: "f32", shape: [values.length], chunks: () => [encodeGguf(values, "f32", name)] });

  const named = basename(path).replace(/\.gguf$/, "") + (tokenizer.nameMark === undefined ? "" : ` (${tokenizer.nameMark})`);
  const mostly = typeOf(precision, stored.get(model.parameters[0].name)!.dtype, [32, 32]);
  const general: readonly (readonly [string, GgufValue])[] = [
    ["general.architecture", gguf.string(layout.architecture)],
    ["general.type", gguf.string("model")],
    ["general.name", gguf.string(named)],
    ["general.file_type", gguf.u32(ggufTensorTypes[mostly].fileType)],
    ["general.quantization_version", gguf.u32(2)],
  ];
  const own = [...metadata].map(([key, value]) => [`${layout.architecture}.${key}`, value] as const);
  await writeGguf(path, { metadata: new Map([...general, ...own, ...tokenizer.metadata]), tensors: sources });
  return [...notes, ...tokenizer.notes];
};
