/** @file The tokenizer of the embedded model: `tokenizer.json` and `tokenizer_config.json` from texts. It writes no file. */
import { byteCharacters, trainBpe } from "./bpe.ts";

/** The special tokens; the place in this list is the id. */
export const specialTokens = ["<pad>", "<s>", "</s>", "<user>", "<assistant>"] as const;

/** Trained tokens included, a multiple of 64. */
export const vocabularySize = 1536;

/** A conversation: `<s><user>…<assistant>…</s>`, and from the second question on without `<s>`. A system message comes first, as plain text. */
const chatTemplate = [
  "{{ bos_token }}",
  "{% for message in messages %}",
  "{% if message['role'] == 'assistant' %}",
  "{{ '<assistant>' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}",
  "{% elif message['role'] == 'user' %}{{ '<user>' + message['content'] }}",
  "{% else %}{{ message['content'] + '\n' }}{% endif %}",
  "{% endfor %}",
  "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
].join("");

/** The parsed form of `tokenizer.json`: byte-level BPE, so that every Unicode text can be encoded; `<s>` is put first. */
export const buildTokenizer = (texts: Iterable<string>) => {
  const merges = trainBpe(withoutSpecial(texts), vocabularySize - specialTokens.length - byteCharacters.length);
  const tokens = [...specialTokens, ...byteCharacters.toSorted(), ...merges.map(([left, right]) => left + right)];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "<s>": { id: "<s>", ids: [specialTokens.indexOf("<s>")], tokens: ["<s>"] } },
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.join(" ")),
    },
  };
};

/** The parsed form of `tokenizer_config.json`. */
export const tokenizerConfig = (modelMaxLength: number) => ({
  tokenizer_class: "PreTrainedTokenizerFast",
  bos_token: "<s>",
  eos_token: "</s>",
  pad_token: "<pad>",
  additional_special_tokens: ["<user>", "<assistant>"],
  clean_up_tokenization_spaces: false,
  model_max_length: modelMaxLength,
  chat_template: chatTemplate,
});

const special = new RegExp(specialTokens.join("|"), "g");

function* withoutSpecial(texts: Iterable<string>): Generator<string> {
  for (const text of texts) yield* text.split(special);
}
