/** @file `lowrank generate`: text after a prompt, as it is written. */
import { text as readText } from "node:stream/consumers";
import pc from "picocolors";
import type { CommandContext } from "../context.ts";
import { formatCount } from "../ui/format.ts";
import { asPrompt } from "../../generate/index.ts";
import { LowrankError } from "../../util/index.ts";
import { withInterrupt } from "../interrupt.ts";
import { chatPrompt } from "./chat-prompt.ts";
import { complete, type Completion } from "./completion.ts";
import { runRows } from "./generate-rows.ts";
import type { GenerateCommandOptions } from "./generate.ts";
import { generateOptions } from "./generation-options.ts";
import { openAdapters, openModel } from "./open-model.ts";

const readPrompt = async (words: readonly string[], input: NodeJS.ReadableStream): Promise<string> => {
  if (words.length > 1 || words[0] !== "-") return words.join(" ");
  // The line end that editors and echo put last is no part of the prompt.
  return (await readText(input)).replace(/\r?\n$/, "");
};

const endings = {
  end: "the model ended it",
  stop: "a stop text ended it",
  length: "--max-tokens ended it",
  aborted: "interrupted",
} as const;

const summary = ({ tokens, tokensPerSecond, finishReason, isFull }: Completion): string =>
  [
    `${formatCount(tokens)} ${tokens === 1 ? "token" : "tokens"}`,
    ...(tokensPerSecond === null ? [] : [`${formatCount(tokensPerSecond)} tokens/s`]),
    isFull ? "the model takes no more" : endings[finishReason],
  ].join(", ");

export const run = async (
  options: GenerateCommandOptions,
  context: CommandContext,
  input: NodeJS.ReadableStream = process.stdin,
): Promise<object> => {
  const { prompts } = options;
  if ((prompts === undefined) === (options.prompt.length === 0))
    throw new LowrankError("invalid-argument", "One of a prompt and --prompts is needed.", { fix: 'Give the prompt, or "" for none.' });
  if (prompts !== undefined && options.speculate > 0)
    throw new LowrankError("unsupported", "--speculate guesses ahead in one text, and --prompts writes several at once.", {
      fix: "Leave one of them out.",
    });
  if (prompts !== undefined) return runRows({ ...options, prompts }, context);
  const prompt = await readPrompt(options.prompt, input);
  const { dim } = pc.createColors(context.colour);
  const model = await openModel(options, context);
  try {
    const { base, tokenizer } = model;
    const adapters = await openAdapters(model, options.adapter, options, context);
    const merge = adapters.length > 0 && (options.merge ?? adapters.length === 1);
    const chat = options.chat ? chatPrompt(tokenizer, base.model) : undefined;
    const ids =
      chat === undefined ? asPrompt(tokenizer.encode(prompt), base.model, tokenizer) : chat.encode([{ role: "user", content: prompt }]);
    const stop = [...options.stop, ...(chat?.stops ?? [])];

    const generator = await model.generator({ adapters, merge, speculate: options.speculate });
    const { maxPositions } = base.model;
    const decoder = await generator.decoder(Math.min(ids.length + options.maxTokens, maxPositions));
    const speaker = { decoder, tokenizer, maxPositions };
    if (context.isTerminal && !context.json && chat === undefined && decoder.continues) context.write(dim(prompt));
    const completion = await withInterrupt((signal) =>
      complete(speaker, ids, { ...generateOptions({ ...options, stop }), signal }, (piece) => {
        if (!context.json) context.write(piece);
      }),
    );
    await generator.close();
    if (!context.json && !completion.text.endsWith("\n")) context.out("");
    if (context.isTerminal && !context.json) context.err(dim(summary(completion)));
    if (completion.finishReason === "aborted") context.exitCode = 130;
    const { isFull: _isFull, ...figures } = completion;
    return {
      model: base.directory,
      adapters: adapters.map(({ directory, weight }) => ({ directory, scale: weight })),
      merged: merge,
      prompt,
      ...figures,
    };
  } finally {
    await model.close();
  }
};
