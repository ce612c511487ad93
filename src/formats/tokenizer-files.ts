/** @file Reads the files of a model folder that describe its tokenizer, its special tokens and its chat template. It knows nothing about encoding. */
import { join } from "node:path";
import { LowrankError } from "../util/index.ts";
import { readText } from "./disk.ts";
import { isObject, readJsonObject } from "./json.ts";
import { tokenizerJson, type TokenizerJson } from "./tokenizer-json.ts";

type Json = Readonly<Record<string, unknown>>;

export interface TokenizerFiles {
  /** The path of `tokenizer.json`, for errors. */
  readonly path: string;
  readonly tokenizer: TokenizerJson;
  /** `bos_token`, `eos_token` … as texts, the names that chat templates use. */
  readonly specialTokens: Readonly<Record<string, string>>;
  /** The ids that end a generated text, from `generation_config.json` or else `config.json`. */
  readonly eosIds: readonly number[];
  readonly chatTemplate: string | undefined;
}

const optional = async <T>(reading: Promise<T>): Promise<T | undefined> => {
  try {
    return await reading;
  } catch (error) {
    if (LowrankError.is(error) && error.code === "not-found") return undefined;
    throw error;
  }
};

const names = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];

/** Special tokens are stored as a text or as an object with the text in `content`. */
const textOf = (value: unknown): string | undefined => {
  const text = isObject(value) ? value["content"] : value;
  return typeof text === "string" ? text : undefined;
};

const integers = (value: unknown): readonly number[] => (Array.isArray(value) ? value : [value]).filter(Number.isSafeInteger) as number[];

/** A chat template is stored as a text or as a list of named ones, of which `default` is meant. */
const templateIn = (config: Json): string | undefined => {
  const value = config["chat_template"];
  const chosen = Array.isArray(value) ? value.find((entry) => isObject(entry) && entry["name"] === "default") : value;
  return textOf(isObject(chosen) ? chosen["template"] : chosen);
};

const specialTokensOf = (tokenizer: TokenizerJson, named: Json, ids: Json): Record<string, string> => {
  const contents = new Map(tokenizer.added_tokens.map(({ id, content }) => [id, content]));
  const tokens = names.map((name) => [name, textOf(named[name]) ?? contents.get(integers(ids[`${name}_id`])[0])] as const);
  return Object.fromEntries(tokens.filter((entry): entry is [string, string] => entry[1] !== undefined));
};

/** Reads `tokenizer.json` and, where they exist, the files beside it. A missing or damaged one is an error that names it. */
export const readTokenizerFiles = async (directory: string): Promise<TokenizerFiles> => {
  const object = async (name: string): Promise<Json> => (await optional(readJsonObject(join(directory, name)))) ?? {};
  const path = join(directory, "tokenizer.json");
  const json = await optional(readJsonObject(path));
  if (json === undefined)
    throw new LowrankError("not-found", "The model folder has no tokenizer.json.", {
      where: path,
      fix: "Download it from the model's page, or convert a sentencepiece model by loading and saving it with transformers.",
    });
  const tokenizer = tokenizerJson(json, path);
  const config = await object("tokenizer_config.json");
  const ids = { ...(await object("config.json")), ...(await object("generation_config.json")) };
  // The newest place of the template comes first, as in transformers.
  const chatTemplate =
    (await optional(readText(join(directory, "chat_template.jinja")))) ??
    templateIn(await object("chat_template.json")) ??
    templateIn(config);
  return {
    path,
    tokenizer,
    specialTokens: specialTokensOf(tokenizer, { ...(await object("special_tokens_map.json")), ...config }, ids),
    eosIds: integers(ids["eos_token_id"]),
    chatTemplate,
  };
};
