/** @file Typed picking from `config.json` objects. It knows nothing about which keys an architecture has. */
import { LowrankError } from "../util/index.ts";
import { isObject } from "./json.ts";

type Config = Readonly<Record<string, unknown>>;

/** Reads a key as a type: a missing or null key gives the fallback; without one, or with another type, it is an `invalid-config` error. */
interface Getter<T> {
  (name: string): T;
  <F extends T | null>(name: string, fallback: F): T | F;
}

export interface ConfigReader {
  /** A whole number from 0. */
  readonly integer: Getter<number>;
  /** A whole number from 1. */
  readonly size: Getter<number>;
  /** A finite number. */
  readonly number: Getter<number>;
  readonly boolean: Getter<boolean>;
  readonly string: Getter<string>;
  /** Whole numbers from 0; a single one counts as a list, as in `eos_token_id`. */
  readonly integers: Getter<readonly number[]>;
  /** One of some texts; another one is an `unsupported` error that lists them. */
  oneOf<T extends string>(name: string, choices: readonly T[], fallback?: T): T;
}

const isInteger = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isSize = (value: unknown): value is number => isInteger(value) && value > 0;
const isNumber = (value: unknown): value is number => Number.isFinite(value);
const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
const isString = (value: unknown): value is string => typeof value === "string";
const isIntegers = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isInteger);

const find = (config: Config, name: string): unknown => (Object.hasOwn(config, name) ? (config[name] ?? undefined) : undefined);

const missing = (name: string, where: string): LowrankError =>
  new LowrankError("invalid-config", `"${name}" is missing.`, { where, fix: "Check that the file is complete." });

const wrong = (name: string, value: unknown, wanted: string, where: string): LowrankError =>
  new LowrankError("invalid-config", `"${name}" must be ${wanted}, not ${typeof value === "number" ? value : JSON.stringify(value)}.`, {
    where,
    fix: "Correct the file.",
  });

/**
 * Typed access to a configuration; `where` names its file in errors.
 * @example const layers = configReader(config, "model/config.json").size("num_hidden_layers");
 */
export const configReader = (config: Config, where: string): ConfigReader => {
  const picker =
    <T>(is: (value: unknown) => value is T, wanted: string): Getter<T> =>
    (name: string, ...fallback: [F?: T | null]) => {
      const value = find(config, name) ?? fallback[0];
      if (value === null) return null as T;
      if (value === undefined) throw missing(name, where);
      if (!is(value)) throw wrong(name, value, wanted, where);
      return value;
    };
  const list = picker(isIntegers, "a list of whole numbers");
  const string = picker(isString, "a text");
  return {
    integer: picker(isInteger, "a whole number from 0"),
    size: picker(isSize, "a whole number from 1"),
    number: picker(isNumber, "a finite number"),
    boolean: picker(isBoolean, "true or false"),
    string,
    integers: ((name: string, ...fallback: [readonly number[]]) => {
      const value = find(config, name);
      return isInteger(value) ? [value] : list(name, ...fallback);
    }) as Getter<readonly number[]>,
    oneOf: (name, choices, fallback) => {
      const value = fallback === undefined ? string(name) : string(name, fallback);
      const choice = choices.find((one) => one === value);
      if (choice === undefined)
        throw new LowrankError("unsupported", `"${name}" is ${JSON.stringify(value)}; offered: ${choices.join(", ")}.`, { where });
      return choice;
    },
  };
};

/** Rotary position settings: the base θ, and the scaling's type with its own keys, null where there is none. */
export interface Rope {
  readonly theta: number;
  readonly scaling: ({ readonly type: string } & Config) | null;
}

/** Rotary settings of a configuration, from `rope_parameters` or from the older `rope_theta` and `rope_scaling`; θ is 10000 by default. */
export const ropeOf = (config: Config, where: string): Rope => {
  const key = find(config, "rope_parameters") === undefined ? "rope_scaling" : "rope_parameters";
  const settings = find(config, key) ?? {};
  if (!isObject(settings)) throw wrong(key, settings, "an object", where);
  if (Object.values(settings).some(isObject))
    throw new LowrankError("unsupported", `"${key}" differs by kind of layer: ${Object.keys(settings).join(", ")}.`, { where });
  const read = configReader(settings, `${where}, ${key}`);
  const theta = read.number("rope_theta", configReader(config, where).number("rope_theta", 10_000));
  if (theta <= 0) throw wrong("rope_theta", theta, "above 0", where);
  const type = read.string("rope_type", read.string("type", "default"));
  if (type === "default") return { theta, scaling: null };
  const { rope_theta: _theta, rope_type: _type, ...rest } = settings;
  return { theta, scaling: { ...rest, type } };
};
