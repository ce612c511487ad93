/** @file What the library knows of an adapter: one JSON record beside its files. It knows nothing about folders or the index. */
import { isObject, sortedJson } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import { isEmbedding, type DataEmbedding } from "./data-embedding.ts";
import type { FileDigest } from "./digest.ts";
import { isAlias, isName, isTag, isVersionNumber } from "./names.ts";

/** The files of an adapter, as PEFT names them. */
export const adapterFiles = ["adapter_config.json", "adapter_model.safetensors"] as const;
export type AdapterFile = (typeof adapterFiles)[number];

/** A version of a name; it stands for one adapter for ever. */
export interface Version {
  readonly name: string;
  readonly version: number;
}

export interface PublishedVersion extends Version {
  /** ISO 8601, UTC. */
  readonly published: string;
}

/** `name:alias` stands for this adapter; where two adapters claim it, the later claim holds. */
export interface AliasClaim {
  readonly name: string;
  readonly alias: string;
  /** ISO 8601, UTC. */
  readonly since: string;
}

/** An adapter that another one was composed of. */
export interface Parent {
  readonly digest: string;
  readonly name?: string;
  readonly weight: number;
}

/** Where an adapter comes from; null for what is not known. */
export interface Lineage {
  /** Digest of the base's tensors. */
  readonly base: string | null;
  /** What people call the base. */
  readonly baseName: string | null;
  /** Fingerprint of the training data. */
  readonly data: string | null;
  /** The run, experiment or job that made it. */
  readonly run: string | null;
  readonly parents: readonly Parent[];
}

/** What the files say, for tables. */
export interface AdapterFacts {
  /** PEFT's `peft_type`. */
  readonly kind: string;
  readonly rank: number | null;
  readonly alpha: number | null;
  /** Numbers in the weights' file. */
  readonly parameters: number;
}

export interface AdapterRecord {
  /** Of this form. 1, which older releases wrote, knew no embedding; it is read as 2. */
  readonly format: 2;
  readonly digest: string;
  readonly files: Readonly<Record<AdapterFile, FileDigest>>;
  readonly facts: AdapterFacts;
  /** The names under which it is published; without any its files may be collected. */
  readonly names: readonly PublishedVersion[];
  /** Versions that it was published under once; they are not given again. */
  readonly retired: readonly Version[];
  readonly aliases: readonly AliasClaim[];
  /** `key=value` or plain, sorted. */
  readonly tags: readonly string[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly lineage: Lineage;
  /** What its training data are about, null where nobody has looked. */
  readonly embedding: DataEmbedding | null;
  /** An SPDX name, as far as people gave one. */
  readonly licence: string | null;
  readonly notes: string;
  /** When the library first saw it; ISO 8601, UTC. */
  readonly created: string;
  /** When tags, metrics, lineage, licence or notes last changed: of two libraries' words the later holds. */
  readonly updated: string;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
// JSON can say 1e999, which is read as infinite and could not be written again.
const isNumber = (value: unknown): boolean => Number.isFinite(value);
const isNumberOrNull = (value: unknown): boolean => value === null || isNumber(value);
// Times are compared as texts, so that all have this form; a later one can always follow.
const isTime = (value: unknown): boolean =>
  isText(value) && /^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value) && !Number.isNaN(Date.parse(value));
const isListOf =
  (holds: (item: Record<string, unknown>) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.every((item) => isObject(item) && holds(item));

export const isDigest = (value: unknown): value is string => isText(value) && /^sha256:[0-9a-f]{64}$/.test(value);

const isVersion = ({ name, version }: Record<string, unknown>): boolean => isText(name) && isName(name) && isVersionNumber(version);

const isFile = (value: unknown): boolean =>
  isObject(value) && isCount(value["bytes"]) && isText(value["sha256"]) && /^[0-9a-f]{64}$/.test(value["sha256"]);

const checks: Readonly<Record<keyof AdapterRecord, (value: unknown) => boolean>> = {
  format: (value) => value === 2,
  digest: isDigest,
  files: (value) => isObject(value) && adapterFiles.every((name) => isFile(value[name])),
  facts: (value) =>
    isObject(value) &&
    isText(value["kind"]) &&
    isNumberOrNull(value["rank"]) &&
    isNumberOrNull(value["alpha"]) &&
    isCount(value["parameters"]),
  names: isListOf((item) => isVersion(item) && isTime(item["published"])),
  retired: isListOf(isVersion),
  aliases: isListOf(({ name, alias, since }) => isText(name) && isName(name) && isText(alias) && isAlias(alias) && isTime(since)),
  tags: (value) => Array.isArray(value) && value.every((tag) => isText(tag) && isTag(tag)),
  metrics: (value) => isObject(value) && Object.entries(value).every(([name, number]) => isTag(name) && isNumber(number)),
  lineage: (value) =>
    isObject(value) &&
    [value["base"], value["baseName"], value["data"], value["run"]].every(isTextOrNull) &&
    isListOf(({ digest, weight }) => isText(digest) && isNumber(weight))(value["parents"]),
  embedding: (value) => value === null || isEmbedding(value),
  licence: isTextOrNull,
  notes: isText,
  created: isTime,
  updated: isTime,
};

/** A record of an earlier form as it would be written today. */
const upgraded = (value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  value["format"] === 1 ? { ...value, format: 2, embedding: null } : value;

/** Texts that say anything, without the characters that would steer a terminal. */
const harmless = (value: unknown): unknown => {
  // eslint-disable-next-line no-control-regex -- control characters are what is replaced
  if (isText(value)) return value.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\uFFFD");
  if (Array.isArray(value)) return value.map(harmless);
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, harmless(inner)])) : value;
};

/** No record is longer; longer ones are neither read nor written. */
export const longestRecord = 1_000_000; // bytes

/**
 * Checks what was read as a record; `invalid-file` names the field that is none. Keys of later versions are dropped, and so are characters that
 * no text has need of.
 */
export const recordOf = (given: Readonly<Record<string, unknown>>, where: string): AdapterRecord => {
  const value = upgraded(given);
  for (const [key, holds] of Object.entries(checks))
    if (!holds(value[key]))
      throw new LowrankError("invalid-file", `"${key}" of the adapter's record is missing or damaged.`, {
        where,
        fix: "Copy the record again, or remove it and add the adapter anew.",
      });
  return Object.fromEntries(Object.keys(checks).map((key) => [key, harmless(value[key])])) as unknown as AdapterRecord;
};

/** The record's bytes: equal records give equal bytes. */
export const recordText = (record: AdapterRecord): string => `${sortedJson({ ...record })}\n`;

/** `tales@2`, or the digest of an adapter without a name. */
export const labelOf = ({ names, digest }: Pick<AdapterRecord, "names" | "digest">): string =>
  names.length === 0 ? digest : `${names[0].name}@${names[0].version}`;
