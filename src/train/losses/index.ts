/** @file The losses by name, and which one a data file calls for. */
import { fittingFormat, readRows, withFields, type FieldNames } from "../../data/index.ts";
import type { Model } from "../../models/index.ts";
import { LowrankError } from "../../util/index.ts";
import { dpo, type DpoSettings } from "./dpo.ts";
import { lossOfHead } from "./head.ts";
import { kto, type KtoSettings } from "./kto.ts";
import type { Loss } from "./loss.ts";
import { nextToken } from "./next-token.ts";
import { orpo, type OrpoSettings } from "./orpo.ts";

/** What the losses can be told, each of them some of it. */
export interface LossSettings extends DpoSettings, OrpoSettings, KtoSettings {}

interface LossEntry {
  /** The settings that it knows. */
  readonly settings: readonly (keyof LossSettings)[];
  make(settings: LossSettings): Loss;
}

/** In the order in which data are held against what they learn from. */
export const losses = {
  dpo: { settings: ["beta", "labelSmoothing"], make: dpo },
  orpo: { settings: ["lambda"], make: orpo },
  kto: { settings: ["beta", "desirableWeight", "undesirableWeight"], make: kto },
  "next-token": { settings: [], make: () => nextToken },
} as const satisfies Record<string, LossEntry>;

export type LossName = keyof typeof losses;

/** How the data are to be read. */
export interface LossForOptions {
  readonly fields?: FieldNames;
  readonly format?: string;
}

const names = Object.keys(losses) as LossName[];

/** A loss by its name. Settings that it does not know are `invalid-argument`. */
export const lossNamed = (
  name: LossName,
  settings: { readonly [Setting in keyof LossSettings]: LossSettings[Setting] | undefined } = {},
): Loss => {
  const { settings: known, make }: LossEntry = losses[name];
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  const foreign = given.find(([setting]) => !known.some((own) => own === setting));
  if (foreign !== undefined)
    throw new LowrankError("invalid-argument", `The loss ${name} has no setting ${foreign[0]}.`, {
      fix: known.length === 0 ? "It has none: leave it out." : `It has ${known.join(", ")}.`,
    });
  return make(Object.fromEntries(given));
};

/** The loss for a model and data: that of its head, unless it only writes on and the data call for another. */
export const lossForModel = async (model: Model, path?: string, options: LossForOptions = {}): Promise<Loss> => {
  const own = lossOfHead(model);
  return own !== nextToken || path === undefined ? own : lossNamed(await lossFor(path, options));
};

/**
 * The loss that data are made for, told from the format that is named or else from the first row: pairs of a chosen and a rejected answer
 * for DPO, answers with a label that is true or false for KTO, everything else for next-token prediction.
 */
export const lossFor = async (path: string, { fields = {}, format }: LossForOptions = {}): Promise<LossName> => {
  const formatsOf = (name: LossName) => lossNamed(name).kind.formats;
  if (format !== undefined) return names.find((name) => Object.hasOwn(formatsOf(name), format)) ?? "next-token";
  for await (const raw of readRows(path)) {
    const row = withFields(raw, fields, Object.assign({}, ...names.map(formatsOf)));
    return names.find((name) => fittingFormat(row, formatsOf(name), fields) !== undefined) ?? "next-token";
  }
  return "next-token";
};
