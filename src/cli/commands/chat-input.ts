/** @file Lines that a person types, or that a file or pipe holds. It knows nothing about chats. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { CommandContext } from "../context.ts";

export interface ChatInput {
  /** The next line; undefined when there are no more, or Ctrl-C was pressed. */
  ask(): Promise<string | undefined>;
  /** Acts with a signal that Ctrl-C aborts. */
  during<Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result>;
  close(): void;
}

export type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** Lines of a stream: with a prompt, editing and a history where a person types them. What is typed while nobody asks is not shown, and waits. */
export const chatInput = (input: InputStream, prompt: string, context: CommandContext): ChatInput => {
  const isTyped = context.isTerminal && input.isTTY === true;
  let isAsking = false;
  const echo = new Writable({
    write: (chunk, _encoding, done) => {
      if (isAsking) context.write(String(chunk));
      done();
    },
  });
  // Line editing asks the stream how wide the terminal is.
  Object.defineProperty(echo, "columns", { get: () => context.columns });
  const reader = createInterface({ input, terminal: isTyped, ...(isTyped && { output: echo, prompt }) });

  const waiting: string[] = [];
  let isClosed = false;
  let wake: () => void = () => undefined;
  let interrupt: () => void = () => reader.close();
  reader.on("line", (line) => {
    waiting.push(line);
    isAsking = false; // pasted lines after this one are shown when their turn comes
    wake();
  });
  reader.once("close", () => {
    isClosed = true;
    wake();
  });
  reader.on("SIGINT", () => interrupt());

  return {
    ask: async () => {
      const early = waiting.shift();
      if (early !== undefined) {
        if (isTyped) context.out(prompt + early);
        return early;
      }
      if (isClosed) return undefined;
      isAsking = true;
      if (isTyped) reader.prompt(true);
      await new Promise<void>((resolve) => (wake = resolve));
      return waiting.shift();
    },
    during: async (act) => {
      const controller = new AbortController();
      const before = interrupt;
      interrupt = () => controller.abort();
      try {
        return await act(controller.signal);
      } finally {
        interrupt = before;
      }
    },
    close: () => reader.close(),
  };
};
