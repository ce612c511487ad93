/** @file Renders chat templates (Jinja) as transformers does, with the character ranges that the assistant wrote. It knows nothing about tokens. */
import { LowrankError, messageOf } from "../util/index.ts";
import { compileTemplate, generationBegin, generationEnd, hasGenerationTags } from "./chat-template-engine.ts";

/** A call of a tool in an assistant's message. */
export interface ToolCall {
  readonly type: "function";
  readonly function: { readonly name: string; readonly arguments: unknown };
}

/** A message as chat templates read it; templates may read further keys. */
export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly tool_calls?: readonly ToolCall[];
  readonly [key: string]: unknown;
}

export interface RenderOptions {
  /** Ends the text where the assistant begins to write; default false. */
  readonly addGenerationPrompt?: boolean;
  /** `bos_token`, `eos_token` … by name. */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /** JSON schemas of tools; default none. */
  readonly tools?: readonly unknown[];
  /** Further variables of the template, such as `enable_thinking`. */
  readonly extra?: Readonly<Record<string, unknown>>;
  /** The day for templates that print today's; default now. */
  readonly date?: Date;
}

export interface Rendering {
  readonly text: string;
  /** UTF-16 ranges [start, end) written inside `{% generation %}`; undefined for a template without it. */
  readonly assistantSpans: readonly (readonly [start: number, end: number])[] | undefined;
}

/** A parsed template. */
export interface ChatTemplate {
  render(messages: readonly ChatMessage[], options?: RenderOptions): Rendering;
  /** True where the template marks what the assistant writes with `{% generation %}`. */
  readonly marksAssistant: boolean;
}

const takeMarks = (marked: string): Pick<Rendering, "text"> & { spans: [number, number][] } => {
  const spans: [number, number][] = [];
  let text = "";
  let start = 0;
  for (const part of marked.split(/([\ufdd0\ufdd1])/)) {
    if (part === generationBegin) start = text.length;
    else if (part === generationEnd) spans.push([start, text.length]);
    else text += part;
  }
  return { text, spans };
};

const parse = (source: string): ReturnType<typeof compileTemplate> => {
  try {
    return compileTemplate(source);
  } catch (error) {
    throw new LowrankError("invalid-file", `The chat template cannot be read: ${messageOf(error)}.`, {
      fix: "Correct it, or name another template.",
      cause: error,
    });
  }
};

const checkMarks = (text: string): void => {
  if (text.includes(generationBegin) || text.includes(generationEnd))
    throw new LowrankError("invalid-data", "A chat holds the character U+FDD0 or U+FDD1, which no text may use.", { fix: "Remove it." });
};

/**
 * Parses a chat template once, for many chats. A template's own complaint (`raise_exception`) is an `invalid-data` error with its words.
 * @example
 * const template = chatTemplate(tokenizer.chatTemplate!);
 * const { text } = template.render([{ role: "user", content: "Hi" }], { addGenerationPrompt: true, specialTokens: tokenizer.specialTokens });
 */
export const chatTemplate = (source: string): ChatTemplate => {
  const template = parse(source);
  const marksAssistant = hasGenerationTags(source);
  return {
    marksAssistant,
    render: (messages, { addGenerationPrompt = false, specialTokens = {}, tools, extra = {}, date = new Date() } = {}) => {
      checkMarks(JSON.stringify([messages, tools, extra]));
      const flags = { tools: tools ?? null, documents: null, add_generation_prompt: addGenerationPrompt };
      let marked: string;
      try {
        marked = template({ ...specialTokens, messages, ...flags, ...extra }, date);
      } catch (error) {
        throw new LowrankError("invalid-data", `The chat template refuses this chat: ${messageOf(error)}`, { cause: error });
      }
      const { text, spans } = takeMarks(marked);
      return { text, assistantSpans: marksAssistant ? spans : undefined };
    },
  };
};

/** Renders one chat; `chatTemplate` parses once for many. */
export const renderChat = (template: string, messages: readonly ChatMessage[], options?: RenderOptions): Rendering =>
  chatTemplate(template).render(messages, options);
