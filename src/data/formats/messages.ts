/** @file Messages and tools of a chat, checked and brought into the form that templates read. It knows nothing about masks. */
import { isObject, type ChatMessage, type ToolCall } from "../../formats/index.ts";
import type { Row } from "../row.ts";
import { wrongField } from "./fields.ts";

/** JSON written as a text becomes its value; any other text stays. */
export const parsedJson = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
};

const contentText = (row: Row, name: string, content: unknown, mayBeEmpty: boolean): string => {
  if (typeof content === "string") return content;
  if (content == null && mayBeEmpty) return "";
  const isText = (part: unknown): part is { text: string } => isObject(part) && part["type"] === "text" && typeof part["text"] === "string";
  if (Array.isArray(content) && content.every(isText)) return content.map(({ text }) => text).join("");
  throw wrongField(row, name, content, `a text or a list of parts such as {"type": "text", "text": "…"}`);
};

/** A tool call with its arguments as a value; some files have them as JSON in a text. */
export const toolCall = (row: Row, name: string, value: unknown): ToolCall => {
  const called = isObject(value) && isObject(value["function"]) ? value["function"] : value;
  if (!isObject(called) || typeof called["name"] !== "string") throw wrongField(row, name, value, `a call with "name" and "arguments"`);
  return { type: "function", function: { name: called["name"], arguments: parsedJson(called["arguments"] ?? {}) } };
};

const message = (row: Row, name: string, value: unknown): ChatMessage => {
  if (!isObject(value) || typeof value["role"] !== "string") throw wrongField(row, name, value, `an object with "role" and "content"`);
  const { tool_calls: calls, ...rest } = value;
  const content = contentText(row, `${name}.content`, value["content"], calls != null);
  const base = { ...rest, role: value["role"], content };
  if (calls == null) return base;
  if (!Array.isArray(calls)) throw wrongField(row, `${name}.tool_calls`, calls, "a list of calls");
  return { ...base, tool_calls: calls.map((call, index) => toolCall(row, `${name}.tool_calls[${index}]`, call)) };
};

/** A list of `{role, content}` that is not empty. */
export const messageList = (row: Row, name: string): ChatMessage[] => {
  const list = row.value[name];
  if (!Array.isArray(list) || list.length === 0) throw wrongField(row, name, list, "a list of messages");
  return list.map((value, index) => message(row, `${name}[${index}]`, value));
};

/** Tools as JSON schemas in `{type: "function", function: …}`; undefined where the row has none. */
export const toolList = (row: Row): readonly unknown[] | undefined => {
  const value = row.value["tools"];
  if (value == null || value === "") return undefined;
  const tools = parsedJson(value);
  if (!Array.isArray(tools)) throw wrongField(row, "tools", value, "a list of tools, or one as JSON in a text");
  if (tools.length === 0) return undefined;
  return tools.map((tool: unknown) => (isObject(tool) && isObject(tool["function"]) ? tool : { type: "function", function: tool }));
};
