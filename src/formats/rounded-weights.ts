/** @file Keeps forms of a checkpoint's matrices with fewer bits in a cache file that programs map, made once per content. It knows nothing about how they are rounded. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { HostTensor } from "../util/index.ts";
import { cacheDirectory } from "./cache-directory.ts";
import { makeFolder } from "./disk.ts";
import type { TensorLocation } from "./safetensors-header.ts";
import { writeInOrder, type TensorSource } from "./safetensors-write.ts";
import { readSafetensorsHeader } from "./safetensors.ts";

/** A tensor of the cache file and how to make it. Those of one type lie in the file in the order in which they are asked for. */
export interface RoundedTensor extends Pick<HostTensor, "dtype" | "shape"> {
  readonly name: string;
  make(): Promise<HostTensor>;
}

const reuse = async (path: string, wanted: readonly RoundedTensor[]): Promise<ReadonlyMap<string, TensorLocation> | undefined> => {
  try {
    const { tensors } = await readSafetensorsHeader(path);
    const fits = ({ name, dtype, shape }: RoundedTensor): boolean => {
      const found = tensors.get(name);
      return found?.dtype === dtype && found.shape.join() === shape.join();
    };
    return tensors.size === wanted.length && wanted.every(fits) ? tensors : undefined;
  } catch {
    return undefined;
  }
};

const bytesOf = ({ data }: HostTensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** A word for names, types, shapes and their order, which says what lies behind what: a base read as another kind of model rounds other modules, and programs that have mapped a file need it to stay. */
const layoutOf = (wanted: readonly RoundedTensor[]): string => {
  const lines = wanted.map(({ name, dtype, shape }) => JSON.stringify([name, dtype, shape]));
  return createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16);
};

/** Where the tensors can be mapped, in a file that is named by the base's digest, the form and the layout; what is there and fits is not made again. */
export const prepareRounded = async (
  digest: string,
  form: string,
  wanted: readonly RoundedTensor[],
): Promise<ReadonlyMap<string, TensorLocation>> => {
  const folder = join(cacheDirectory(), "weights");
  await makeFolder(folder);
  const path = join(folder, `${digest.replace("sha256:", "")}.${form}.${layoutOf(wanted)}.safetensors`);
  const found = await reuse(path, wanted);
  if (found !== undefined) return found;
  const sources = wanted.map(({ name, dtype, shape, make }): TensorSource => ({
    name,
    dtype,
    shape,
    chunks: async function* () {
      yield bytesOf(await make());
    },
  }));
  await writeInOrder(path, sources, { format: "pt" });
  return (await readSafetensorsHeader(path)).tensors;
};
