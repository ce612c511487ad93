/** @file The tokenizer and the chat template of a model folder as GGUF metadata. It knows nothing about architectures. */
import { LowrankError } from "../util/index.ts";
import { gguf, type GgufMetadata, type GgufValue } from "./gguf-types.ts";
import { bpeVocabulary } from "./gguf-vocabulary-bpe.ts";
import { spmVocabulary, type Obstacle } from "./gguf-vocabulary-spm.ts";
import { fallbackByte } from "./tokenizer-bytes.ts";
import { readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";
import { flatten, isByteLevel, vocabularyOf, type TokenizerJson } from "./tokenizer-json.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

type Entries = readonly (readonly [key: string, value: GgufValue])[];

const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

interface Token {
  readonly text: string;
  readonly type: number;
}

/** Every id's token; ids below `size` that none has are filled up. */
const tokensOf = (tokenizer: TokenizerJson, { unkId }: Tokenizer, size: number): Token[] => {
  const tokens: Token[] = Array.from({ length: size }, (_, id) => ({ text: `[PAD${id}]`, type: tokenTypes.unused }));
  for (const [text, id] of vocabularyOf(tokenizer.model))
    tokens[id] = { text, type: !isByteLevel(tokenizer) && fallbackByte(text) !== undefined ? tokenTypes.byte : tokenTypes.normal };
  for (const { content, id, special } of tokenizer.added_tokens)
    tokens[id] = { text: content, type: special ? tokenTypes.control : tokenTypes.userDefined };
  if (unkId !== undefined) tokens[unkId] = { ...tokens[unkId], type: tokenTypes.unknown };
  return tokens;
};

// Sentencepiece scores single characters below everything that merges make; nothing is merged into them, so that only the order counts.
const spm = (tokenizer: TokenizerJson, tokens: readonly Token[]): Entries | Obstacle => {
  const found = spmVocabulary(tokenizer);
  if (typeof found === "string") return found;
  const { prefixesSpace, scores } = found;
  return [
    ["tokenizer.ggml.model", gguf.string("llama")],
    ["tokenizer.ggml.pre", gguf.string("default")],
    [
      "tokenizer.ggml.scores",
      gguf.f32s(tokens.map(({ text, type }) => (type === tokenTypes.normal ? (scores.get(text) ?? -scores.size) : 0))),
    ],
    ["tokenizer.ggml.add_space_prefix", gguf.bool(prefixesSpace)],
  ];
};

const bpe = (tokenizer: TokenizerJson): Entries | Obstacle => {
  const found = bpeVocabulary(tokenizer);
  if (typeof found === "string") return found;
  return [
    ["tokenizer.ggml.model", gguf.string("gpt2")],
    ["tokenizer.ggml.pre", gguf.string(found.preTokenizer)],
    ["tokenizer.ggml.merges", gguf.strings(found.merges)],
  ];
};

const idKeys = (tokenizer: Tokenizer): Entries => {
  const [eos, eot, eom] = tokenizer.eosIds;
  const ids = { bos: tokenizer.bosId, eos, eot, eom, unknown: tokenizer.unkId, padding: tokenizer.padId };
  return Object.entries(ids)
    .filter((entry): entry is [string, number] => entry[1] !== undefined)
    .map(([name, id]) => [`tokenizer.ggml.${name}_token_id`, gguf.u32(id)]);
};

/** What goes around every text: BOS before it, EOS behind it, or neither. */
const surroundings = (tokenizer: Tokenizer): Entries | Obstacle => {
  const around = tokenizer.encode("");
  const first = tokenizer.addsBos;
  const last = around.length > Number(first) && around.at(-1) === tokenizer.eosId;
  if (around.length !== Number(first) + Number(last)) return "it puts other tokens than BOS and EOS around texts";
  return [
    ["tokenizer.ggml.add_bos_token", gguf.bool(first)],
    ["tokenizer.ggml.add_eos_token", gguf.bool(last)],
  ];
};

const plainInPhi = ["<unk>", "<s>", "<|endoftext|>"];

/**
 * Tokens that swallow spaces have no place in GGUF. llama.cpp knows of one such vocabulary, by the model's name: that of Phi-3, where all
 * special tokens but three swallow the spaces behind them.
 */
const swallowing = ({ added_tokens: added }: TokenizerJson): Pick<GgufTokenizer, "nameMark" | "notes"> => {
  const swallow = added.filter(({ lstrip, rstrip }) => lstrip === true || rstrip === true);
  if (swallow.length === 0) return { notes: [] };
  const contents = new Set(added.map(({ content }) => content));
  const asPhi = added.every(
    ({ content, special, lstrip, rstrip }) =>
      lstrip !== true && (rstrip === true) === ((special && !plainInPhi.includes(content)) || content === "</s>"),
  );
  if (asPhi && ["</s>", ...plainInPhi].every((content) => contents.has(content))) return { nameMark: "phi-3", notes: [] };
  return {
    notes: [
      `GGUF has no tokens that swallow the spaces beside them, as ${swallow[0].content} does: texts with it get other tokens than here.`,
    ],
  };
};

export interface GgufTokenizer {
  readonly metadata: GgufMetadata;
  /** What the model's name must contain for llama.cpp to read the vocabulary as it is meant; default nothing. */
  readonly nameMark?: string;
  /** What it does differently in a GGUF file; sentences for people. */
  readonly notes: readonly string[];
}

/** The metadata of a tokenizer for a model with `size` embeddings; one that GGUF cannot express is refused with the reason. */
export const ggufTokenizer = (files: TokenizerFiles, size: number): GgufTokenizer => {
  const { tokenizer: json, path, chatTemplate } = files;
  const tokenizer = createTokenizer(files);
  const refuse = (reason: string): LowrankError =>
    new LowrankError("unsupported", `GGUF cannot express this tokenizer: ${reason}.`, { where: path });
  if (tokenizer.vocabularySize > size) throw refuse(`it has ${tokenizer.vocabularySize} tokens, the model ${size} embeddings`);
  const tokens = tokensOf(json, tokenizer, size);
  const vocabulary = isByteLevel(json) ? bpe(json) : spm(json, tokens);
  if (typeof vocabulary === "string") throw refuse(vocabulary);
  const around = surroundings(tokenizer);
  if (typeof around === "string") throw refuse(around);
  const normalises = flatten(json.normalizer).some(({ type }) => type === "NFC");
  const { notes, ...marked } = swallowing(json);
  return {
    metadata: new Map([
      ...vocabulary,
      ["tokenizer.ggml.tokens", gguf.strings(tokens.map(({ text }) => text))],
      ["tokenizer.ggml.token_type", gguf.i32s(tokens.map(({ type }) => type))],
      ...idKeys(tokenizer),
      ...around,
      ...(chatTemplate === undefined ? [] : [["tokenizer.chat_template", gguf.string(chatTemplate)] as const]),
    ]),
    ...marked,
    notes: [...(normalises ? ["GGUF has no Unicode normalisation: texts that are not in NFC get other tokens than here."] : []), ...notes],
  };
};

/** The same for the tokenizer of a model folder. */
export const readGgufTokenizer = async (directory: string, size: number): Promise<GgufTokenizer> =>
  ggufTokenizer(await readTokenizerFiles(directory), size);
