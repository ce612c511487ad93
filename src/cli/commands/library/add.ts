/** @file `lowrank library add`: puts adapters into the library. */
import { existsSync } from "node:fs";
import { basename, resolve } from "node:path";
import { z } from "zod";
import type { AddOptions, Library, Parent } from "../../../library/index.ts";
import { LowrankError } from "../../../util/index.ts";
import type { CommandContext } from "../../context.ts";
import { defineCommand } from "../../schema.ts";
import { libraryOption, metricOption, metricsOf, withLibrary } from "./options.ts";

const origin = { group: "Where it comes from" };

const options = z.object({
  adapters: z.array(z.string()).min(1).describe("folders in PEFT's layout, names on the hub, or adapters of the library"),
  name: z.string().optional().describe("what it is called; default: its folder's name").meta({ placeholder: "name" }),
  alias: z.array(z.string()).default([]).describe("alias that stands for this version, such as prod").meta({ placeholder: "alias" }),
  tag: z.array(z.string()).default([]).describe("key=value or a word, such as language=fr").meta({ placeholder: "tag" }),
  metric: metricOption,
  base: z
    .string()
    .optional()
    .describe("model that it was trained on, where its files do not say so: a folder, a name on the hub or a digest")
    .meta({ ...origin, placeholder: "model" }),
  data: z
    .string()
    .optional()
    .describe("the training data, for example a digest")
    .meta({ ...origin, placeholder: "text" }),
  run: z
    .string()
    .optional()
    .describe("the run that made it")
    .meta({ ...origin, placeholder: "text" }),
  parent: z
    .array(z.string())
    .default([])
    .describe("adapter of the library that it was composed of, with its weight as :weight")
    .meta({ ...origin, placeholder: "name" }),
  licence: z.string().optional().describe("SPDX name of its licence").meta({ placeholder: "text" }),
  notes: z.string().optional().describe("anything else").meta({ placeholder: "text" }),
  ...libraryOption,
});

type Options = z.output<typeof options>;

/** The digest of a model that is named by a folder, on the hub, or by the digest itself. */
const baseDigestOf = async (reference: string, context: CommandContext): Promise<string> => {
  if (/^sha256:[0-9a-f]{64}$/.test(reference)) return reference;
  const { localFolder } = await import("../open-model.ts");
  const { openBase } = await import("../../../models/index.ts");
  return (await openBase(await localFolder(reference, context))).digest;
};

const parentsOf = async (library: Library, parents: readonly string[]): Promise<Parent[]> => {
  const { parseAdapter } = await import("../adapter-flag.ts");
  const found: Parent[] = [];
  for (const text of parents) {
    const { directory: name, weight } = parseAdapter(text, () => false);
    found.push({ digest: (await library.get(name)).digest, name, weight });
  }
  return found;
};

/** The folder of an adapter that is named in any way, and what it is called unless told otherwise. */
const sourceOf = async (library: Library, reference: string, context: CommandContext): Promise<{ folder: string; name: string }> => {
  if (existsSync(reference)) return { folder: reference, name: basename(resolve(reference)) };
  const record = await library.find(reference);
  if (record !== undefined) return { folder: library.path(record), name: record.names[0]?.name ?? "adapter" };
  const { localFolder } = await import("../open-model.ts");
  return { folder: await localFolder(reference, context), name: reference };
};

const run = (given: Options, context: CommandContext): Promise<object> => {
  if (given.adapters.length > 1 && given.name !== undefined)
    throw new LowrankError("invalid-argument", "--name is for one adapter, and several are given.", {
      fix: "Leave it out: each is called as its folder.",
    });
  return withLibrary(
    given,
    async (library) => {
      const base = given.base === undefined ? undefined : await baseDigestOf(given.base, context);
      const said: Omit<AddOptions, "name"> = {
        aliases: given.alias,
        tags: given.tag,
        metrics: metricsOf(given.metric),
        lineage: { data: given.data ?? null, run: given.run ?? null, parents: await parentsOf(library, given.parent) },
        ...(given.licence !== undefined && { licence: given.licence }),
        ...(given.notes !== undefined && { notes: given.notes }),
        ...(base !== undefined && { base }),
      };
      const added: object[] = [];
      for (const reference of given.adapters) {
        const { folder, name } = await sourceOf(library, reference, context);
        const { record, version, isNew } = await library.add(folder, { name: given.name ?? name, ...said });
        context.out(`${version.name}@${version.version}  ${record.digest}${isNew ? "" : "  (was there already)"}`);
        added.push({ name: version.name, version: version.version, isNew, ...record });
      }
      return { library: library.folder, added };
    },
    { create: true },
  );
};

export const add = defineCommand({
  name: "add",
  summary: "put adapters into the library",
  examples: [
    "lowrank library add runs/orders --name orders --tag language=en --tag domain=food --metric loss=0.31",
    "lowrank library add runs/* --tag experiment=7",
    "lowrank library add org/sql-adapter --name sql --base HuggingFaceTB/SmolLM2-135M --alias prod",
  ],
  positional: ["adapters"],
  options,
  load: async () => ({ run }),
});
