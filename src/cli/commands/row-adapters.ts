/** @file Adapters that the rows of a data file name, each row its own. It knows nothing about what rows are for. */
import type { Row } from "../../data/index.ts";
import { adapterCache, type AdapterCache, type AdapterUse } from "../../generate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import { loadAdapter, loadedOn } from "../../lora/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { parseAdapter } from "./adapter-flag.ts";
import { localFolder, type AdapterFlags } from "./open-model.ts";

export interface RowAdapters {
  /** Where the adapters of many rows stay, the least recently used leaving first. */
  readonly cache: AdapterCache;
  /** Finds adapters as `--adapter` names them. */
  uses(references: readonly string[]): Promise<AdapterUse[]>;
  /** The same for a row; what is wrong is said with the row's place. */
  usesOf(row: Row, column: string, otherwise: readonly string[]): Promise<AdapterUse[]>;
}

/** What a row says: a name, several, or with an empty cell none; rows without the column take others. */
export const referencesIn = ({ value, where }: Row, column: string, otherwise: readonly string[]): readonly string[] => {
  const given = value[column];
  if (given === undefined) return otherwise;
  if (given === null || given === "") return [];
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (list.every((one): one is string => typeof one === "string" && one !== "")) return list;
  throw new LowrankError(
    "invalid-data",
    `"${column}" must be the name of an adapter or a list of them, but it is ${JSON.stringify(given)}.`,
    {
      where,
    },
  );
};

const inMemory = 2 ** 30; // bytes

/** Finds adapters for a model; they are loaded when they are wanted. */
export const rowAdapters = async (
  { base, backend }: LanguageModel,
  { allowOtherBase, library }: AdapterFlags,
  context: CommandContext,
): Promise<RowAdapters> => {
  const { adapterSources } = await import("../../library/index.ts"); // with SQLite, which folders do not need
  const bases = { ...loadedOn(base, backend), allowOtherBase };
  const sourceOf = adapterSources((directory) => loadAdapter(directory, base.model, bases), {
    ...bases,
    ...(library !== undefined && { library }),
    download: (name) => localFolder(name, context),
  });
  const uses = (references: readonly string[]): Promise<AdapterUse[]> =>
    Promise.all(
      references.map(async (reference) => {
        const { directory, weight } = parseAdapter(reference);
        return { source: await sourceOf(directory), weight };
      }),
    );
  return {
    cache: adapterCache(backend, inMemory),
    uses,
    usesOf: async (row, column, otherwise) => {
      try {
        return await uses(referencesIn(row, column, otherwise));
      } catch (error) {
        if (!LowrankError.is(error) || error.where === row.where) throw error;
        throw new LowrankError(error.code, error.message, { where: row.where, cause: error });
      }
    },
  };
};
