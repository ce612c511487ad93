/** @file The program: its commands in groups, and its help. It knows nothing of what the commands do. */
import { Command } from "commander";
import pc from "picocolors";
import type { z } from "zod";
import { benchGenerate } from "./commands/bench-generate.ts";
import { benchTrain } from "./commands/bench-train.ts";
import { chat } from "./commands/chat.ts";
import { classify } from "./commands/classify.ts";
import { compose } from "./commands/compose.ts";
import { evaluate } from "./commands/evaluate.ts";
import { exportCommand } from "./commands/export.ts";
import { extract } from "./commands/extract.ts";
import { generate } from "./commands/generate.ts";
import { hubComposeCommand } from "./commands/hub-compose.ts";
import { importCommand } from "./commands/import.ts";
import { inspect } from "./commands/inspect.ts";
import { add } from "./commands/library/add.ts";
import { alias } from "./commands/library/alias.ts";
import { diff } from "./commands/library/diff.ts";
import { exportAdapter as exportFromLibrary } from "./commands/library/export.ts";
import { gc } from "./commands/library/gc.ts";
import { importAdapter as importToLibrary } from "./commands/library/import.ts";
import { list } from "./commands/library/list.ts";
import { pull } from "./commands/library/pull.ts";
import { push } from "./commands/library/push.ts";
import { rebuild } from "./commands/library/rebuild.ts";
import { remove } from "./commands/library/remove.ts";
import { search } from "./commands/library/search.ts";
import { show } from "./commands/library/show.ts";
import { sync } from "./commands/library/sync.ts";
import { tag } from "./commands/library/tag.ts";
import { verify as verifyLibrary } from "./commands/library/verify.ts";
import { merge } from "./commands/merge.ts";
import { pretrain } from "./commands/pretrain.ts";
import { quickstart } from "./commands/quickstart.ts";
import { resize } from "./commands/resize.ts";
import { route } from "./commands/route.ts";
import { train } from "./commands/train.ts";
import { verify } from "./commands/verify.ts";
import { ownSurroundings, type Surroundings } from "./context.ts";
import { packageVersion } from "./package.ts";
import { addCommand, type CommandDefinition } from "./schema.ts";

/** A command in the list, which gets its flags only when it is asked for: making them takes longer than all the rest. */
interface Entry {
  readonly name: string;
  readonly summary: string;
  add(program: Command, surroundings: Surroundings, words: readonly string[]): void;
}

/** Adds the commands to a program or a group: those that the words name with their flags, the others as lines in the list. */
const addAll = (entries: readonly Entry[], program: Command, surroundings: Surroundings, words: readonly string[]): void => {
  for (const { name, summary, add } of entries)
    if (words.includes(name)) add(program, surroundings, words);
    else program.command(name).summary(summary);
};

const entry = <Options extends z.ZodObject>(definition: CommandDefinition<Options>): Entry => ({
  name: definition.name,
  summary: definition.summary,
  add: (program, surroundings) => void addCommand(program, definition, surroundings),
});

/** A command that only holds others. */
const family = (name: string, summary: string, entries: readonly Entry[]): Entry => ({
  name,
  summary,
  add: (program, surroundings, words) => {
    const command = program
      .command(name)
      .summary(summary)
      .description(`${summary[0].toUpperCase()}${summary.slice(1)}.`)
      .usage("<command> [options]")
      .helpOption("-h, --help", "show this help")
      .helpCommand(false);
    addAll(entries, command, surroundings, words);
  },
});

const groups: Readonly<Record<string, readonly Entry[]>> = {
  "Start:": [entry(quickstart)],
  "Train:": [entry(train), entry(pretrain), entry(evaluate)],
  "Use:": [entry(generate), entry(chat), entry(classify)],
  "Adapters and models:": [
    entry(inspect),
    entry(merge),
    entry(compose),
    entry(hubComposeCommand),
    entry(resize),
    entry(extract),
    entry(route),
    entry(exportCommand),
    entry(importCommand),
    family("library", "keep, find and share adapters", [
      entry(add),
      entry(list),
      entry(search),
      entry(show),
      entry(tag),
      entry(alias),
      entry(remove),
      entry(gc),
      entry(verifyLibrary),
      entry(diff),
      entry(exportFromLibrary),
      entry(importToLibrary),
      entry(push),
      entry(pull),
      entry(sync),
      entry(rebuild),
    ]),
  ],
  "Check:": [entry(verify), family("bench", "measure speed and memory", [entry(benchTrain), entry(benchGenerate)])],
};

const examples = `
Examples:
  $ lowrank quickstart
  $ lowrank train --model HuggingFaceTB/SmolLM2-135M --data chats.jsonl --output runs/chats
  $ lowrank generate --model HuggingFaceTB/SmolLM2-135M --adapter runs/chats "Dear"
  $ lowrank inspect runs/chats

Every command shows its options with --help.`;

/** The program for these arguments (without node and script): every command is in its list, those that they name have their flags. */
export const createProgram = (words: readonly string[], surroundings: Surroundings = ownSurroundings): Command => {
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
  for (const [title, entries] of Object.entries(groups)) {
    program.commandsGroup(title);
    addAll(entries, program, surroundings, words);
  }
  return program;
};
