/** @file `instruction`, `input` (may be empty), `chosen` and `rejected`, with Alpaca's prompt. It knows nothing about other formats. */
import { alpacaPrompt } from "./alpaca.ts";
import { optionalText, textField } from "./fields.ts";
import type { DataFormat, Parsed, ParsedPair } from "./parsed.ts";

export const alpacaPreferenceFormat: DataFormat<ParsedPair> = {
  fields: ["instruction", "chosen", "rejected"],
  learns: ["completion"],
  read: (row) => {
    const prompt = alpacaPrompt(textField(row, "instruction"), optionalText(row, "input"));
    const answerOf = (name: "chosen" | "rejected"): Parsed => ({
      segments: [
        { text: prompt, supervised: false },
        { text: textField(row, name), supervised: true },
      ],
    });
    return { chosen: answerOf("chosen"), rejected: answerOf("rejected") };
  },
};
