/** @file A command from one Zod object: its flags, help, configuration file and checks. It knows nothing about what commands do. */
import { Option, type Command, type Help } from "commander";
import pc from "picocolors";
import type { z } from "zod";
import { createContext, ownSurroundings, type CommandContext, type Surroundings } from "./context.ts";
import { flagsOf, helpText, type Flag } from "./flags.ts";
import { resolveOptions, type GivenFlags } from "./options.ts";

/** What a command's module exports: it returns what `--json` prints. */
export interface CommandModule<Options> {
  run(options: Options, context: CommandContext): Promise<object | void>;
}

export interface CommandDefinition<Options extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Keys of `options` that are given by position, in order, instead of by flag. */
  readonly positional?: readonly (keyof z.output<Options> & string)[];
  readonly options: Options;
  /** Loads the code only when the command runs, so that help is fast. */
  readonly load: () => Promise<CommandModule<z.output<Options>>>;
}

/**
 * Defines a command; only the types happen here.
 * @example
 * export const inspect = defineCommand({
 *   name: "inspect",
 *   summary: "show what a checkpoint or an adapter holds",
 *   examples: ["lowrank inspect runs/tales"],
 *   positional: ["directory"],
 *   options: z.object({ directory: z.string().describe("the folder to look into") }),
 *   load: () => import("./inspect-run.ts"),
 * });
 */
export const defineCommand = <Options extends z.ZodObject>(definition: CommandDefinition<Options>): CommandDefinition<Options> =>
  definition;

const generalGroup = "General options:";

const collect = (text: string, earlier: readonly string[] = []): readonly string[] => [...earlier, text];

const addFlag = (command: Command, flag: Flag): void => {
  const describe = (option: Option): Option => (flag.group === undefined ? option : option.helpGroup(`${flag.group}:`));
  if (flag.isSwitch) {
    command.addOption(describe(new Option(`--${flag.name}`, helpText(flag))));
    command.addOption(new Option(`--no-${flag.name}`).hideHelp());
  } else {
    command.addOption(describe(new Option(`--${flag.name} <${flag.placeholder}>`, helpText(flag)).argParser(collect)));
  }
};

const addPositional = (command: Command, flag: Flag): void => {
  const dots = flag.repeatable === false ? "" : "...";
  command.argument(flag.required ? `<${flag.name}${dots}>` : `[${flag.name}${dots}]`, helpText(flag));
};

const helpStyle = (switches: ReadonlySet<string>): Partial<Help> => {
  const colours = pc.createColors(true); // commander takes them out again where there is no terminal
  return {
    optionTerm: (option) => (switches.has(option.long ?? "") ? `--[no-]${option.long?.slice(2)}` : option.flags),
    styleTitle: colours.bold,
    styleOptionTerm: colours.cyan,
    styleArgumentTerm: colours.cyan,
    styleSubcommandTerm: colours.cyan,
  };
};

const givenOf = (
  flags: readonly Flag[],
  positional: readonly string[],
  parts: readonly unknown[],
  parsed: Record<string, unknown>,
): GivenFlags => {
  const given: Record<string, readonly string[] | boolean> = {};
  for (const { key } of flags) {
    const position = positional.indexOf(key);
    const value = position === -1 ? parsed[key] : parts[position];
    if (value !== undefined) given[key] = (typeof value === "string" ? [value] : value) as readonly string[] | boolean;
  }
  return given;
};

/** A command as it is called, with the programs above it: `lowrank bench train`. */
export const commandLine = (command: Command): string =>
  command.parent === null ? command.name() : `${commandLine(command.parent)} ${command.name()}`;

/** Adds a command to a program, or to a command that only groups others. */
export const addCommand = <Options extends z.ZodObject>(
  program: Command,
  { name, summary, examples, positional = [], options, load }: CommandDefinition<Options>,
  surroundings: Surroundings = ownSurroundings,
): Command => {
  const flags = flagsOf(options);
  const command = program
    .command(name)
    .summary(summary)
    .description(`${summary[0].toUpperCase()}${summary.slice(1)}.`);
  for (const key of positional)
    addPositional(
      command,
      flags.find((flag) => flag.key === key)!,
    );
  for (const flag of flags) if (!positional.some((key) => key === flag.key)) addFlag(command, flag);
  command
    .addHelpOption(new Option("-h, --help", "show this help").helpGroup(generalGroup))
    .addOption(new Option("--config <file>", "take options from a YAML file; flags win").helpGroup(generalGroup))
    .addOption(new Option("--json", "print one JSON object on standard output and nothing else there").helpGroup(generalGroup))
    .configureHelp(helpStyle(new Set(flags.filter(({ isSwitch }) => isSwitch).map((flag) => `--${flag.name}`))))
    .addHelpText("after", ["", "Examples:", ...examples.map((example) => `  $ ${example}`)].join("\n"))
    .action(async (...parts: unknown[]) => {
      const parsed = command.opts<Record<string, unknown>>();
      const context = createContext(parsed["json"] === true, surroundings);
      const settings = await resolveOptions(options, givenOf(flags, positional, parts, parsed), {
        command: commandLine(command),
        configPath: parsed["config"] as string | undefined,
      });
      const { run } = await load();
      const result = await run(settings, context);
      if (context.json) surroundings.stdout.write(`${JSON.stringify(result ?? {})}\n`);
      if (context.exitCode !== 0) surroundings.setExitCode(context.exitCode);
    });
  return command;
};
