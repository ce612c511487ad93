/** @file `prompt`, `chosen` and `rejected`: texts that are joined as they are, or lists of messages. It knows nothing about other formats. */
import { textField } from "./fields.ts";
import { messageList, toolList } from "./messages.ts";
import type { DataFormat, Parsed, ParsedPair } from "./parsed.ts";

export const preferenceFormat: DataFormat<ParsedPair> = {
  fields: ["prompt", "chosen", "rejected"],
  learns: ["completion"],
  // Some files repeat the prompt as a text beside whole conversations.
  fits: ({ value }) => Array.isArray(value["prompt"]) === Array.isArray(value["chosen"]),
  read: (row) => {
    const answerOf = (name: "chosen" | "rejected"): Parsed => {
      if (Array.isArray(row.value["prompt"])) {
        const prompt = messageList(row, "prompt");
        return { messages: [...prompt, ...messageList(row, name)], tools: toolList(row), supervisedFrom: prompt.length };
      }
      return {
        segments: [
          { text: textField(row, "prompt"), supervised: false },
          { text: textField(row, name), supervised: true },
        ],
      };
    };
    return { chosen: answerOf("chosen"), rejected: answerOf("rejected") };
  },
};
