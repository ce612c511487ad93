import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../formats/tokenizer.ts";
import { byteLevelFiles, llamaFiles } from "../../../test/tiny-tokenizer.ts";
import { chatPrompt } from "./chat-prompt.ts";

const messages = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "the" },
  { role: "user", content: "more" },
];

describe("chatPrompt", () => {
  it("uses the plain template for a model without one, and stops at its headings", () => {
    const tokenizer = createTokenizer(byteLevelFiles());
    const prompt = chatPrompt(tokenizer);
    expect(tokenizer.decode(prompt.encode(messages), { skipSpecial: false })).toBe(
      "### User:\nHi\n\n### Assistant:\nthe<|end|>\n\n### User:\nmore\n\n### Assistant:\n",
    );
    expect(prompt.stops).toContain("\n### User:");
  });

  it("uses the model's template", () => {
    const chatTemplate =
      "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    const tokenizer = createTokenizer(byteLevelFiles({ chatTemplate }));
    const prompt = chatPrompt(tokenizer);
    expect(tokenizer.decode(prompt.encode(messages.slice(0, 1)), { skipSpecial: false })).toBe("<|im_start|>Hi<|im_end|>A:");
    expect(prompt.stops).toEqual([]);
  });

  it("ends with the end token for an encoder, which reads it by itself", () => {
    const tokenizer = createTokenizer(byteLevelFiles());
    const [goesOn, ends] = [chatPrompt(tokenizer), chatPrompt(tokenizer, { decoderStart: 0 })].map((prompt) => prompt.encode(messages));
    expect(ends).toEqual([...goesOn, tokenizer.eosId]);
  });

  it.each([
    ["without", "{{ messages[0].content }}"],
    ["with", "{{ bos_token }}{{ messages[0].content }}"],
  ])("begins with BOS once, for a template %s it", (_, chatTemplate) => {
    const tokenizer = createTokenizer(llamaFiles({ chatTemplate, specialTokens: { bos_token: "<s>", eos_token: "</s>" } }));
    const ids = chatPrompt(tokenizer).encode(messages);
    expect(ids.filter((id) => id === tokenizer.bosId)).toHaveLength(1);
    expect(ids[0]).toBe(tokenizer.bosId);
  });
});
