/** @file A conversation with a model: its turns, what the model answers, and the adapters that speak. It knows nothing about terminals. */
import type { ChatMessage } from "../../formats/index.ts";
import type { GenerateOptions } from "../../generate/index.ts";
import type { LanguageModel } from "../../language-model.ts";
import { LowrankError } from "../../util/index.ts";
import { chatPrompt } from "./chat-prompt.ts";
import { complete, type Completion } from "./completion.ts";
import type { NamedAdapter } from "./open-model.ts";
import { promptCache } from "./prompt-cache.ts";

export interface Answer extends Completion {
  /** Messages at the beginning that the model was not shown, for lack of positions. */
  readonly forgotten: number;
}

export interface ChatSession {
  readonly messages: readonly ChatMessage[];
  readonly adapters: readonly NamedAdapter[];
  /** Adds a turn of the user and the model's answer to it; a turn that fails is taken back. */
  say(content: string, options: GenerateOptions, write: (piece: string) => void): Promise<Answer>;
  /** Forgets the conversation, but not what the model was told before it. */
  reset(): void;
  /** Lets other adapters speak; the conversation goes on. */
  use(adapters: readonly NamedAdapter[]): Promise<void>;
}

const initialTokens = 1024;

/** Starts a conversation. Adapters work beside the base, so that changing them is quick. */
export const chatSession = async (
  model: LanguageModel,
  system: string | undefined,
  initialAdapters: readonly NamedAdapter[],
  speculate = 0,
): Promise<ChatSession> => {
  const { tokenizer } = model;
  const { maxPositions } = model.base.model;
  const prompt = chatPrompt(tokenizer, model.base.model);
  const opening: ChatMessage[] = system === undefined ? [] : [{ role: "system", content: system }];
  const messages: ChatMessage[] = [...opening];

  const listen = async (adapters: readonly NamedAdapter[]) => {
    const generator = await model.generator({ adapters, speculate });
    return { adapters, generator, cache: promptCache(await generator.decoder(Math.min(initialTokens, maxPositions))) };
  };
  let voice = await listen(initialAdapters);

  /** The longest end of the conversation, from a turn of the user on, that leaves room for an answer. */
  const fitting = (maxTokens: number): { ids: readonly number[]; forgotten: number } => {
    const room = maxPositions - Math.min(maxTokens, Math.ceil(maxPositions / 4));
    let ids = prompt.encode(messages);
    for (let start = opening.length; ids.length > room;) {
      start = messages.findIndex(({ role }, index) => index > start && role === "user");
      if (start === -1)
        throw new LowrankError(
          "invalid-argument",
          `The message takes ${ids.length} tokens with what goes before it, and the model ${maxPositions}.`,
          {
            fix: "Say it in fewer words.",
          },
        );
      ids = prompt.encode([...opening, ...messages.slice(start)]);
      if (ids.length <= room) return { ids, forgotten: start - opening.length };
    }
    return { ids, forgotten: 0 };
  };

  return {
    messages,
    get adapters() {
      return voice.adapters;
    },
    say: async (content, { maxTokens = 512, stop = [], ...options }, write) => {
      const before = messages.length;
      messages.push({ role: "user", content });
      try {
        const { ids, forgotten } = fitting(maxTokens);
        const speaker = { decoder: voice.cache.begin(), tokenizer, maxPositions };
        const completion = await complete(speaker, ids, { ...options, maxTokens, stop: [...stop, ...prompt.stops] }, write);
        messages.push({ role: "assistant", content: completion.text });
        return { ...completion, forgotten };
      } catch (error) {
        messages.length = before;
        throw error;
      }
    },
    reset: () => {
      messages.length = opening.length;
    },
    use: async (adapters) => {
      const next = await listen(adapters);
      await voice.cache.dispose();
      await voice.generator.close();
      voice = next;
    },
  };
};
