/** @file Texts to token ids and back, as the reference tokenizers library does it for the same `tokenizer.json`. It knows nothing about chats or models. */
import { Tokenizer as Engine } from "@huggingface/tokenizers";
import { LowrankError, messageOf } from "../util/index.ts";
import { byteAlphabet, byteLevelBytes, bytePiece, fallbackByte } from "./tokenizer-bytes.ts";
import { correctTokenizer } from "./tokenizer-corrections.ts";
import { decoderStep, type DecoderStep } from "./tokenizer-decoder.ts";
import { readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";
import { flatten, isByteLevel, marksSpaces, missingCharacters, vocabularyOf, type TokenizerJson } from "./tokenizer-json.ts";
import { alignTokens, sourceBytes, type Offsets, type SourceOptions } from "./tokenizer-offsets.ts";

export interface DecodeOptions {
  /** Leaves out special tokens; default true. */
  readonly skipSpecial?: boolean;
}

/** Texts to ids and back for one vocabulary. Nothing is ever truncated or padded, whatever `tokenizer.json` says. */
export interface Tokenizer {
  /** Ids of a text; with `specialTokens` (the default) also those that the tokenizer puts around it, such as a first BOS. */
  encode(text: string, options?: { readonly specialTokens?: boolean }): number[];
  /** Ids of a text, or of two that belong together, with special tokens around and between, and the kind of each token: 0 or 1. */
  encodePair(first: string, second?: string): { readonly ids: number[]; readonly types: number[] };
  /** Ids of a text without added special tokens, and the characters [start, end) that each one stands for, in UTF-16 indices. */
  encodeWithOffsets(text: string): { readonly ids: number[] } & Offsets;
  /** The text of ids; ids outside the vocabulary are passed over. */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** What one token stands for in the middle of a text; bytes that are no whole character are shown as `<0xE2>`. */
  tokenText(id: number): string;
  /** The token as the vocabulary spells it, such as `Ġworld`; undefined for an id outside it. */
  piece(id: number): string | undefined;
  isSpecial(id: number): boolean;
  /** The decoder of `tokenizer.json`, from pieces to final text. */
  decoder(): DecoderStep;
  /** One more than the largest id. */
  readonly vocabularySize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  readonly unkId: number | undefined;
  /** True where `encode` begins every text with BOS. */
  readonly addsBos: boolean;
  /** Every id that ends a generated text: `eosId` first, then those of `generation_config.json` or `config.json`. */
  readonly eosIds: readonly number[];
  /** `bos_token`, `eos_token` … for chat templates. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly chatTemplate: string | undefined;
}

interface Encoder {
  encode(
    text: string,
    options: { add_special_tokens: boolean; text_pair?: string; return_token_type_ids?: boolean },
  ): { ids: number[]; tokens: string[]; token_type_ids?: number[] };
  normalizer: ((text: string) => string) | null;
}

const utf8 = new TextEncoder();

/** How pieces of this tokenizer stand for bytes. */
const surfaceOf = (tokenizer: TokenizerJson): ((piece: string) => Uint8Array) => {
  if (isByteLevel(tokenizer)) return byteLevelBytes;
  if (tokenizer.model.type === "WordPiece") return (piece) => utf8.encode(piece.replace(/^##/, ""));
  return (piece) => {
    const byte = fallbackByte(piece);
    return byte === undefined ? utf8.encode(piece.replaceAll("▁", " ")) : Uint8Array.of(byte);
  };
};

const createEncoder = (tokenizer: TokenizerJson, path: string): Encoder => {
  try {
    return new Engine(correctTokenizer(tokenizer), {}) as Encoder;
  } catch (error) {
    throw new LowrankError("unsupported", `The tokenizer cannot be used: ${messageOf(error)}.`, { where: path, cause: error });
  }
};

/** How texts become what pieces are compared with; marks for spaces are no change. */
const sourceOptions = ({ tokenizer, path }: TokenizerFiles): SourceOptions => {
  const changing = flatten(tokenizer.normalizer).filter(({ type, content }) => type !== "Prepend" && content !== "▁");
  const model = { type: "BPE", vocab: {}, merges: [] };
  const normalizer = { type: "Sequence", normalizers: changing };
  return {
    normalize: changing.length === 0 ? undefined : createEncoder({ ...tokenizer, model, added_tokens: [], normalizer }, path).normalizer!,
    marks: marksSpaces(tokenizer),
    missing: new Set(missingCharacters(tokenizer).map((character) => byteAlphabet.get(character)!)),
  };
};

/** What a Unigram model with byte fallback lacks is spelled in bytes; the package leaves it unknown. */
const spellsBytes = ({ model }: TokenizerJson): boolean => model.type === "Unigram" && model["byte_fallback"] === true;

/** A tokenizer of parsed files; `loadTokenizer` reads them. */
export const createTokenizer = (files: TokenizerFiles): Tokenizer => {
  const { tokenizer, specialTokens } = files;
  const encoder = createEncoder(tokenizer, files.path);
  const vocabulary = [...vocabularyOf(tokenizer.model), ...tokenizer.added_tokens.map(({ content, id }) => [content, id] as const)];
  const idOf = new Map(vocabulary);
  const pieces: string[] = [];
  for (const [piece, id] of vocabulary) pieces[id] = piece;
  const added = new Set(tokenizer.added_tokens.map(({ id }) => id));
  const special = new Set(tokenizer.added_tokens.filter((token) => token.special).map(({ id }) => id));
  const surface = surfaceOf(tokenizer);
  const source = sourceOptions(files);
  const idNamed = (name: string): number | undefined => (Object.hasOwn(specialTokens, name) ? idOf.get(specialTokens[name]) : undefined);
  // Unigram models name the unknown token by its id.
  const { unk_token: unknown, unk_id: numbered } = tokenizer.model;
  const unknownId = typeof unknown === "string" ? idOf.get(unknown) : typeof numbered === "number" ? numbered : undefined;
  const bosId = idNamed("bos_token");
  const eosId = idNamed("eos_token") ?? files.eosIds[0];

  const bytesOf = (id: number): Uint8Array => (added.has(id) ? utf8.encode(pieces[id]) : surface(pieces[id]));
  const spelled = (text: string): number[] | undefined => {
    const ids = Array.from(utf8.encode(text), (byte) => idOf.get(bytePiece(byte)));
    return ids.every((id) => id !== undefined) ? ids : undefined;
  };
  const encodePair = (first: string, second: string, specialTokens: boolean): { ids: number[]; types: number[] } => {
    const options = { add_special_tokens: specialTokens, text_pair: second, return_token_type_ids: true };
    const { ids, tokens, token_type_ids: types = ids.map(() => 0) } = encoder.encode(first, options);
    if (!spellsBytes(tokenizer)) return { ids, types };
    const spelt = ids.map((id, token) => (id === unknownId && tokens[token] !== pieces[id] && spelled(tokens[token])) || [id]);
    return { ids: spelt.flat(), types: spelt.flatMap((bytes, token) => bytes.map(() => types[token])) };
  };
  const encode = (text: string, specialTokens: boolean): number[] => encodePair(text, "", specialTokens).ids;
  const self: Tokenizer = {
    encode: (text, { specialTokens = true } = {}) => encode(text, specialTokens),
    encodePair: (first, second = "") => encodePair(first, second, true),
    encodeWithOffsets: (text) => {
      const ids = encode(text, false);
      const surfaces = ids.map((id) => (id === unknownId && !text.includes(pieces[id]) ? undefined : bytesOf(id)));
      return { ids, ...alignTokens(sourceBytes(text, source), surfaces, text.length) };
    },
    decode: (ids, options) => {
      const stream = streamDecoder(self, options);
      let text = "";
      for (const id of ids) text += stream.push(id);
      return text + stream.flush();
    },
    tokenText: (id) => {
      if (pieces[id] === undefined) return "";
      const bytes = bytesOf(id);
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        return Array.from(bytes, bytePiece).join("");
      }
    },
    piece: (id) => pieces[id],
    isSpecial: (id) => special.has(id),
    decoder: () => decoderStep(tokenizer.decoder),
    vocabularySize: pieces.length,
    bosId,
    eosId,
    padId: idNamed("pad_token"),
    unkId: unknownId ?? idNamed("unk_token"),
    addsBos: bosId !== undefined && encode("", true)[0] === bosId,
    eosIds: [...new Set([eosId, ...files.eosIds].filter((id) => id !== undefined))],
    specialTokens,
    chatTemplate: files.chatTemplate,
  };
  return self;
};

/**
 * The tokenizer of a model folder. Reads `tokenizer.json` and, where they exist, `tokenizer_config.json`, `special_tokens_map.json`,
 * `chat_template.jinja`, `generation_config.json` and `config.json`.
 * @example
 * const tokenizer = await loadTokenizer("models/SmolLM2-135M");
 * tokenizer.decode(tokenizer.encode("Once upon a time")); // "Once upon a time"
 */
export const loadTokenizer = async (directory: string): Promise<Tokenizer> => createTokenizer(await readTokenizerFiles(directory));

/** Decodes a growing list of ids: the pushes and the flush together give what `decode` gives for all of them. */
export interface StreamDecoder {
  /** Text that this token makes final; empty while a character is incomplete. */
  push(id: number): string;
  /** The rest; the decoder is as new afterwards. */
  flush(): string;
}

/** A decoder for ids as they are generated. */
export const streamDecoder = (tokenizer: Tokenizer, { skipSpecial = true }: DecodeOptions = {}): StreamDecoder => {
  const decoder = tokenizer.decoder();
  return {
    push: (id) => {
      const piece = tokenizer.piece(id);
      return piece === undefined || (skipSpecial && tokenizer.isSpecial(id)) ? "" : decoder.push(piece).join("");
    },
    flush: () => decoder.flush().join(""),
  };
};
