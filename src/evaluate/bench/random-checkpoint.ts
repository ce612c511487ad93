/** @file Checkpoints with random weights, written once into the cache folder. It knows nothing about what is measured with them. */
import { join } from "node:path";
import { cacheDirectory, narrowed, openCheckpoint, writeCheckpoint, type TensorSource } from "../../formats/index.ts";
import { modelOf, type ParameterSpec } from "../../models/index.ts";
import { hashText, random, sizeOf } from "../../util/index.ts";

const chunkElements = 2 ** 20;

type RandomDType = "f32" | "bf16";

// Uniform numbers with the deviation that the configuration asks of normal ones: a matrix product is as fast, and they are drawn in a fifth of the time.
function* chunksOf({ name, shape, start }: ParameterSpec, seed: number, dtype: RandomDType): Generator<Uint8Array> {
  const generator = random(seed, hashText(name));
  const width = typeof start === "string" ? 0 : 2 * Math.sqrt(3) * start.normal;
  const constant = start === "ones" ? 1 : 0;
  const size = sizeOf(shape);
  for (let begin = 0; begin < size; begin += chunkElements) {
    const values = new Float32Array(Math.min(chunkElements, size - begin)).fill(constant);
    if (width > 0) for (let index = 0; index < values.length; index++) values[index] = (generator.uniform() - 0.5) * width;
    yield narrowed(values, dtype, name);
  }
}

/** The folder of a checkpoint with random weights; `name` and `seed` decide them. Written on the first call, 4 MB at a time. */
export const randomCheckpoint = async (
  name: string,
  config: Readonly<Record<string, unknown>>,
  seed: number,
  dtype: RandomDType = "f32",
): Promise<string> => {
  const folder = join(cacheDirectory(), "random", `${name}.${seed}${dtype === "f32" ? "" : `.${dtype}`}`);
  const { parameters } = modelOf(config, name);
  try {
    const { tensors } = await openCheckpoint(folder);
    if (parameters.every((parameter) => tensors.get(parameter.name)?.shape.join() === parameter.shape.join())) return folder;
  } catch {
    // Missing or damaged: it is written below.
  }
  const tensors = parameters.map((parameter): TensorSource => ({
    name: parameter.name,
    dtype,
    shape: parameter.shape,
    chunks: () => chunksOf(parameter, seed, dtype),
  }));
  await writeCheckpoint(folder, { config, tensors });
  return folder;
};
