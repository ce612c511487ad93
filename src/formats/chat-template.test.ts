import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { plainChatTemplate } from "./chat-template-plain.ts";
import { chatTemplate, renderChat, type ChatMessage } from "./chat-template.ts";

const hi: readonly ChatMessage[] = [{ role: "user", content: "Hi" }];

describe("renderChat", () => {
  it("gives the ranges inside generation blocks, whatever blanks the tags trim", () => {
    const template =
      "{% for m in messages %}<{{ m.role }}>\n    {%- generation %}\n  {{- m.content }}\n  {%- endgeneration -%}  \n!{% endfor %}";
    const lines = "{% for m in messages %}\n  {% generation %}\n{{ m.content }}\n  {% endgeneration %}\n{% endfor %}";
    expect(renderChat(lines, hi)).toEqual({ text: "Hi\n", assistantSpans: [[0, 3]] });
    const { text, assistantSpans } = renderChat(template, [...hi, { role: "assistant", content: "😀 yo" }]);
    expect(text).toBe("<user>Hi!<assistant>😀 yo!");
    expect(assistantSpans?.map(([start, end]) => text.slice(start, end))).toEqual(["Hi", "😀 yo"]);
  });

  it("gives no ranges for a template without the tag, or with it in a comment only", () => {
    for (const template of ["{{ messages[0].content }}", "{# uses {% generation %} #}{{ messages[0].content }}"])
      expect(renderChat(template, hi)).toEqual({ text: "Hi", assistantSpans: undefined });
  });

  it("passes special tokens, tools, extra variables and the generation prompt", () => {
    const template = "{{ bos_token }}{{ tools is none }}{{ tools | tojson if tools }}{{ mood }}{{ '>' if add_generation_prompt }}";
    expect(renderChat(template, hi).text).toBe("true");
    const options = { addGenerationPrompt: true, specialTokens: { bos_token: "<s>" }, tools: [{ name: "f" }], extra: { mood: "ok" } };
    expect(renderChat(template, hi, options).text).toBe('<s>false[{"name": "f"}]ok>');
  });

  it("prints a given day in English, independent of the machine", () => {
    const template = "{{ strftime_now('%d %b %Y, %A %B %a %y-%m %H:%M:%S %% %q') }}";
    const date = new Date(2024, 6, 6, 5, 4, 3);
    expect(renderChat(template, hi, { date }).text).toBe("06 Jul 2024, Saturday July Sat 24-07 05:04:03 % %q");
  });

  it.each([
    ["strip", "a"],
    ["lstrip", "a \n"],
    ["rstrip", "\n a"],
  ])("gives %s with characters Python's meaning", (method, stripped) => {
    const template = `[{{ ('-' + messages[0].content).split('-')[1].${method}('\\n ') }}]{% for k, v in {'k': 'kx'.${method}('k')}.items() %}{{ v }}{% endfor %}`;
    expect(renderChat(template, [{ role: "user", content: "\n a \n" }]).text).toBe(`[${stripped}]${method === "rstrip" ? "kx" : "x"}`);
    expect(() => renderChat(`{{ 'a'.${method}(3) }}`, hi)).toThrow("strip() takes texts");
  });

  it.each(["messages[0].content | trim", "messages[0].content.strip()"])("gives %s Python's blanks", (expression) => {
    expect(renderChat(`{{ ${expression} }}`, [{ role: "user", content: "\u0085\u001c \ufeffa \n" }]).text).toBe("\ufeffa");
  });

  it("turns the template's complaint into an error with its words", () => {
    const template = "{{ raise_exception('System role not supported') }}";
    expect(() => renderChat(template, hi)).toThrow(
      expect.objectContaining({ code: "invalid-data", message: "The chat template refuses this chat: System role not supported" }),
    );
  });

  it("refuses a template that is not Jinja, and texts with the characters that mark ranges", () => {
    expect(() => chatTemplate("{% if %}")).toThrow(expect.objectContaining({ code: "invalid-file" }));
    expect(() => renderChat("", [{ role: "user", content: "\ufdd0" }])).toThrow("U+FDD0");
  });
});

describe("plainChatTemplate", () => {
  const messages: readonly ChatMessage[] = [
    { role: "system", content: "Be brief." },
    { role: "user", content: "2+2?" },
    { role: "assistant", content: "", tool_calls: [{ type: "function", function: { name: "add", arguments: { a: 2, b: 2 } } }] },
    { role: "tool", content: "4" },
    { role: "assistant", content: "4" },
  ];
  const specialTokens = { eos_token: "</s>" };

  it("writes headings in plain words and ends each of the assistant's turns with the end token", () => {
    const { text, assistantSpans } = renderChat(plainChatTemplate, messages, { specialTokens, tools: [{ name: "add" }] });
    expect(text).toBe(
      '### Tools:\n[{"name": "add"}]\n\n### System:\nBe brief.\n\n### User:\n2+2?\n\n### Assistant:\n' +
        '{"name": "add", "arguments": {"a": 2, "b": 2}}</s>\n\n### Tool:\n4\n\n### Assistant:\n4</s>\n\n',
    );
    expect(assistantSpans?.map(([start, end]) => text.slice(start, end))).toEqual([
      '{"name": "add", "arguments": {"a": 2, "b": 2}}</s>',
      "4</s>",
    ]);
  });

  it("asks for an answer with the text that precedes one in training", () => {
    const asked = renderChat(plainChatTemplate, messages.slice(0, 2), { specialTokens, addGenerationPrompt: true }).text;
    expect(renderChat(plainChatTemplate, [...messages.slice(0, 2), messages[4]], { specialTokens }).text).toBe(`${asked}4</s>\n\n`);
  });
});

describe.skipIf(!hasShared)("real templates", () => {
  interface Case {
    conversation: string;
    add_generation_prompt: boolean;
    text?: string;
    error?: string;
    assistant_spans: [number, number][] | null;
  }

  it("equal what transformers renders, in text, errors and assistant ranges", async () => {
    const {
      special_tokens: specialTokens,
      conversations,
      renderings,
    } = JSON.parse(await readFile(sharedPath("chat-templates", "renderings.json"), "utf8")) as {
      special_tokens: Record<string, string>;
      conversations: Record<string, ChatMessage[]>;
      renderings: Record<string, Case[]>;
    };
    let count = 0;
    for (const [name, cases] of Object.entries(renderings)) {
      const template = chatTemplate(await readFile(sharedPath("chat-templates", `${name}.jinja`), "utf8"));
      for (const { conversation, add_generation_prompt: addGenerationPrompt, text, error, assistant_spans: spans } of cases) {
        count++;
        const render = (): unknown => template.render(conversations[conversation], { addGenerationPrompt, specialTokens });
        if (error !== undefined) {
          expect(render, name).toThrow(error);
          continue;
        }
        // The file counts code points; ranges here are UTF-16 indices.
        const index = (codePoints: number): number => Array.from(text!).slice(0, codePoints).join("").length;
        const assistantSpans = spans?.map(([start, end]) => [index(start), index(end)]);
        expect(render(), `${name}, ${conversation}`).toEqual({ text, assistantSpans });
      }
    }
    expect(count).toBe(13 * 4);
  });
});
