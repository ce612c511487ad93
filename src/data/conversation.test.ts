import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../test/shared.ts";
import { byteLevelFiles } from "../../test/tiny-tokenizer.ts";
import { chatTemplate, type ChatMessage } from "../formats/index.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { conversationText, type Templating } from "./conversation.ts";
import { maskText } from "./mask.ts";

const messages: readonly ChatMessage[] = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Yo" },
  { role: "user", content: "Bye" },
  { role: "assistant", content: "So long" },
];

const body = "{{ m.content }}{{ '|' if m.role == 'assistant' }}";
const turn = `{{ m.role }}: ${body}\n`;
const prompt = "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
const templates = {
  marked: `{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}${body}{% endgeneration %}{% else %}${body}{% endif %};{% endfor %}${prompt}`,
  plain: `{% for m in messages %}{{ m.role }}: ${body};{% endfor %}${prompt}`,
};

const templating = (source: string): Templating => ({ template: chatTemplate(source), options: {} });
const supervised = (source: string, supervisedFrom = 0, chat = messages): string[] => {
  const { text, spans } = conversationText({ messages: chat, tools: undefined, supervisedFrom }, templating(source), "completion");
  return spans.map(([start, end]) => text.slice(start, end));
};

describe("conversationText", () => {
  it("takes what the template marks, or what each assistant turn adds to the text that asks for it", () => {
    expect(supervised(templates.marked)).toEqual(["Yo|", "So long|"]);
    expect(supervised(templates.plain)).toEqual(["Yo|;", "So long|;"]);
  });

  it("supervises turns from a given one on only", () => {
    expect(supervised(templates.marked, 3)).toEqual(["So long|"]);
    expect(supervised(templates.plain, 3)).toEqual(["So long|;"]);
  });

  it("finds nothing where nobody but the user speaks", () => {
    for (const source of Object.values(templates)) expect(supervised(source, 0, messages.slice(0, 1))).toEqual([]);
  });

  it("refuses a template that writes a turn differently when more follow, unless everything is supervised", () => {
    const source = `{% for m in messages %}${turn}{% if loop.last %}end{% endif %}{% endfor %}${prompt}`;
    expect(() => supervised(source)).toThrow("The chat template writes turn 2 differently when more turns follow");
    const conversation = { messages, tools: undefined, supervisedFrom: 0 };
    expect(conversationText(conversation, templating(source), "all").spans).toEqual([]);
    const marked = `{{ messages | length }}${templates.marked}`;
    expect(() => supervised(marked, 3)).toThrow("writes turn 4 differently");
  });

  it("tells what the template leaves out", () => {
    const source = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    const chat = [{ role: "system", content: "S" }, ...messages, { role: "tool", content: "T" }, { role: "tool", content: "U" }];
    const conversation = { messages: chat, tools: undefined, supervisedFrom: 0 };
    expect(conversationText(conversation, templating(source), "all").leftOut).toEqual([
      'messages of role "system"',
      'messages of role "tool"',
    ]);
    const calling = { role: "assistant", content: "", tool_calls: [{ type: "function" as const, function: { name: "f", arguments: {} } }] };
    const tools = [{ type: "function", function: { name: "f" } }];
    expect(conversationText({ messages: [calling], tools, supervisedFrom: 0 }, templating("x"), "all").leftOut).toEqual([
      "tool calls",
      "tools",
    ]);
    expect(conversationText({ messages: [calling], tools, supervisedFrom: 0 }, templating("f"), "all").leftOut).toEqual([]);
  });
});

describe.skipIf(!hasShared)("real templates", () => {
  const load = async (name: string): Promise<Templating> => ({
    template: chatTemplate(await readFile(sharedPath("chat-templates", `${name}.jinja`), "utf8")),
    options: { specialTokens: { bos_token: "<s>", eos_token: "</s>" } },
  });
  const chat: readonly ChatMessage[] = [{ role: "user", content: "2+2?" }, { role: "assistant", content: "4." }, ...messages];
  const tokenizer = createTokenizer(byteLevelFiles());

  /** Runs of supervised tokens, decoded. */
  const learnt = async (name: string, turns: readonly ChatMessage[], supervisedFrom = 0): Promise<string[]> => {
    const { text, spans } = conversationText({ messages: turns, tools: undefined, supervisedFrom }, await load(name), "completion");
    const { ids, supervised } = maskText(tokenizer, text, spans, "completion");
    expect(tokenizer.decode(ids, { skipSpecial: false })).toBe(text);
    const marked = Array.from(ids, (id, position) => (supervised[position] === 1 ? tokenizer.decode([id], { skipSpecial: false }) : "\0"));
    return marked.join("").split(/\0+/).filter(Boolean);
  };

  const cases: [name: string, before: string, after: string, atTheEnd: string][] = [
    ["gemma", "", "<end_of_turn>\n", ""],
    ["gemma3", "", "<end_of_turn>\n", ""],
    ["gemma3_training", "", "<end_of_turn>\n", ""],
    ["llama3", "", "<|eot_id|>", ""],
    ["llama3_1", "", "<|eot_id|>", ""],
    ["llama3_training", "", "<|eot_id|>", ""],
    ["phi3", "", "<|end|>\n", "</s>"],
    ["phi3_training", "", "<|end|>\n", "</s>"],
    ["qwen2_5", "", "<|im_end|>\n", ""],
    ["qwen2_5_training", "\n", "<|im_end|>\n", ""],
    ["qwen3_instruct_2507", "", "<|im_end|>\n", ""],
  ];

  it.each(cases)("%s: exactly the assistant's turns with their end marks are learnt", async (name, before, after, atTheEnd) => {
    const turns = ["4.", "Yo", "So long"].map((content, turn) => before + content + after + (turn === 2 ? atTheEnd : ""));
    expect(await learnt(name, chat)).toEqual(turns);
    // The text that asks for the first supervised turn may hold what the template already counts as the assistant's.
    expect(await learnt(name, chat, 3)).toEqual([turns[1].slice(before.length), turns[2]]);
  });

  it("qwen3 writes thoughts into the last turn only: one turn can be learnt, several are refused, its training variant takes all", async () => {
    const thought = "<think>\n\n</think>\n\n";
    expect(await learnt("qwen3", chat.slice(0, 2))).toEqual([`${thought}4.<|im_end|>\n`]);
    await expect(learnt("qwen3", chat)).rejects.toThrow("Use a template with {% generation %}");
    expect(await learnt("qwen3_training", chat)).toEqual(["4.", "Yo", "So long"].map((content) => `${thought}${content}<|im_end|>\n`));
  });
});
