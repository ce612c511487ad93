/** @file The digest of an adapter that lies in any folder, as a library would keep it. It knows nothing about libraries. */
import { join } from "node:path";
import { readJsonObject, readSafetensorsHeader } from "../formats/index.ts";
import { adapterDigest, digestFile } from "./digest.ts";

/** Under this key the weights' metadata hold the digest of the base they were trained on. */
export const baseKey = "lowrank.base";

/** `sha256:…` of the adapter in a folder of PEFT's layout. */
export const folderDigest = async (directory: string): Promise<string> => {
  const weights = join(directory, "adapter_model.safetensors");
  const { metadata } = await readSafetensorsHeader(weights);
  return adapterDigest({
    weights: (await digestFile(weights)).sha256,
    config: await readJsonObject(join(directory, "adapter_config.json")),
    base: metadata[baseKey] ?? null,
  });
};
