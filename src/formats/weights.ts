/** @file Prepares a checkpoint's weights as float32 that programs map from disk. It knows nothing about the programs. */
import { join } from "node:path";
import type { DType } from "../util/index.ts";
import { baseDigest } from "./base-digest.ts";
import { cacheDirectory } from "./cache-directory.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { makeFolder } from "./disk.ts";
import type { TensorLocation } from "./safetensors-header.ts";
import { writeSafetensors, type TensorSource } from "./safetensors-write.ts";
import { float32Chunks, readSafetensorsHeader } from "./safetensors.ts";

type Tensors = ReadonlyMap<string, TensorLocation>;

const converted: ReadonlySet<DType> = new Set(["bf16", "f16", "f64"]);

async function* widened(location: TensorLocation): AsyncGenerator<Uint8Array> {
  for await (const values of float32Chunks(location)) yield new Uint8Array(values.buffer);
}

/** The tensors of a cache file if they are the wanted ones; a file that is missing or damaged gives nothing. */
const reuse = async (path: string, wanted: Tensors): Promise<Tensors | undefined> => {
  try {
    const { tensors } = await readSafetensorsHeader(path);
    const fits = ([name, { shape }]: [string, TensorLocation]): boolean => {
      const found = tensors.get(name);
      return found?.dtype === "f32" && found.shape.join() === shape.join();
    };
    return tensors.size === wanted.size && [...wanted].every(fits) ? tensors : undefined;
  } catch {
    return undefined;
  }
};

const build = async (path: string, wanted: Tensors): Promise<Tensors> => {
  const sources = Array.from(wanted, ([name, location]): TensorSource => ({
    name,
    dtype: "f32",
    shape: location.shape,
    chunks: () => widened(location),
  }));
  await writeSafetensors(path, sources, { format: "pt" });
  return (await readSafetensorsHeader(path)).tensors;
};

// Two writers of one process would share the file that is written aside.
const underWay = new Map<string, Promise<Tensors>>();

/**
 * Where every tensor can be mapped: float32 and integers where they are, bf16, f16, f64 and what is packed in a float32 file that is made once per content
 * in the cache folder. The header of that file is checked on every call, and what does not fit is made again.
 */
export const prepareWeights = async (checkpoint: Pick<Checkpoint, "tensors">): Promise<Tensors> => {
  const wanted = new Map([...checkpoint.tensors].filter(([, { dtype, packed }]) => converted.has(dtype) || packed !== undefined));
  if (wanted.size === 0) return checkpoint.tensors;
  const folder = join(cacheDirectory(), "weights");
  await makeFolder(folder);
  const path = join(folder, `${(await baseDigest(checkpoint)).replace("sha256:", "")}.f32.safetensors`);
  const prepared = underWay.get(path) ?? reuse(path, wanted).then((found) => found ?? build(path, wanted));
  underWay.set(path, prepared);
  try {
    return new Map([...checkpoint.tensors, ...(await prepared)]);
  } finally {
    underWay.delete(path);
  }
};
