/** @file The digest that an adapter is kept by: of its weights, its configuration and its base. It knows nothing about the library's folder. */
import { createHash } from "node:crypto";
import { sortedJson, withFile } from "../formats/index.ts";
import { readExactly } from "../formats/disk.ts";

/** How long a file is, and the sha256 of its bytes in hex. */
export interface FileDigest {
  readonly bytes: number;
  readonly sha256: string;
}

/** The digest of bytes in memory. */
export const digestBytes = (bytes: Uint8Array): FileDigest => ({
  bytes: bytes.length,
  sha256: createHash("sha256").update(bytes).digest("hex"),
});

const chunkBytes = 2 ** 20;

// Handed on from file to file: a buffer of its own for each would stay until V8 collects it, long after its file.
let spare: Uint8Array | undefined;

/** Works with 1 MiB of memory that nobody else has meanwhile. */
const withBuffer = async <Result>(work: (buffer: Uint8Array) => Promise<Result>): Promise<Result> => {
  const buffer = spare ?? new Uint8Array(chunkBytes);
  spare = undefined;
  try {
    return await work(buffer);
  } finally {
    spare = buffer;
  }
};

/** Hashes a file with 1 MiB of memory; `write`, where given, is handed every chunk as it is read, to use until its promise is kept. */
export const digestFile = (path: string, write?: (chunk: Uint8Array) => Promise<void>): Promise<FileDigest> =>
  withFile(path, (handle, bytes) =>
    withBuffer(async (buffer) => {
      const hash = createHash("sha256");
      for (let offset = 0; offset < bytes; offset += chunkBytes) {
        const chunk = buffer.subarray(0, Math.min(chunkBytes, bytes - offset));
        await readExactly(handle, chunk, offset, path);
        hash.update(chunk);
        await write?.(chunk);
      }
      return { bytes, sha256: hash.digest("hex") };
    }),
  );

// What says where an adapter came from and who wrote the file, but changes nothing of what it computes.
const informational: readonly string[] = [
  "auto_mapping",
  "base_model_name_or_path",
  "inference_mode",
  "peft_version",
  "revision",
  "runtime_config",
];
// PEFT keeps these as sets and writes them in any order.
const sets: readonly string[] = ["target_modules", "exclude_modules", "modules_to_save"];

/** A configuration without what does not count: informational keys, nulls, and the order of sets and keys. */
export const normalisedConfig = (config: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config)
      .filter(([key, value]) => value !== null && value !== undefined && !informational.includes(key))
      .map(([key, value]) => [key, sets.includes(key) && Array.isArray(value) ? value.map(String).sort() : value]),
  );

export interface AdapterIdentity {
  /** sha256 of the weights' file. */
  readonly weights: string;
  /** `adapter_config.json` as it stands. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Digest of the base's tensors, null where it is not known. */
  readonly base: string | null;
}

/** `sha256:` and the digest of weights, normalised configuration and base: equal adapters have equal digests, wherever they lie. */
export const adapterDigest = ({ weights, config, base }: AdapterIdentity): string => {
  const text = sortedJson({ base, config: normalisedConfig(config), weights });
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
};
