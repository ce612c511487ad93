/** @file What the fields of configurations may hold, in words that errors repeat. It knows no field. */
import { LowrankError } from "../util/index.ts";

/** Whether a value is right, and what would be. */
export type Check = readonly [holds: (value: unknown) => boolean, wanted: string];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isFlag = (value: unknown): boolean => typeof value === "boolean";
export const isText = (value: unknown): boolean => typeof value === "string" && value !== "";
export const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
export const isNumber = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);
export const isPositive = (value: unknown): boolean => isNumber(value) && (value as number) > 0;
export const isRank = (value: unknown): boolean => isPositive(value) && Number.isInteger(value);
export const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
export const isShare = (value: unknown): boolean => isNumber(value) && (value as number) >= 0 && (value as number) < 1;

export const orNull =
  (holds: Check[0]): Check[0] =>
  (value) =>
    value === null || holds(value);

export const isList =
  (holds: Check[0]): Check[0] =>
  (value) =>
    Array.isArray(value) && value.every(holds);

export const isTable =
  (holds: Check[0]): Check[0] =>
  (value) =>
    isObject(value) && Object.values(value).every(holds);

export const isOneOf =
  (...values: readonly string[]): Check[0] =>
  (value) =>
    values.includes(value as string);

/** Fields that are there hold; others are of other versions. */
export const isRecordOf =
  (fields: Readonly<Record<string, Check[0]>>): Check[0] =>
  (value) =>
    isObject(value) && Object.entries(fields).every(([name, holds]) => value[name] === undefined || holds(value[name]));

/** The same values, once all of them are right; throws `invalid-config` that names a wrong one. */
export const checked = <Values extends object>(values: Values, checks: Readonly<Record<keyof Values, Check>>, where: string): Values => {
  for (const [key, [holds, wanted]] of Object.entries<Check>(checks)) {
    const value: unknown = values[key as keyof Values];
    if (!holds(value))
      throw new LowrankError("invalid-config", `"${key}" is ${JSON.stringify(value)} where ${wanted} is needed.`, { where });
  }
  return values;
};
