/** @file Opens what a command line names: models and adapters, in folders or on the hub, with the download shown. It knows nothing about what they are for. */
import { existsSync } from "node:fs";
import { resolveModel } from "../../formats/index.ts";
import { loadModel, type LanguageModel } from "../../language-model.ts";
import type { AdapterRecord, ResolveAdapterOptions, ResolvedAdapter } from "../../library/index.ts";
import { loadAdapter, loadedOn, type WeightedAdapter } from "../../lora/index.ts";
import type { BaseOptions } from "../../models/index.ts";
import type { PrecisionName } from "../../nn/index.ts";
import { checkDevice, type OrtOptions } from "../../runtime/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { embeddedModel } from "../package.ts";
import { downloadView } from "../ui/progress.ts";
import { parseAdapter } from "./adapter-flag.ts";

/** The folder of a model or adapter: the one that is named, or the hub's snapshot of that name in the cache, downloaded where it is not there yet. */
export const localFolder = async (reference: string, context: CommandContext): Promise<string> => {
  if (existsSync(reference)) return reference; // a file too, for whoever reads the folder to say so
  const view = downloadView(context);
  try {
    return await resolveModel(reference, { onProgress: view.listen });
  } catch (error) {
    // `tales` and `runs/tales` could be names on the hub as well; the second, where there is a folder `runs`, is more likely mistyped.
    const [above, ...below] = reference.split("/");
    const looksLocal = below.length === 0 || existsSync(above);
    if (!LowrankError.is(error) || error.code !== "network-failed" || !looksLocal) throw error;
    throw new LowrankError("not-found", "There is no such folder, and the hub is out of reach to look for a model of this name.", {
      where: reference,
      fix: "Check the path.",
      cause: error,
    });
  } finally {
    view.close();
  }
};

/** The folder of the model that `--model` names, or of the one that comes with the package. */
export const modelFolder = (reference: string | undefined, context: CommandContext): Promise<string> =>
  localFolder(reference ?? embeddedModel(), context);

/** Where programs run, as the flags `--device` and `--threads` say. */
export interface Place {
  readonly device: NonNullable<OrtOptions["device"]>;
  readonly threads?: number | undefined;
}

/** What `--base-precision` takes. */
export type BasePrecision = PrecisionName | "fp32";

/** The same as the library takes it: absent for float32. */
export const precisionOf = (basePrecision: BasePrecision = "fp32"): BaseOptions =>
  basePrecision === "fp32" ? {} : { precision: basePrecision };

interface ModelFlags extends Place {
  readonly model?: string | undefined;
  readonly basePrecision?: BasePrecision | undefined;
}

export const ortOptions = ({ device, threads }: Place): OrtOptions => ({ device, ...(threads !== undefined && { threads }) });

/** Opens the model that a command's flags name; `head` says which labels it gets a classifier for. */
export const openModel = async (
  flags: ModelFlags,
  context: CommandContext,
  head: Pick<BaseOptions, "classifier" | "seed"> = {},
): Promise<LanguageModel> => {
  await checkDevice(ortOptions(flags));
  return loadModel(await modelFolder(flags.model, context), { ...ortOptions(flags), ...precisionOf(flags.basePrecision), ...head });
};

/** Where an adapter lies: in the folder that is named, or in that of this name in the library or on the hub. */
const findAdapter = async (reference: string, options: ResolveAdapterOptions, context: CommandContext): Promise<ResolvedAdapter> => {
  if (existsSync(reference)) return { directory: reference };
  const { resolveAdapter } = await import("../../library/index.ts"); // with SQLite, which folders do not need
  return resolveAdapter(reference, { ...options, download: (name) => localFolder(name, context) });
};

/** The folder of an adapter. */
export const adapterFolder = async (reference: string, options: ResolveAdapterOptions, context: CommandContext): Promise<string> =>
  (await findAdapter(reference, options, context)).directory;

/** An adapter with the name under which it was asked for. */
export interface NamedAdapter extends WeightedAdapter {
  readonly directory: string;
  /** What the library knows of one of its own. */
  readonly record?: AdapterRecord;
}

/** Which adapters are taken, and from which library. */
export interface AdapterFlags {
  readonly allowOtherBase: boolean;
  readonly library?: string | undefined;
}

/** Loads what `--adapter` names, in order: folders, adapters of the library, or names on the hub. */
export const openAdapters = async (
  { base, backend }: Pick<LanguageModel, "base"> & Partial<Pick<LanguageModel, "backend">>,
  references: readonly string[],
  { allowOtherBase, library }: AdapterFlags,
  context: CommandContext,
): Promise<NamedAdapter[]> => {
  const adapters: NamedAdapter[] = [];
  for (const { directory, weight } of references.map((reference) => parseAdapter(reference))) {
    const bases = { ...(backend === undefined ? { baseDigest: base.digest } : loadedOn(base, backend)), allowOtherBase };
    const found = await findAdapter(directory, { ...bases, ...(library !== undefined && { library }) }, context);
    const stored = await loadAdapter(found.directory, base.model, bases);
    adapters.push({ ...stored, directory, weight, ...(found.record && { record: found.record }) });
  }
  return adapters;
};
