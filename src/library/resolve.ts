/** @file The folder of an adapter that is named in any way: a path, a name of the library, a digest, or a name on the hub. It knows nothing about models. */
import { existsSync } from "node:fs";
import { resolveModel } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { findAdapter, getAdapter } from "./find.ts";
import { openLibraryFolder } from "./folder.ts";
import { adapterPath, hasLibrary } from "./layout.ts";
import { libraryDirectory } from "./location.ts";
import { parseReference } from "./names.ts";
import { labelOf, type AdapterRecord } from "./record.ts";
import { checkFiles } from "./verify.ts";

/** Where an adapter lies, and what the library knows of it if it is one of its. */
export interface ResolvedAdapter {
  readonly directory: string;
  readonly record?: AdapterRecord;
}

export interface ResolveAdapterOptions {
  /** Folder of the library. Default: `libraryDirectory()`. */
  readonly library?: string;
  /** Digest of the base at hand: an adapter of the library that was trained on another one is refused before its weights are read. */
  readonly baseDigest?: string;
  /** Take it nevertheless. Default false. */
  readonly allowOtherBase?: boolean;
  /** Brings an adapter from the hub. Default: `resolveModel`. */
  readonly download?: (reference: string) => Promise<string>;
}

const checkBase = (record: AdapterRecord, { baseDigest, allowOtherBase = false }: ResolveAdapterOptions): void => {
  const { base, baseName } = record.lineage;
  if (allowOtherBase || baseDigest === undefined || base === null || base === baseDigest) return;
  throw new LowrankError(
    "adapter-mismatch",
    `The adapter was trained on the base ${base.slice(0, 19)}…${baseName === null ? "" : ` (${baseName})`}, and this one is ${baseDigest.slice(0, 19)}….`,
    { where: labelOf(record), fix: "Name its base with --model, or pass --allow-other-base if you mean it." },
  );
};

/** The adapter of a library, read through and found whole. Only a library can have a name with a version, an alias or a digest. */
const fromLibrary = async (reference: string, options: ResolveAdapterOptions): Promise<ResolvedAdapter | undefined> => {
  const parsed = parseReference(reference);
  const folder = options.library ?? libraryDirectory();
  const mayBeElsewhere = parsed === undefined || (parsed.kind === "latest" && !reference.includes(":"));
  if (parsed === undefined || (mayBeElsewhere && !hasLibrary(folder))) return undefined;
  const library = await openLibraryFolder(folder);
  try {
    const record = mayBeElsewhere ? await findAdapter(library, reference) : await getAdapter(library, reference);
    if (record === undefined) return undefined;
    checkBase(record, options);
    const { problems } = await checkFiles(library.folder, record);
    if (problems.length > 0)
      throw new LowrankError("invalid-file", `The adapter is damaged and was not loaded: ${problems.join(" ")}`, {
        where: labelOf(record),
        fix: "Add or pull it again, which puts whole files in their place.",
      });
    return { directory: adapterPath(library.folder, record.digest), record };
  } finally {
    library.close();
  }
};

/**
 * Finds an adapter: a folder of this path, else `name`, `name@version`, `name:alias` or `sha256:digits` of the library, else `org/name` on
 * the hub. One of the library is checked byte for byte first; damaged ones are `invalid-file`, those of another base `adapter-mismatch`.
 */
export const resolveAdapter = async (reference: string, options: ResolveAdapterOptions = {}): Promise<ResolvedAdapter> => {
  if (existsSync(reference)) return { directory: reference };
  const found = await fromLibrary(reference, options);
  if (found !== undefined) return found;
  const { download = (name: string) => resolveModel(name) } = options;
  return { directory: await download(reference) };
};
