/** @file Tensors in a file that lives as long as a program needs it. It knows nothing about what they are. */
import { rmSync } from "node:fs";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostTensor } from "../util/index.ts";
import type { TensorLocation } from "./safetensors-header.ts";

export interface TemporaryWeights {
  readonly locations: ReadonlyMap<string, TensorLocation>;
  /** Removes the file; what has mapped it keeps it. */
  dispose(): Promise<void>;
}

/** Makes tensors one after another and writes each into the file before the next one, so that one is in memory at a time. */
export const temporaryWeights = async (
  tensors: Iterable<readonly [name: string, make: () => Promise<HostTensor>]>,
): Promise<TemporaryWeights> => {
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
  try {
    const file = await open(path, "wx");
    try {
      let offset = 0;
      for (const [name, make] of tensors) {
        const { dtype, shape, data } = await make();
        const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        await file.writeFile(bytes);
        locations.set(name, { path, offset, bytes: bytes.length, dtype, shape });
        offset += bytes.length;
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
