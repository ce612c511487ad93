/** @file Tensors in a file that lives as long as a program needs it. It knows nothing about what they are. */
import { rmSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RoundedTensor } from "./rounded-weights.ts";
import type { TensorLocation } from "./safetensors-header.ts";
import { bytesOf, inTypeOrder } from "./safetensors-write.ts";

export interface TemporaryWeights {
  readonly locations: ReadonlyMap<string, TensorLocation>;
  /** Removes the file; what has mapped it keeps it. */
  dispose(): Promise<void>;
}

/**
 * Makes tensors one after another and writes each into the file before the next one, so that one is in memory at a time. Those of one type lie
 * behind each other in the order in which they come.
 */
export const temporaryWeights = async (tensors: readonly RoundedTensor[]): Promise<TemporaryWeights> => {
  const folder = await mkdtemp(join(tmpdir(), "lowrank-weights-"));
  // A program that ends without disposing of it leaves no file behind either.
  const removeAtExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeAtExit);
  const dispose = async (): Promise<void> => {
    process.off("exit", removeAtExit);
    await rm(folder, { recursive: true, force: true });
  };
  const path = join(folder, "weights.bin");
  const locations = new Map<string, TensorLocation>();
  let end = 0;
  for (const { name, dtype, shape } of inTypeOrder(tensors)) {
    const bytes = bytesOf({ dtype, shape });
    locations.set(name, { path, offset: end, bytes, dtype, shape });
    end += bytes;
  }
  try {
    const file = await open(path, "wx");
    try {
      for (const { name, make } of tensors) {
        const { data } = await make();
        const [bytes, { offset }] = [new Uint8Array(data.buffer, data.byteOffset, data.byteLength), locations.get(name)!];
        for (let written = 0; written < bytes.length;)
          written += (await file.write(bytes, written, bytes.length - written, offset + written)).bytesWritten;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return { locations, dispose };
};
