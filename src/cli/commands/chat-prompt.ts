/** @file A conversation as the token ids that a model is asked to go on from. It knows nothing about generation. */
import { chatTemplate, plainChatTemplate, type ChatMessage, type Tokenizer } from "../../formats/index.ts";
import { asPrompt } from "../../generate/index.ts";
import type { Model } from "../../models/index.ts";

export interface ChatPrompt {
  /** Ids of the conversation, up to where the assistant begins to write. */
  encode(messages: readonly ChatMessage[]): readonly number[];
  /** Texts that mean that the model has gone on to write the next turn. */
  readonly stops: readonly string[];
}

// The headings of the plain template, which are no tokens of their own and so do not end an answer by themselves.
const plainStops = ["\n### User:", "\n### System:", "\n### Assistant:", "\n### Tool:"];

/** The model's own chat template, or the plain one for a model without. */
export const chatPrompt = (tokenizer: Tokenizer, model: Pick<Model, "decoderStart"> = {}): ChatPrompt => {
  const template = chatTemplate(tokenizer.chatTemplate ?? plainChatTemplate);
  const { specialTokens, addsBos, bosId } = tokenizer;
  return {
    encode: (messages) => {
      const { text } = template.render(messages, { addGenerationPrompt: true, specialTokens });
      const ids = tokenizer.encode(text, { specialTokens: false });
      // As in training: BOS once, whether the template writes it or not.
      return asPrompt(addsBos && ids[0] !== bosId ? [bosId!, ...ids] : ids, model, tokenizer);
    },
    stops: tokenizer.chatTemplate === undefined ? plainStops : [],
  };
};
