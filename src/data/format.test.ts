import { describe, expect, it } from "vitest";
import { detectFormat as detectIn, withFields as withFieldsIn, type FieldNames } from "./format.ts";
import { rowFormats } from "./kinds/rows.ts";
import type { Row } from "./row.ts";

const where = "d.jsonl:7";
const row = (value: Record<string, unknown>): { value: Record<string, unknown>; where: string } => ({ value, where });
const detectFormat = (given: Row, fields?: FieldNames): string => detectIn(given, rowFormats, fields);
const withFields = (given: Row, fields: FieldNames): Row => withFieldsIn(given, fields, rowFormats);
const read = (name: keyof typeof rowFormats, value: Record<string, unknown>): unknown => rowFormats[name].read(row(value));
const user = { role: "user", content: "Hi" };
const assistant = { role: "assistant", content: "Yo" };

describe("detectFormat", () => {
  it.each([
    ["chat", { messages: [], text: "" }],
    ["sharegpt", { conversations: [], tools: "" }],
    ["completion", { prompt: "", completion: "", text: "" }],
    ["alpaca", { instruction: "", input: "", output: "", rejected: "" }],
    ["text", { text: "", meta: 1 }],
  ] as const)("finds %s in %j", (name, value) => {
    expect(detectFormat(row(value))).toBe(name);
  });

  it("takes the format of the fields that are named", () => {
    const value = { question: "", answer: "", text: "", story: "" };
    const fields = { prompt: "question", completion: "answer" };
    expect(detectFormat(withFields(row(value), fields), fields)).toBe("completion");
    expect(detectFormat(withFields(row({ ...value, messages: [] }), { text: "story" }), { text: "story" })).toBe("text");
  });

  it("lists the columns found and the formats known", () => {
    expect(() => detectFormat(row({ question: "", answer: "" }))).toThrow(
      "d.jsonl:7: No data format has the columns question, answer. Known formats: chat (messages), sharegpt (conversations), completion (prompt and completion), alpaca (instruction and output), text (text).",
    );
    expect(() => detectFormat(row({}))).toThrow("columns (none)");
  });
});

describe("withFields", () => {
  it("renames columns and keeps the others", () => {
    expect(withFields(row({ q: "a", n: 1 }), { prompt: "q" })).toEqual(row({ q: "a", n: 1, prompt: "a" }));
  });

  it("refuses fields and columns that do not exist", () => {
    expect(() => withFields(row({ q: "" }), { question: "q" })).toThrow(
      'There is no field "question". Choose from messages, conversations,',
    );
    expect(() => withFields(row({ q: "" }), { prompt: "p" })).toThrow(
      'd.jsonl:7: There is no column "p" for the field "prompt". The columns are q.',
    );
  });
});

describe("the formats", () => {
  it("read texts, prompts and completions", () => {
    expect(read("text", { text: "a" })).toEqual({ segments: [{ text: "a", supervised: true }] });
    expect(read("completion", { prompt: "a", completion: "b" })).toEqual({
      segments: [
        { text: "a", supervised: false },
        { text: "b", supervised: true },
      ],
    });
    expect(read("completion", { prompt: [user], completion: [assistant] })).toEqual({
      messages: [user, assistant],
      tools: undefined,
      supervisedFrom: 1,
    });
  });

  it.each([
    [
      { instruction: "Add.", output: "3" },
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Response:\n",
    ],
    [
      { instruction: "Add.", input: "1 2", output: "3" },
      "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n",
    ],
  ])("write Alpaca's prompt for %j", (value, prompt) => {
    expect(read("alpaca", value)).toEqual({
      segments: [
        { text: prompt, supervised: false },
        { text: "3", supervised: true },
      ],
    });
  });

  it("read chats: parts of text are joined, arguments written as JSON become values, tools are wrapped", () => {
    const call = { id: "1", function: { name: "add", arguments: '{"a":1}' } };
    const messages = [
      {
        role: "user",
        content: [
          { type: "text", text: "H" },
          { type: "text", text: "i" },
        ],
        name: "x",
      },
      { role: "assistant", content: null, tool_calls: [call, { function: { name: "now" } }] },
    ];
    expect(read("chat", { messages, tools: '[{"name":"add"}]' })).toEqual({
      messages: [
        { role: "user", content: "Hi", name: "x" },
        {
          role: "assistant",
          content: "",
          tool_calls: [
            { type: "function", function: { name: "add", arguments: { a: 1 } } },
            { type: "function", function: { name: "now", arguments: {} } },
          ],
        },
      ],
      tools: [{ type: "function", function: { name: "add" } }],
      supervisedFrom: 0,
    });
    const wrapped = [{ type: "function", function: { name: "f" } }];
    expect(read("chat", { messages: [user], tools: wrapped })).toMatchObject({ tools: wrapped });
    for (const tools of ["", "[]", null]) expect(read("chat", { messages: [user], tools })).toMatchObject({ tools: undefined });
  });

  it("read ShareGPT's roles, calls and system texts", () => {
    const turns = [
      { from: "human", value: "2+2?" },
      { from: "function_call", value: '{"name":"add","arguments":{"a":2,"b":2}}' },
      { from: "observation", value: "4" },
      { from: "gpt", value: "Four." },
    ];
    expect(read("sharegpt", { conversations: turns, system: "Be brief.", tools: "[]" })).toEqual({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "2+2?" },
        { role: "assistant", content: "", tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 2, b: 2 } } }] },
        { role: "tool", content: "4" },
        { role: "assistant", content: "Four." },
      ],
      tools: undefined,
      supervisedFrom: 0,
    });
    expect(read("sharegpt", { conversations: [user, assistant] })).toMatchObject({ messages: [user, assistant] });
  });

  it.each<[keyof typeof rowFormats, Record<string, unknown>, string]>([
    ["text", { text: 3 }, '"text" must be a text, but it is of type number (3).'],
    ["text", { text: null }, '"text" must be a text, but it is null.'],
    ["completion", { prompt: "a" }, '"completion" must be a text, but it is missing.'],
    ["completion", { prompt: [user], completion: "b" }, '"completion" must be a list of messages, but it is of type string ("b").'],
    ["alpaca", { instruction: "a", input: ["b"], output: "c" }, '"input" must be a text, but it is a list (["b"]).'],
    ["chat", { messages: [] }, '"messages" must be a list of messages, but it is a list ([]).'],
    ["chat", { messages: [{ content: "a" }] }, '"messages[0]" must be an object with "role" and "content"'],
    ["chat", { messages: [user, { role: "assistant" }] }, '"messages[1].content" must be a text or a list of parts'],
    ["chat", { messages: [{ role: "user", content: [{ type: "image" }] }] }, '"messages[0].content" must be a text'],
    ["chat", { messages: [{ ...assistant, tool_calls: "f" }] }, '"messages[0].tool_calls" must be a list of calls'],
    ["chat", { messages: [{ ...assistant, tool_calls: [{ id: 1 }] }] }, '"messages[0].tool_calls[0]" must be a call'],
    ["chat", { messages: [user], tools: "f()" }, '"tools" must be a list of tools'],
    ["sharegpt", { conversations: "a" }, '"conversations" must be a list of turns'],
    ["sharegpt", { conversations: ["a"] }, '"conversations[0]" must be an object with "from" and "value"'],
    ["sharegpt", { conversations: [{ from: "bot", value: "a" }] }, '"conversations[0].from" must be one of system, human, user, gpt,'],
    ["sharegpt", { conversations: [{ from: "gpt" }] }, '"conversations[0].value" must be a text, but it is missing.'],
    ["sharegpt", { conversations: [{ from: "function_call", value: "f" }] }, '"conversations[0].value" must be a call'],
  ])("name the row where %s is wrong: %j", (name, value, message) => {
    expect(() => read(name, value)).toThrow(expect.objectContaining({ code: "invalid-data", where }));
    expect(() => read(name, value)).toThrow(message);
  });
});
