/** @file A conversation as one text with the character ranges that the assistant wrote. It knows nothing about tokens. */
import { isObject, type ChatTemplate, type Rendering, type RenderOptions } from "../formats/index.ts";
import { LowrankError } from "../util/index.ts";
import type { Conversation, LossMode } from "./formats/parsed.ts";
import type { Span } from "./mask.ts";

export interface ConversationText {
  readonly text: string;
  /** UTF-16 ranges of the assistant's supervised turns, with the mark that ends each. */
  readonly spans: readonly Span[];
  /** Kinds of content that are not in the text because the template leaves them out, such as `tools` or `messages of role "tool"`. */
  readonly leftOut: readonly string[];
}

export interface Templating {
  readonly template: ChatTemplate;
  readonly options: RenderOptions;
}

const inconsistent = (turn: number): LowrankError =>
  new LowrankError(
    "invalid-data",
    `The chat template writes turn ${turn + 1} differently when more turns follow, so its tokens cannot be found.`,
    {
      fix: "Use a template with {% generation %} around the assistant's text, end each conversation with its only assistant turn, or take the loss over all tokens.",
    },
  );

/** The turns before `count`, default all, as they stand when the assistant is asked to go on. */
export const askedText = ({ messages, tools }: Conversation, { template, options }: Templating, count = messages.length): string =>
  template.render(messages.slice(0, count), { ...options, tools, addGenerationPrompt: true }).text;

const withoutEnd = (text: string, end = ""): string => (text.endsWith(end) ? text.slice(0, text.length - end.length) : text);

/** Without marks in the template, a turn is what it adds to the text that asks for it. */
const derivedSpans = (conversation: Conversation, text: string, templating: Templating): Span[] => {
  const { messages, tools, supervisedFrom } = conversation;
  const { template, options } = templating;
  const spans: Span[] = [];
  for (const [turn, { role }] of messages.entries()) {
    if (role !== "assistant" || turn < supervisedFrom) continue;
    const before = askedText(conversation, templating, turn);
    const closed = template.render(messages.slice(0, turn + 1), { ...options, tools }).text;
    // Some templates close a conversation, but not each turn, with the end token.
    const after = text.startsWith(closed) ? closed : withoutEnd(closed, options.specialTokens?.["eos_token"]);
    if (!text.startsWith(after) || !after.startsWith(before)) throw inconsistent(turn);
    spans.push([before.length, after.length]);
  }
  return spans;
};

const markedSpans = (conversation: Conversation, text: string, spans: readonly Span[], templating: Templating): readonly Span[] => {
  if (conversation.supervisedFrom === 0) return spans;
  const before = askedText(conversation, templating, conversation.supervisedFrom);
  if (!text.startsWith(before)) throw inconsistent(conversation.supervisedFrom);
  return spans.filter(([, end]) => end > before.length).map(([start, end]) => [Math.max(start, before.length), end]);
};

const nameOf = (tool: unknown): string => {
  const called = isObject(tool) && isObject(tool["function"]) ? tool["function"] : tool;
  return isObject(called) ? String(called["name"]) : "";
};

/** An assistant's thoughts are left out of earlier turns on purpose, so only its calls and what others say must be there. */
const leftOutOf = ({ messages, tools = [] }: Conversation, text: string): string[] => {
  const missing = messages.filter(({ role, content }) => role !== "assistant" && !text.includes(String(content).trim()));
  const lacks = (named: readonly unknown[]): boolean => named.some((tool) => !text.includes(nameOf(tool)));
  const kinds = missing.map(({ role }) => `messages of role "${role}"`);
  if (lacks(messages.flatMap(({ tool_calls: calls = [] }) => calls))) kinds.push("tool calls");
  if (lacks(tools)) kinds.push("tools");
  return [...new Set(kinds)];
};

const spansOf = (conversation: Conversation, { text, assistantSpans }: Rendering, templating: Templating): readonly Span[] =>
  assistantSpans === undefined ? derivedSpans(conversation, text, templating) : markedSpans(conversation, text, assistantSpans, templating);

/**
 * Renders a conversation; ranges are those of the template's `{% generation %}`, or else what each assistant turn adds.
 * With `loss` over all tokens no ranges are looked for.
 */
export const conversationText = (conversation: Conversation, templating: Templating, loss: LossMode): ConversationText => {
  const { messages, tools } = conversation;
  const rendering = templating.template.render(messages, { ...templating.options, tools });
  const { text } = rendering;
  const spans = loss === "all" ? [] : spansOf(conversation, rendering, templating);
  return { text, spans, leftOut: leftOutOf(conversation, text) };
};
