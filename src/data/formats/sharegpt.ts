/** @file `conversations`: a list of `{from, value}` with optional `system` and `tools`, as in ShareGPT's files. It knows nothing about templates. */
import { isObject, type ChatMessage } from "../../formats/index.ts";
import type { Row } from "../row.ts";
import { optionalText, wrongField } from "./fields.ts";
import { messageList, parsedJson, toolCall, toolList } from "./messages.ts";
import type { DataFormat } from "./parsed.ts";

const roles: Readonly<Record<string, string>> = {
  system: "system",
  human: "user",
  user: "user",
  gpt: "assistant",
  assistant: "assistant",
  function_call: "assistant",
  observation: "tool",
  function_response: "tool",
  tool: "tool",
};

const message = (row: Row, name: string, turn: unknown): ChatMessage => {
  if (!isObject(turn)) throw wrongField(row, name, turn, `an object with "from" and "value"`);
  const { from, value } = turn;
  if (typeof from !== "string" || !Object.hasOwn(roles, from))
    throw wrongField(row, `${name}.from`, from, `one of ${Object.keys(roles).join(", ")}`);
  if (typeof value !== "string") throw wrongField(row, `${name}.value`, value, "a text");
  if (from !== "function_call") return { role: roles[from], content: value };
  const calls = parsedJson(value);
  const list = Array.isArray(calls) ? calls : [calls];
  return { role: "assistant", content: "", tool_calls: list.map((call) => toolCall(row, `${name}.value`, call)) };
};

export const sharegptFormat: DataFormat = {
  fields: ["conversations"],
  learns: ["completion", "all"],
  read: (row) => {
    const turns = row.value["conversations"];
    if (!Array.isArray(turns) || turns.length === 0) throw wrongField(row, "conversations", turns, "a list of turns");
    // Some files keep the name of the list and use the messages of chats.
    const isChat = isObject(turns[0]) && "role" in turns[0];
    const messages = isChat ? messageList(row, "conversations") : turns.map((turn, index) => message(row, `conversations[${index}]`, turn));
    const system = optionalText(row, "system");
    return {
      messages: system === "" ? messages : [{ role: "system", content: system }, ...messages],
      tools: toolList(row),
      supervisedFrom: 0,
    };
  },
};
