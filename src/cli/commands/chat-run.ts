/** @file What `lowrank chat` does: reads lines, answers them as they come, and follows commands that begin with a slash. */
import pc from "picocolors";
import { LowrankError } from "../../util/index.ts";
import type { CommandContext } from "../context.ts";
import { nearest } from "../nearest.ts";
import { formatError } from "../ui/errors.ts";
import { formatCount } from "../ui/format.ts";
import { chatInput, type InputStream } from "./chat-input.ts";
import { chatSession, type Answer, type ChatSession } from "./chat-session.ts";
import type { ChatOptions } from "./chat.ts";
import { generateOptions } from "./generation-options.ts";
import { openAdapters, openModel, type NamedAdapter } from "./open-model.ts";

const help = `/reset             forget the conversation
/adapter           say which adapters speak
/adapter DIR[:s]   let another adapter speak, with strength s
/adapter none      let the base speak alone
/quit              leave; so does Ctrl-C, which stops an answer first`;

const adaptersText = (adapters: readonly NamedAdapter[]): string =>
  adapters.length === 0
    ? "the base alone"
    : adapters.map(({ directory, weight }) => (weight === 1 ? directory : `${directory}:${weight}`)).join(" and ");

type SlashCommand = (session: ChatSession, argument: string) => Promise<string>;

const slashCommands = (load: (reference: string) => Promise<NamedAdapter[]>): Readonly<Record<string, SlashCommand>> => ({
  "/help": () => Promise.resolve(help),
  "/reset": (session) => {
    session.reset();
    return Promise.resolve("The conversation is forgotten.");
  },
  "/adapter": async (session, argument) => {
    if (argument !== "") await session.use(argument === "none" ? [] : await load(argument));
    return `Speaking: ${adaptersText(session.adapters)}.`;
  },
});

const remarks = ({ finishReason, isFull, forgotten }: Answer, maxTokens: number): string[] => [
  ...(forgotten === 0 ? [] : [`the first ${formatCount(forgotten)} messages no longer fit and were not seen`]),
  ...(isFull
    ? ["the model takes no more tokens"]
    : finishReason === "length"
      ? [`ended after ${formatCount(maxTokens)} tokens, see --max-tokens`]
      : []),
  ...(finishReason === "aborted" ? ["stopped"] : []),
];

export const run = async (options: ChatOptions, context: CommandContext, stream: InputStream = process.stdin): Promise<object> => {
  const { cyan, dim, bold } = pc.createColors(context.colour);
  const model = await openModel(options, context);
  const input = chatInput(stream, cyan("› "), context);
  try {
    const load = (reference: string): Promise<NamedAdapter[]> => openAdapters(model, [reference], options, context);
    const adapters = await openAdapters(model, options.adapter, options, context);
    const session = await chatSession(model, options.system, adapters, options.speculate);
    const commands = slashCommands(load);
    const note = (text: string): void => context.err(dim(text));

    const follow = async (line: string): Promise<void> => {
      const [name, argument] = [line.split(/\s/, 1)[0], line.replace(/^\S+\s*/, "")];
      const command = commands[name];
      if (command !== undefined) return note(await command(session, argument));
      const meant = nearest(name, [...Object.keys(commands), "/quit"]);
      note(`There is no ${name}${meant === undefined ? "" : `; did you mean ${meant}?`} /help lists what there is.`);
    };
    const answer = async (line: string): Promise<void> => {
      const given = await input.during((signal) =>
        session.say(line, { ...generateOptions(options), signal }, (piece) => {
          if (!context.json) context.write(piece);
        }),
      );
      if (!context.json) context.write((given.text.endsWith("\n") ? "" : "\n") + (context.isTerminal ? "\n" : ""));
      for (const remark of remarks(given, options.maxTokens)) note(`(${remark})`);
    };

    if (context.isTerminal) {
      context.out(`${bold(model.base.directory)}, ${adaptersText(session.adapters)}`);
      note("/help lists commands; Ctrl-C stops an answer, then leaves.\n");
    }
    for (let line = await input.ask(); line !== undefined && line.trim() !== "/quit"; line = await input.ask()) {
      const said = line.trim();
      if (said === "") continue;
      try {
        await (said.startsWith("/") ? follow(said) : answer(said));
      } catch (error) {
        if (!LowrankError.is(error)) throw error;
        context.err(formatError(error, { ...context, debug: false }));
      }
    }
    if (context.isTerminal) context.out("");
    return { model: model.base.directory, messages: session.messages };
  } finally {
    input.close();
    await model.close();
  }
};
