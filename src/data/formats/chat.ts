/** @file `messages`: a list of `{role, content}` with optional `tools`, as in OpenAI's files. It knows nothing about templates. */
import { messageList, toolList } from "./messages.ts";
import type { DataFormat } from "./parsed.ts";

export const chatFormat: DataFormat = {
  fields: ["messages"],
  learns: ["completion", "all"],
  read: (row) => ({ messages: messageList(row, "messages"), tools: toolList(row), supervisedFrom: 0 }),
};
