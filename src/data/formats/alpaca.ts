/** @file `instruction`, `input` (may be empty) and `output`, with the prompt that Stanford Alpaca was trained with. It knows nothing about other formats. */
import { optionalText, textField } from "./fields.ts";
import type { DataFormat } from "./parsed.ts";

/** Alpaca's wording (Taori et al. 2023); it must be the same when the model is asked. */
export const alpacaPrompt = (instruction: string, input: string): string => {
  const task = "Below is an instruction that describes a task";
  const request = "Write a response that appropriately completes the request.";
  return input === ""
    ? `${task}. ${request}\n\n### Instruction:\n${instruction}\n\n### Response:\n`
    : `${task}, paired with an input that provides further context. ${request}\n\n### Instruction:\n${instruction}\n\n### Input:\n${input}\n\n### Response:\n`;
};

export const alpacaFormat: DataFormat = {
  fields: ["instruction", "output"],
  learns: ["completion", "all"],
  read: (row) => ({
    segments: [
      { text: alpacaPrompt(textField(row, "instruction"), optionalText(row, "input")), supervised: false },
      { text: textField(row, "output"), supervised: true },
    ],
  }),
};
