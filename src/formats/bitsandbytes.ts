/** @file Checkpoints that bitsandbytes has packed into 4 bits, seen as the tensors that they stand for. It knows nothing about models or about other packings. */
import { dtypes, levelAt, LowrankError, sizeOf, type DType } from "../util/index.ts";
import { readExactly, withFile } from "./disk.ts";
import { isObject, parseJsonObject } from "./json.ts";
import { narrowed } from "./narrow.ts";
import type { PackedLevels, TensorLocation } from "./safetensors-header.ts";

type Tensors = ReadonlyMap<string, TensorLocation>;

const stateName = /^(.+)\.quant_state\.bitsandbytes__(nf4|fp4)$/;
const partNames = ["absmax", "quant_map", "nested_absmax", "nested_quant_map"];
const typeNames: Readonly<Record<string, DType>> = { float32: "f32", float16: "f16", bfloat16: "bf16" };
const levelsInMap = 16;
const levelsInNestedMap = 256;

const refuse = (where: string, what: string): LowrankError =>
  new LowrankError("invalid-file", what, {
    where,
    fix: "Save the model again with bitsandbytes, or use the checkpoint that it was made from.",
  });

const contentOf = ({ path, offset, bytes }: TensorLocation): Promise<Uint8Array<ArrayBuffer>> => {
  const content = new Uint8Array(bytes);
  return withFile(path, (handle) => readExactly(handle, content, offset, path)).then(() => content);
};

const floatsOf = async (location: TensorLocation): Promise<Float32Array> => new Float32Array((await contentOf(location)).buffer);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

/** The tensor that packed bytes stand for, each of its parts checked against its shape. */
const unpackedLocation = async (name: string, state: TensorLocation, tensors: Tensors): Promise<TensorLocation> => {
  const where = `${state.path}, tensor ${name}`;
  const {
    shape,
    dtype: typeName,
    blocksize,
    ...rest
  } = parseJsonObject(await contentOf(state), where, "Its quant_state", "Save it again.");
  const dtype = typeof typeName === "string" ? typeNames[typeName] : undefined;
  if (!Array.isArray(shape) || !shape.every(isCount)) throw refuse(where, "Its quant_state has no shape.");
  if (dtype === undefined)
    throw refuse(where, `Its quant_state has the dtype ${JSON.stringify(typeName)}; known: ${Object.keys(typeNames).join(", ")}.`);
  if (!isCount(blocksize)) throw refuse(where, "Its quant_state has no blocksize.");
  const part = (suffix: string, type: DType, count: number): TensorLocation => {
    const found = tensors.get(suffix === "" ? name : `${name}.${suffix}`);
    if (found === undefined) throw refuse(where, `Its ${suffix || "packed weight"} is missing.`);
    if (found.bytes !== count * dtypes[type].bytes || (suffix !== "" && found.dtype !== type))
      throw refuse(
        where,
        `Its ${suffix || "packed weight"} is ${found.dtype} [${found.shape.join(", ")}] where ${count} of ${type} are needed.`,
      );
    return found;
  };
  const count = sizeOf(shape);
  const blocks = Math.ceil(count / blocksize);
  // However the bytes are stored (bnb_4bit_quant_storage), there are two levels in each.
  const levels = part("", "u8", Math.ceil(count / 2));
  const isNested = tensors.has(`${name}.nested_absmax`);
  const { nested_blocksize: nestedBlockSize, nested_offset: offset } = rest;
  const nestedOf = (): NonNullable<PackedLevels["nested"]> => {
    if (!isCount(nestedBlockSize) || typeof offset !== "number")
      throw refuse(where, "Its quant_state has no nested_blocksize or nested_offset, and its scales are packed.");
    return {
      map: part("nested_quant_map", "f32", levelsInNestedMap),
      absmax: part("nested_absmax", "f32", Math.ceil(blocks / nestedBlockSize)),
      blockSize: nestedBlockSize,
      offset,
    };
  };
  return {
    ...levels,
    dtype,
    shape,
    packed: {
      map: part("quant_map", "f32", levelsInMap),
      absmax: part("absmax", isNested ? "u8" : "f32", blocks),
      blockSize: blocksize,
      ...(isNested && { nested: nestedOf() }),
    },
  };
};

/**
 * The tensors of a checkpoint by name, each that bitsandbytes packed into 4 bits in its own shape and type; and the configuration without
 * what says that they are packed. Any other checkpoint stays as it is.
 */
export const withoutPacking = async (
  config: Readonly<Record<string, unknown>>,
  tensors: Tensors,
): Promise<{ readonly config: Readonly<Record<string, unknown>>; readonly tensors: Tensors }> => {
  const states = [...tensors.keys()].flatMap((name) => {
    const [, packed] = stateName.exec(name) ?? [];
    return packed === undefined ? [] : [[packed, name] as const];
  });
  if (states.length === 0) return { config, tensors };
  const unpacked = new Map(tensors);
  for (const [name, state] of states) {
    unpacked.set(name, await unpackedLocation(name, tensors.get(state)!, tensors));
    for (const part of [state, ...partNames.map((suffix) => `${name}.${suffix}`)]) unpacked.delete(part);
  }
  const { quantization_config: packing, ...rest } = config;
  return { config: isObject(packing) && packing["quant_method"] === "bitsandbytes" ? rest : config, tensors: unpacked };
};

/** The scale of each block; packed ones are absmax = map[q]·absmax₂ + offset [Dettmers et al. 2023, double quantisation]. */
const scalesOf = async ({ absmax, nested }: PackedLevels): Promise<Float32Array> => {
  if (nested === undefined) return floatsOf(absmax);
  const [levels, map, scales] = [await contentOf(absmax), await floatsOf(nested.map), await floatsOf(nested.absmax)];
  return Float32Array.from(
    levels,
    (level, index) => Math.fround(map[level] * scales[Math.floor(index / nested.blockSize)]) + nested.offset,
  );
};

/** The bytes of a packed tensor in its own type, in order: map[level]·absmax of its block, rounded to that type. */
export async function* unpackedChunks(
  location: TensorLocation & { readonly packed: PackedLevels },
  values = 2 ** 20,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { path, offset, shape, dtype, packed } = location;
  const [map, scales] = [await floatsOf(packed.map), await scalesOf(packed)];
  const count = sizeOf(shape);
  for (let start = 0; start < count; start += values) {
    const length = Math.min(values, count - start);
    const levels = new Uint8Array(Math.ceil(length / 2));
    await withFile(path, (handle) => readExactly(handle, levels, offset + start / 2, path));
    const chunk = Float32Array.from(
      { length },
      (_, index) => map[levelAt(levels, index)] * scales[Math.floor((start + index) / packed.blockSize)],
    );
    yield narrowed(chunk, dtype, path) as Uint8Array<ArrayBuffer>;
  }
}
