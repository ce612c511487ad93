import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hasShared, sharedPath } from "../../../test/shared.ts";
import { loadModel, type LanguageModel } from "../../language-model.ts";
import { createContext } from "../context.ts";
import { resolveOptions, type GivenFlags } from "../options.ts";
import { run } from "./chat-run.ts";
import { chatSession } from "./chat-session.ts";
import { chat } from "./chat.ts";
import { chatPrompt } from "./chat-prompt.ts";
import { oneLine } from "./command.fixture.ts";

const stories = hasShared ? sharedPath("models", "stories260k") : "";

interface Told {
  readonly stdout: string;
  readonly stderr: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}

/** Holds a chat whose user says these lines. */
const talk = async (lines: readonly string[], flags: GivenFlags = {}, { json = false, isTTY = false } = {}): Promise<Told> => {
  const said = { stdout: "", stderr: "" };
  const context = createContext(json, {
    stdout: { write: (text) => (said.stdout += text), isTTY, columns: 80 },
    stderr: { write: (text) => (said.stderr += text) },
    environment: { NO_COLOR: "1" },
    setExitCode: () => undefined,
  });
  const options = await resolveOptions(
    chat.options,
    { model: [stories], maxTokens: ["8"], temperature: ["0"], ...flags },
    { command: "lowrank chat" },
  );
  const stream = isTTY ? Object.assign(new PassThrough(), { isTTY }) : Readable.from(lines.map((line) => `${line}\n`));
  if (isTTY) (stream as PassThrough).end(lines.map((line) => `${line}\r`).join(""));
  const { messages } = (await run(options, context, stream)) as Pick<Told, "messages">;
  return { ...said, messages };
};

describe.skipIf(!hasShared)("lowrank chat", () => {
  let folder: string;
  let tales: string;
  let model: LanguageModel;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lowrank-chat-"));
    tales = join(folder, "tales");
    model = await loadModel(stories);
    await model.saveAdapter(tales, await model.attach({ r: 4, lora_alpha: 2, init_lora_weights: false }, 7));
  });
  afterAll(async () => {
    await model.close();
    rmSync(folder, { recursive: true });
  });

  /** The answer to a conversation, computed from its beginning. */
  const answerTo = async (messages: Told["messages"], maxTokens = 8): Promise<string> => {
    const generator = await model.generator();
    let text = "";
    for await (const piece of generator.text(chatPrompt(model.tokenizer).encode(messages), { maxTokens, temperature: 0 })) text += piece;
    await generator.close();
    return text;
  };

  it("answers every line in the light of those before", async () => {
    const { stdout, messages } = await talk(["Hello there", "", "  And then?  "]);
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    expect([messages[0].content, messages[2].content]).toEqual(["Hello there", "And then?"]);
    expect(messages[1].content).toBe(await answerTo(messages.slice(0, 1)));
    expect(messages[3].content).toBe(await answerTo(messages.slice(0, 3)));
    expect(stdout).toBe(`${messages[1].content}\n${messages[3].content}\n`);
  });

  it("keeps standard output for the object under --json", async () => {
    const { stdout, messages } = await talk(["Hello"], { system: ["Be brief."] }, { json: true });
    expect(stdout).toBe("");
    expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
    expect(messages[2].content).toBe(await answerTo(messages.slice(0, 2)));
  });

  it("forgets the conversation at /reset, but not the system's words", async () => {
    const { messages } = await talk(["Hello", "/reset", "Hello"], { system: ["Be brief."] });
    expect(messages.map(({ role }) => role)).toEqual(["system", "user", "assistant"]);
    expect(messages[2].content).toBe(await answerTo(messages.slice(0, 2)));
  });

  it("changes who speaks at /adapter", async () => {
    const { messages, stderr } = await talk([
      "Hello",
      "/adapter",
      `/adapter ${tales}:0.5`,
      "/reset",
      "Hello",
      "/adapter none",
      "/reset",
      "Hello",
    ]);
    expect(stderr.match(/^Speaking: .*$/gm)).toEqual(["Speaking: the base alone.", `Speaking: ${tales}:0.5.`, "Speaking: the base alone."]);
    expect(messages[1].content).toBe(await answerTo(messages.slice(0, 1)));
    const tuned = await talk(["Hello"], { adapter: [`${tales}:0.5`] });
    expect(tuned.messages[1].content).not.toBe(messages[1].content);
  });

  it("stays after what cannot be done, and says so", async () => {
    const { stderr, messages } = await talk(["/adapter ./absent", "/adaptr", "/quit", "never said"]);
    expect(oneLine(stderr)).toContain("error: ./absent: There is no such folder");
    expect(stderr).toContain("There is no /adaptr; did you mean /adapter? /help lists what there is.\n");
    expect(messages).toEqual([]);
  });

  it("says what ended an answer, and greets on a terminal", async () => {
    const { stdout, stderr } = await talk(["Hello", "/help", "/quit"], {}, { isTTY: true });
    expect(stdout).toContain(`${stories}, the base alone\n`);
    expect(stdout).toContain("› Hello\n");
    expect(stdout).not.toMatch(/^Hello/);
    expect(stderr).toContain("(ended after 8 tokens, see --max-tokens)\n");
    expect(stderr).toContain("/adapter none      let the base speak alone");
  });

  it("computes nothing twice", async () => {
    const appended: number[] = [];
    const counting: LanguageModel = {
      ...model,
      generator: async (which) => {
        const generator = await model.generator(which);
        return {
          ...generator,
          decoder: async (expected) => {
            const decoder = await generator.decoder(expected);
            const append = (ids: readonly number[]): Promise<Float32Array> => {
              appended.push(ids.length);
              return decoder.append(ids);
            };
            return { ...decoder, append };
          },
        };
      },
    };
    const session = await chatSession(counting, undefined, []);
    const first = await session.say("Once upon a time there was a girl", { maxTokens: 4, temperature: 0 }, () => undefined);
    expect(appended).toEqual([first.promptTokens, 1, 1, 1]);
    appended.length = 0;
    const second = await session.say("Go on", { maxTokens: 1, temperature: 0 }, () => undefined);
    // The answer may have other tokens as a part of the prompt, but the first prompt is there as it was.
    expect(appended).toHaveLength(1);
    expect(second.promptTokens - appended[0]).toBeGreaterThanOrEqual(first.promptTokens);
  });

  it("leaves out the oldest turns when the model's positions run out", async () => {
    const session = await chatSession(model, "Be kind.", []);
    const say = (content: string) => session.say(content, { maxTokens: 4, temperature: 0 }, () => undefined);
    const long = "the little girl went to the park ".repeat(10);
    const forgotten: number[] = [];
    for (let turn = 0; turn < 5; turn++) forgotten.push((await say(long)).forgotten);
    expect(forgotten[0]).toBe(0);
    expect(forgotten.at(-1)).toBeGreaterThan(0);
    expect(forgotten.every((count) => count % 2 === 0)).toBe(true);
    expect(session.messages).toHaveLength(11);
    await expect(say("the ".repeat(600))).rejects.toThrow(
      /takes \d+ tokens with what goes before it, and the model 512\. Say it in fewer words\./,
    );
    expect(session.messages).toHaveLength(11);
  });
});
