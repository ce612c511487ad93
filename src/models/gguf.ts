/** @file How a model lies in a GGUF file, as llama.cpp reads it: names, metadata, and what becomes of values on the way. It knows no family. */
import type { GgufValue } from "../formats/index.ts";

/** Where a parameter lies, and how its values differ there. */
export interface GgufPlace {
  readonly name: string;
  /** The rows are those of so many heads, with the two halves of each interleaved; default as they are. */
  readonly interleavedHeads?: number;
  /** What is added to the values; default 0. */
  readonly shift?: number;
  /** Whether the file holds the transpose; default no. */
  readonly turned?: boolean;
  /** Whether llama.cpp takes rows of it by their ids, which turns the factors of an adapter; default it multiplies with it. */
  readonly lookedUp?: boolean;
  /** Whether adapters act on it; default yes. */
  readonly adapts?: boolean;
}

/** Entries of a file's head that describe the model. */
export interface GgufDescription {
  /** Metadata under the architecture's name. */
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** Tensors that no checkpoint has. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /** What the model does differently there; sentences for people. */
  readonly notes: readonly string[];
}

export interface GgufLayout {
  /** llama.cpp's name of the architecture. */
  readonly architecture: string;
  /** The place of a parameter, by its name in the checkpoint; undefined for one that files do not have. */
  place(parameter: string): GgufPlace | undefined;
  /** Whether a file needs the head even where it is the embedding; default no. */
  readonly repeatsTiedHead?: boolean;
  /** Throws `unsupported` where llama.cpp computes something else than the model. */
  describe(): GgufDescription;
}

/** [heads, 2, size/2] as [heads, size/2, 2]: the order of rows that brings together what one rotation turns. Index by row there, row here. */
export const interleavedRows = (rows: number, heads: number): Uint32Array => {
  const size = rows / heads;
  const half = size / 2;
  return Uint32Array.from({ length: rows }, (_, row) => {
    const [head, within] = [Math.floor(row / size), row % size];
    return head * size + (within % 2) * half + Math.floor(within / 2);
  });
};
