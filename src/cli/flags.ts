/** @file The command-line flags that a Zod object stands for, and how their texts are read. It knows nothing about commander. */
import { z } from "zod";
import { nearest } from "./nearest.ts";

declare module "zod" {
  interface GlobalMeta {
    /** Heading under which the help lists the option. */
    group?: string;
    /** What stands for the value in the help, for example DIR. */
    placeholder?: string;
  }
}

/** One thing that a flag's value may be. */
type Alternative =
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "number"; readonly allowed: string }
  | { readonly kind: "boolean" }
  | { readonly kind: "text" };

export interface Flag {
  /** The key in the Zod object, camelCase. */
  readonly key: string;
  /** The same in kebab-case, without dashes. */
  readonly name: string;
  readonly description: string;
  readonly group: string | undefined;
  readonly placeholder: string;
  readonly required: boolean;
  readonly default: unknown;
  /** A switch takes no value: `--pack` and `--no-pack`. */
  readonly isSwitch: boolean;
  /** Whether it may be given several times; always a list then, or only from two on. */
  readonly repeatable: false | "list" | "single-or-list";
  readonly alternatives: readonly Alternative[];
}

/** The part of JSON Schema that Zod writes for the types that flags can have. */
interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly default?: unknown;
  readonly description?: string;
  readonly group?: string;
  readonly placeholder?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
}

/** `learningRate` as `learning-rate`. */
export const kebabCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `learning-rate` or `learning_rate` as `learningRate`. */
export const camelCase = (name: string): string => name.replace(/[-_]([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const numberAllowed = (schema: Schema): string => {
  const noun = schema.type === "integer" ? "a whole number" : "a number";
  // Zod bounds whole numbers by what a float64 holds exactly; nobody needs to read that.
  const bound = (value: number | undefined): number | undefined =>
    Math.abs(value ?? Infinity) >= Number.MAX_SAFE_INTEGER ? undefined : value;
  const [least, above, most, below] = [schema.minimum, schema.exclusiveMinimum, schema.maximum, schema.exclusiveMaximum].map(bound);
  if (least !== undefined && most !== undefined) return `${noun} from ${least} to ${most}`;
  const lower = least === undefined ? (above === undefined ? [] : [`above ${above}`]) : [`of at least ${least}`];
  const upper = most === undefined ? (below === undefined ? [] : [`below ${below}`]) : [`of at most ${most}`];
  return [noun, [...lower, ...upper].join(" and ")].filter((part) => part !== "").join(" ");
};

const alternativesOf = (schema: Schema, key: string): Alternative[] => {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => alternativesOf(one, key));
  if (schema.type === "array" && schema.items !== undefined) return alternativesOf(schema.items, key);
  if (schema.enum !== undefined) return [{ kind: "choice", values: schema.enum }];
  if (typeof schema.const === "string") return [{ kind: "choice", values: [schema.const] }];
  if (schema.type === "number" || schema.type === "integer") return [{ kind: "number", allowed: numberAllowed(schema) }];
  if (schema.type === "boolean") return [{ kind: "boolean" }];
  if (schema.type === "string") return [{ kind: "text" }];
  throw new TypeError(`The option ${key} has a type that no flag can have.`);
};

const isList = (schema: Schema): boolean => schema.type === "array";

const placeholderOf = (alternatives: readonly Alternative[]): string => {
  const last = alternatives[alternatives.length - 1];
  return last.kind === "choice" ? "name" : last.kind;
};

/** The flags of a command's options, in the order of the object's keys. */
export const flagsOf = (options: z.ZodObject): Flag[] => {
  const { properties = {}, required = [] } = z.toJSONSchema(options, { io: "input", unrepresentable: "any" }) as {
    properties?: Record<string, Schema>;
    required?: string[];
  };
  return Object.entries(properties).map(([key, schema]) => {
    const alternatives = alternativesOf(schema, key);
    const isSwitch = schema.type === "boolean";
    return {
      key,
      name: kebabCase(key),
      description: schema.description ?? "",
      group: schema.group,
      placeholder: schema.placeholder ?? placeholderOf(alternatives),
      required: required.includes(key),
      default: schema.default,
      isSwitch,
      repeatable: isList(schema) ? "list" : schema.anyOf?.some(isList) === true ? "single-or-list" : false,
      alternatives,
    };
  });
};

/** What a flag takes, as the end of "it takes …". */
export const allowedText = ({ alternatives }: Pick<Flag, "alternatives">): string => {
  const choices = alternatives.flatMap((one) => (one.kind === "choice" ? one.values : []));
  const others = alternatives.flatMap((one) => {
    if (one.kind === "choice") return [];
    if (one.kind === "number") return [one.allowed];
    return [one.kind === "boolean" ? "true or false" : "a text"];
  });
  if (choices.length === 0) return [...new Set(others)].join(" or ");
  const listed = choices.length === 1 ? choices[0] : `one of ${choices.join(", ")}`;
  return [listed, ...new Set(others)].join(" or ");
};

/** The choice of a flag that a wrong text was probably meant to be. */
export const nearestChoice = ({ alternatives }: Flag, text: string): string | undefined =>
  nearest(
    text,
    alternatives.flatMap((one) => (one.kind === "choice" ? one.values : [])),
  );

const numeric = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;

const valueOf = (alternative: Alternative, text: string): string | number | boolean | undefined => {
  if (alternative.kind === "choice") return alternative.values.includes(text) ? text : undefined;
  if (alternative.kind === "number") return numeric.test(text) ? Number(text) : undefined;
  if (alternative.kind === "boolean") return text === "true" ? true : text === "false" ? false : undefined;
  return text;
};

/** The sentence for a value that a flag does not take; `place` names the flag as the user wrote it. */
export const refusal = (flag: Flag, place: string, value: unknown): string => {
  const meant = typeof value === "string" ? nearestChoice(flag, value) : undefined;
  const shown = typeof value === "number" ? String(value) : JSON.stringify(value);
  return `${place} takes ${allowedText(flag)}, not ${shown}${meant === undefined ? "" : ` (did you mean ${meant}?)`}.`;
};

/** Reads a flag's text: `2e-4` is a number where numbers are allowed. What fits nothing stays a text, for the schema to refuse. */
export const parseText = ({ alternatives }: Flag, text: string): string | number | boolean => {
  for (const alternative of alternatives) {
    const value = valueOf(alternative, text);
    if (value !== undefined) return value;
  }
  return text;
};

const shownDefault = (value: unknown): string => {
  if (value === undefined || value === false) return "";
  if (value === true) return "on";
  if (Array.isArray(value)) return value.map(shownDefault).join(", ");
  return typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);
};

/** A flag's line in the help: what it does, its choices, its default, whether it must or may be repeated. */
export const helpText = (flag: Flag): string => {
  const choices = flag.alternatives.flatMap((one) => (one.kind === "choice" ? one.values : []));
  const defaultText = shownDefault(flag.default);
  const notes = [
    choices.length > 1 && choices.join(", "),
    flag.repeatable !== false && "repeatable",
    flag.required && "required",
    defaultText !== "" && `default: ${defaultText}`,
  ].filter((note) => note !== false);
  return notes.length === 0 ? flag.description : `${flag.description} (${notes.join("; ")})`;
};
