/** @file `prompt` and `completion`: two texts that are joined as they are, or two lists of messages. It knows nothing about other formats. */
import { textField } from "./fields.ts";
import { messageList, toolList } from "./messages.ts";
import type { DataFormat } from "./parsed.ts";

export const completionFormat: DataFormat = {
  fields: ["prompt", "completion"],
  learns: ["completion", "all"],
  read: (row) => {
    if (Array.isArray(row.value["prompt"])) {
      const prompt = messageList(row, "prompt");
      return { messages: [...prompt, ...messageList(row, "completion")], tools: toolList(row), supervisedFrom: prompt.length };
    }
    return {
      segments: [
        { text: textField(row, "prompt"), supervised: false },
        { text: textField(row, "completion"), supervised: true },
      ],
    };
  },
};
