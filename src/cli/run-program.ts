/** @file Runs a program of commands to its exit code, with every error shown kindly. It knows nothing about the commands. */
import { CommanderError, type Command } from "commander";
import { LowrankError } from "../util/index.ts";
import { commandLine } from "./schema.ts";
import { createContext, ownSurroundings, type Surroundings } from "./context.ts";
import { errorObject, formatError } from "./ui/errors.ts";

const everyCommand = (command: Command): Command[] => [command, ...command.commands.flatMap(everyCommand)];

// Commander's message has its prefix, and its suggestion on a line of its own.
const usageError = ({ message }: CommanderError, command: string): LowrankError => {
  const sentence = message
    .replace(/^error: /, "")
    .replace(/\n/g, " ")
    .replace(/([^.?!)])$/, "$1.");
  return new LowrankError("invalid-argument", sentence[0].toUpperCase() + sentence.slice(1), { fix: `See \`${command} --help\`.` });
};

const exitCodeOf = (error: unknown): number => (LowrankError.is(error) && error.code === "interrupted" ? 130 : 1);

/** Parses the arguments (without node and script), runs what they name, and reports a failure to the user and in the exit code. */
export const runProgram = async (
  program: Command,
  words: readonly string[],
  surroundings: Surroundings = ownSurroundings,
): Promise<void> => {
  let refusing = program;
  for (const command of everyCommand(program)) {
    command.exitOverride((error) => {
      refusing = command;
      throw error;
    });
    command.configureOutput({
      writeOut: (text) => void surroundings.stdout.write(text),
      writeErr: (text) => void surroundings.stderr.write(text), // the help of a group without its command
      outputError: () => undefined, // what was wrong is thrown as well
    });
  }
  try {
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help")) {
      if (error.exitCode !== 0) surroundings.setExitCode(error.exitCode);
      return;
    }
    const reported = error instanceof CommanderError ? usageError(error, commandLine(refusing)) : error;
    const json = words.includes("--json");
    const context = createContext(json, surroundings);
    if (json) surroundings.stdout.write(`${JSON.stringify(errorObject(reported))}\n`);
    const debug = !["", "0"].includes(surroundings.environment["DEBUG"] ?? "");
    context.err(formatError(reported, { columns: context.columns, colour: context.colour, debug }));
    surroundings.setExitCode(exitCodeOf(reported));
  }
};
