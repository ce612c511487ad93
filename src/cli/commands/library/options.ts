/** @file The options that the commands of `lowrank library` share, as Zod shapes, and what they mean for the library. It knows nothing about tables. */
import { z } from "zod";
import type * as libraryFloor from "../../../library/index.ts";
import type { Library, LibraryQuery } from "../../../library/index.ts";

const which = { group: "Which" };

export const libraryOption = {
  library: z
    .string()
    .optional()
    .describe("folder of the library; default: LOWRANK_LIBRARY, else lowrank/library in the user's data folder")
    .meta({ placeholder: "dir" }),
};

const metricPair = /^[^=]+=[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;

/** A repeatable `--metric name=value`. */
export const metricOption = z
  .array(z.string().regex(metricPair, "a metric is given as name=number"))
  .default([])
  .describe("figure that tells how good it is, as name=number")
  .meta({ placeholder: "pair" });

export const metricsOf = (pairs: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return [pair.slice(0, at), Number(pair.slice(at + 1))];
    }),
  );

/** Which adapters a list shows. */
export const queryOptions = {
  tag: z
    .array(z.string())
    .default([])
    .describe("only with this tag: key=value, or a key alone")
    .meta({ ...which, placeholder: "tag" }),
  base: z
    .string()
    .optional()
    .describe("only of this base: part of its name, or the first digits of its digest")
    .meta({ ...which, placeholder: "base" }),
  metric: z
    .array(z.string())
    .default([])
    .describe('only with such a metric, for example "loss<0.5"')
    .meta({ ...which, placeholder: "bound" }),
  allVersions: z.boolean().default(false).describe("every version instead of the highest of each name").meta(which),
  sort: z
    .string()
    .optional()
    .describe("name, created, match or a metric; with - before a metric the highest first")
    .meta({ ...which, placeholder: "key" }),
  limit: z.int().min(0).default(50).describe("entries at most; 0: all").meta(which),
};

export type QueryOptions = z.output<z.ZodObject<typeof queryOptions>>;

/** Acts with the library that the flags name, and closes it. The library's code is loaded here: help does without. */
export const withLibrary = async <Result>(
  { library: folder }: { readonly library?: string | undefined },
  act: (library: Library, floor: typeof libraryFloor) => Promise<Result>,
  { create = false } = {},
): Promise<Result> => {
  const floor = await import("../../../library/index.ts");
  const library = await floor.openLibrary(folder ?? floor.libraryDirectory(), { create });
  try {
    return await act(library, floor);
  } finally {
    library.close();
  }
};

/** The query that a list's flags make. */
export const queryOf = (
  { tag, base, metric, allVersions, sort, limit }: QueryOptions,
  { parseMetricBound }: Pick<typeof libraryFloor, "parseMetricBound">,
): LibraryQuery => ({
  tags: tag,
  ...(base !== undefined && { base }),
  metrics: metric.map(parseMetricBound),
  everyVersion: allVersions,
  ...(sort !== undefined && { sort }),
  limit: limit === 0 ? -1 : limit, // as SQLite counts
});
