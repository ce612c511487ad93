/** @file `chosen` and `rejected` that both begin with the prompt: whole conversations, or whole texts. It knows nothing about other formats. */
import type { ChatMessage } from "../../formats/index.ts";
import { textField } from "./fields.ts";
import { messageList, toolList } from "./messages.ts";
import type { DataFormat, Parsed, ParsedPair } from "./parsed.ts";

const commonLength = (a: ArrayLike<unknown>, b: ArrayLike<unknown>, same: (index: number) => boolean): number => {
  const shorter = Math.min(a.length, b.length);
  for (let index = 0; index < shorter; index++) if (!same(index)) return index;
  return shorter;
};

/** The characters that both texts begin with, but for the word they are in and the blank before it. */
const commonText = (a: string, b: string): number =>
  a
    .slice(
      0,
      commonLength(a, b, (index) => a[index] === b[index]),
    )
    .search(/\s+\S*$|$/);

const split = (text: string, at: number): Parsed => ({
  segments: [
    { text: text.slice(0, at), supervised: false },
    { text: text.slice(at), supervised: true },
  ],
});

export const implicitPreferenceFormat: DataFormat<ParsedPair> = {
  fields: ["chosen", "rejected"],
  learns: ["completion"],
  read: (row) => {
    if (!Array.isArray(row.value["chosen"])) {
      const [chosen, rejected] = [textField(row, "chosen"), textField(row, "rejected")];
      const at = commonText(chosen, rejected);
      return { chosen: split(chosen, at), rejected: split(rejected, at) };
    }
    const [chosen, rejected] = [messageList(row, "chosen"), messageList(row, "rejected")];
    const texts = [chosen, rejected].map((messages) => messages.map((message) => JSON.stringify(message)));
    const supervisedFrom = commonLength(chosen, rejected, (index) => texts[0][index] === texts[1][index]);
    const answer = (messages: readonly ChatMessage[]): Parsed => ({ messages, tools: toolList(row), supervisedFrom });
    return { chosen: answer(chosen), rejected: answer(rejected) };
  },
};
