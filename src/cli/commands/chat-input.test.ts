import { PassThrough } from "node:stream";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createContext } from "../context.ts";
import { chatInput } from "./chat-input.ts";

/** A keyboard, and what its terminal shows. */
const terminal = (isTTY = true) => {
  const shown = { text: "" };
  const output = { isTTY, columns: 80, write: (text: string) => (shown.text += text) };
  const context = createContext(false, { stdout: output, stderr: output, environment: {}, setExitCode: () => undefined });
  const keys = Object.assign(new PassThrough(), { isTTY });
  return { keys, shown, input: chatInput(keys, "> ", context) };
};

const press = async (keys: PassThrough, text: string): Promise<void> => {
  keys.write(text);
  await wait(20);
};

describe("a chat's input", () => {
  it("gives the lines of a pipe and shows nothing", async () => {
    const { keys, shown, input } = terminal(false);
    keys.end("one\ntwo\r\nlast");
    expect([await input.ask(), await input.ask(), await input.ask(), await input.ask(), await input.ask()]).toEqual([
      "one",
      "two",
      "last",
      undefined,
      undefined,
    ]);
    expect(shown.text).toBe("");
  });

  it("asks with a prompt and shows what is typed", async () => {
    const { keys, shown, input } = terminal();
    const line = input.ask();
    await press(keys, "Hello\r");
    expect(await line).toBe("Hello");
    expect(shown.text).toContain("> ");
    expect(shown.text).toContain("Hello");
    input.close();
  });

  it("gives pasted lines one by one", async () => {
    const { keys, shown, input } = terminal();
    const first = input.ask();
    await press(keys, "one\rtwo\r");
    expect([await first, await input.ask()]).toEqual(["one", "two"]);
    expect(shown.text.match(/two/g)).toHaveLength(1);
    input.close();
  });

  it("hides what is typed during an answer, and keeps it for later", async () => {
    const { keys, shown, input } = terminal();
    await input.during(async () => {
      const before = shown.text;
      await press(keys, "early");
      expect(shown.text).toBe(before);
    });
    const line = input.ask();
    expect(shown.text).toContain("> early");
    await press(keys, " bird\r");
    expect(await line).toBe("early bird");
    input.close();
  });

  it("stops an answer at Ctrl-C, and leaves at the next", async () => {
    const { keys, input } = terminal();
    const stopped = await input.during(async (signal) => {
      await press(keys, "\x03");
      return signal.aborted;
    });
    expect(stopped).toBe(true);
    const line = input.ask();
    await press(keys, "\x03");
    expect(await line).toBeUndefined();
  });

  it("leaves at Ctrl-D", async () => {
    const { keys, input } = terminal();
    const line = input.ask();
    await press(keys, "\x04");
    expect(await line).toBeUndefined();
  });
});
