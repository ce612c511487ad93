/** @file What a head brings into a model, and which one a configuration's class asks for. It knows no family and no head. */
import { LowrankError } from "../../util/index.ts";
import type { Head, LinearSpec, Model, ParameterSpec } from "../model.ts";

/** A head with the parts of the model that are its own. */
export interface HeadParts extends Pick<Model, "aliases" | "unread"> {
  readonly head: Head;
  readonly linears: readonly LinearSpec[];
}

/** The weight (out, in) and the bias of a linear module. */
export const linearParameters = ({ module, inFeatures, outFeatures, bias }: LinearSpec, deviation: number): ParameterSpec[] => [
  { name: `${module}.weight`, shape: [outFeatures, inFeatures], start: { normal: deviation } },
  ...(bias ? [{ name: `${module}.bias`, shape: [outFeatures], start: "zeros" as const }] : []),
];

/** The heads that a family offers, by the ending of Hugging Face's class names: `ForCausalLM`, `ForSequenceClassification` … */
export type Heads = Readonly<Record<string, () => HeadParts>>;

/** The head that the first of a configuration's `architectures` ends with, or the default; `unsupported` where it is not among those offered. */
export const headOf = (config: Readonly<Record<string, unknown>>, where: string, heads: Heads, fallback: string): HeadParts => {
  const classes = config["architectures"];
  const name = Array.isArray(classes) ? String(classes[0]) : "";
  const ending = /For[A-Z]\w*$/.exec(name)?.[0] ?? fallback;
  if (!Object.hasOwn(heads, ending))
    throw new LowrankError("unsupported", `The head of a ${name} is not offered; offered: ${Object.keys(heads).join(", ")}.`, { where });
  return heads[ending]();
};
