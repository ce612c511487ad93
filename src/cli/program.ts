/** @file The program: its commands in groups, and its help. It knows nothing of what the commands do. */
import { Command } from "commander";
import pc from "picocolors";
import { chat } from "./commands/chat.ts";
import { evaluate } from "./commands/evaluate.ts";
import { generate } from "./commands/generate.ts";
import { inspect } from "./commands/inspect.ts";
import { merge } from "./commands/merge.ts";
import { pretrain } from "./commands/pretrain.ts";
import { train } from "./commands/train.ts";
import { verify } from "./commands/verify.ts";
import { ownSurroundings, type Surroundings } from "./context.ts";
import { packageVersion } from "./package.ts";
import { addCommand } from "./schema.ts";

const examples = `
Examples:
  $ lowrank quickstart
  $ lowrank train --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --output runs/chats
  $ lowrank generate --model HuggingFaceTB/SmolLM2-135M --adapter runs/chats --chat "How are you?"
  $ lowrank inspect runs/chats

Every command has its own --help with its options.`;

/** The whole program, ready to be run with arguments. */
export const createProgram = (surroundings: Surroundings = ownSurroundings): Command => {
  const colours = pc.createColors(true); // commander takes them out again where there is no terminal
  const program = new Command("lowrank")
    .description("Fine-tunes open language models with low-rank adapters (LoRA), and puts the adapters to use.")
    .usage("<command> [options]")
    .version(packageVersion(), "-v, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .addHelpText("after", examples)
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      styleTitle: colours.bold,
      styleOptionTerm: colours.cyan,
      styleSubcommandTerm: colours.cyan,
    });

  program.commandsGroup("Train:");
  addCommand(program, train, surroundings);
  addCommand(program, pretrain, surroundings);
  addCommand(program, evaluate, surroundings);
  program.commandsGroup("Use:");
  addCommand(program, generate, surroundings);
  addCommand(program, chat, surroundings);
  program.commandsGroup("Adapters and models:");
  addCommand(program, merge, surroundings);
  addCommand(program, inspect, surroundings);
  program.commandsGroup("Check:");
  addCommand(program, verify, surroundings);
  return program;
};
