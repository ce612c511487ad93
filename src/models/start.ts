/** @file Starting values of parameters that no checkpoint holds, and a place in a file for them. It knows nothing about models. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { cacheDirectory, makeFolder, readSafetensorsHeader, tensorSources, writeSafetensors } from "../formats/index.ts";
import type { WeightLocation } from "../graph/index.ts";
import { f32, hashText, random, sizeOf } from "../util/index.ts";
import type { ParameterSpec } from "./model.ts";

/** A parameter's values by seed; each name has a stream of its own. */
export const startValues = ({ name, shape, start }: ParameterSpec, seed: number): Float32Array => {
  const values = new Float32Array(sizeOf(shape));
  if (start === "ones") return values.fill(1);
  if (start === "zeros") return values;
  const generator = random(seed, hashText(name));
  return values.map(() => generator.normal() * start.normal);
};

/** Starting values in a file of the cache folder that programs map as they do a checkpoint's; the same parameters and seed are the same file. */
export const startWeights = async (parameters: readonly ParameterSpec[], seed: number): Promise<ReadonlyMap<string, WeightLocation>> => {
  if (parameters.length === 0) return new Map();
  const folder = join(cacheDirectory(), "heads");
  await makeFolder(folder);
  const key = createHash("sha256")
    .update(JSON.stringify([seed, parameters.map(({ name, shape, start }) => [name, shape, start])]))
    .digest("hex");
  const path = join(folder, `${key.slice(0, 32)}.safetensors`);
  const tensors = new Map(parameters.map((spec) => [spec.name, f32(startValues(spec, seed), spec.shape)]));
  await writeSafetensors(path, tensorSources(tensors));
  return (await readSafetensorsHeader(path)).tensors;
};
