/** @file The ids of a prompt as a model is given them. It knows nothing about texts. */
import type { Tokenizer } from "../formats/index.ts";
import type { Model } from "../models/index.ts";

/** Ids of a prompt; what an encoder reads is a text by itself and so ends with the end token, once, as in training. */
export const asPrompt = (
  ids: readonly number[],
  { decoderStart }: Pick<Model, "decoderStart">,
  { eosId }: Pick<Tokenizer, "eosId">,
): readonly number[] => (decoderStart === undefined || eosId === undefined || ids.at(-1) === eosId ? ids : [...ids, eosId]);
