/** @file `lowrank generate --prompts`: texts after the prompts of a file, each with adapters of its own. */
import { readRows, type Row } from "../../data/index.ts";
import { writeTexts, type TextRequest, type WrittenText } from "../../generate/index.ts";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { withInterrupt } from "../interrupt.ts";
import { chatPrompt } from "./chat-prompt.ts";
import type { GenerateCommandOptions } from "./generate.ts";
import { generateOptions } from "./generation-options.ts";
import { openModel } from "./open-model.ts";
import { referencesIn, rowAdapters } from "./row-adapters.ts";

const promptOf = ({ value, where }: Row): string => {
  const { prompt } = value;
  if (typeof prompt === "string") return prompt;
  throw new LowrankError("invalid-data", `"prompt" must be a text, but it is ${JSON.stringify(prompt) ?? "missing"}.`, { where });
};

/** Hands things on in order that come in any. */
const inOrder = <Item>(next: (index: number, item: Item) => void): ((index: number, item: Item) => void) => {
  const waiting = new Map<number, Item>();
  let due = 0;
  return (index, item) => {
    waiting.set(index, item);
    for (let ready = waiting.get(due); ready !== undefined; ready = waiting.get(due)) {
      waiting.delete(due);
      next(due++, ready);
    }
  };
};

export const runRows = async (options: GenerateCommandOptions & { readonly prompts: string }, context: CommandContext): Promise<object> => {
  const rows: Row[] = [];
  for await (const row of readRows(options.prompts)) rows.push(row);
  const prompts = rows.map(promptOf);
  const model = await openModel(options, context);
  try {
    const { base, tokenizer, backend } = model;
    const { cache, usesOf } = await rowAdapters(model, options, context);
    const chat = options.chat ? chatPrompt(tokenizer, base.model) : undefined;
    const stop = [...options.stop, ...(chat?.stops ?? [])];
    const requests: TextRequest[] = [];
    for (const [index, row] of rows.entries())
      requests.push({
        prompt: chat?.encode([{ role: "user", content: prompts[index] }]) ?? prompts[index],
        adapters: await usesOf(row, "adapter", options.adapter),
      });

    const texts: object[] = [];
    const started = performance.now();
    const show = inOrder((index: number, { text, finishReason }: WrittenText) => {
      const line = { prompt: prompts[index], adapters: referencesIn(rows[index], "adapter", options.adapter), text, finishReason };
      texts.push(line);
      if (finishReason === "aborted") context.exitCode = 130;
      if (!context.json) context.out(JSON.stringify(line));
    });
    await withInterrupt((signal) =>
      writeTexts(
        { backend, base, tokenizer, cache, rows: options.batchSize },
        requests,
        { ...generateOptions({ ...options, stop }), signal },
        show,
      ),
    );
    await cache.dispose();
    return { model: base.directory, texts, seconds: (performance.now() - started) / 1000 };
  } finally {
    await model.close();
  }
};
