/** @file Lines that a person types, or that a file or pipe holds. It knows nothing about chats. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { CommandContext } from "../context.ts";

export interface ChatInput {
  /** The next line; undefined when there are no more, or Ctrl-C was pressed. */
  ask(): Promise<string | undefined>;
  /** While `act` runs nothing that is typed is shown, and Ctrl-C aborts its signal. */
  during<Result>(act: (signal: AbortSignal) => Promise<Result>): Promise<Result>;
  close(): void;
}

export type InputStream = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** Lines of a stream: with a prompt, editing and a history where a person types them. What is typed too early waits. */
export const chatInput = (input: InputStream, prompt: string, context: CommandContext): ChatInput => {
  const isTyped = context.isTerminal && input.isTTY === true;
  let isHidden = false;
  const echo = new Writable({
    write: (chunk, _encoding, done) => {
      if (!isHidden) context.write(String(chunk));
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
    wake();
  });
  reader.once("close", () => {
    isClosed = true;
    wake();
  });
  reader.on("SIGINT", () => interrupt());

  return {
    ask: async () => {
      if (waiting.length === 0 && !isClosed) {
        if (isTyped) reader.prompt(true);
        await new Promise<void>((resolve) => (wake = resolve));
      }
      return waiting.shift();
    },
    during: async (act) => {
      const controller = new AbortController();
      const before = interrupt;
      interrupt = () => controller.abort();
      isHidden = true;
      try {
        return await act(controller.signal);
      } finally {
        isHidden = false;
        interrupt = before;
      }
    },
    close: () => reader.close(),
  };
};
