/** @file The program as its users run it: in this process, or in one of its own that can be killed. It knows nothing about what is tested. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { expect } from "vitest";
import { evaluate } from "../../src/cli/commands/evaluate.ts";
import { generate } from "../../src/cli/commands/generate.ts";
import { pretrain } from "../../src/cli/commands/pretrain.ts";
import { train } from "../../src/cli/commands/train.ts";
import { runProgram } from "../../src/cli/run-program.ts";
import { addCommand } from "../../src/cli/schema.ts";
import type { ErrorCode } from "../../src/util/index.ts";

/** Options by the names that they have in code: `{ maxSteps: 4, resume: true }` is `--max-steps 4 --resume`. */
export type Flags = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command line. */
export const words = (command: string, flags: Flags): string[] => [
  ...command.split(" "),
  ...Object.entries(flags).flatMap(([key, value]) => {
    const flag = `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (value === undefined || value === false) return [];
    return value === true ? [flag] : [flag, String(value)];
  }),
];

/** Runs a command in this process. */
export const lowrank = async (command: string, flags: Flags): Promise<Outcome> => {
  const said = { code: 0, stdout: "", stderr: "" };
  const surroundings = {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    environment: {},
    setExitCode: (code: number) => void (said.code = code),
  };
  const program = new Command("lowrank");
  addCommand(program, train, surroundings);
  addCommand(program, pretrain, surroundings);
  addCommand(program, evaluate, surroundings);
  addCommand(program, generate, surroundings);
  await runProgram(program, words(command, flags), surroundings);
  return said;
};

/** Runs a command that must succeed; gives what `--json` prints. */
export const succeed = async (command: string, flags: Flags): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await lowrank(command, { ...flags, json: true });
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
};

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where?: string;
  readonly fix?: string;
}

const packed = (text: string): string => text.replaceAll(/\s+/g, "");

/** Runs a command that must fail as every failure should: exit code 1, one foreseen error with a remedy, told in one paragraph and nothing after it. */
export const refused = async (command: string, flags: Flags): Promise<Refusal> => {
  const { code, stdout, stderr } = await lowrank(command, { ...flags, json: true });
  expect(code, stdout).toBe(1);
  const { error } = JSON.parse(stdout) as { error: Refusal };
  const paragraph = stderr.slice(stderr.lastIndexOf("error: "));
  expect(packed(paragraph)).toBe(packed(`error: ${error.message}`));
  expect(paragraph.trim()).not.toContain("\n\n");
  expect(error.fix, error.message).toMatch(/^[A-Z].*[.)}]$/);
  return error;
};

const root = resolve(import.meta.dirname, "../..");

const start = (command: string, flags: Flags): { child: ChildProcess; ended: Promise<Outcome & { signal: string | null }> } => {
  const child = spawn(process.execPath, ["--import", "tsx", "src/cli/main.ts", ...words(command, flags)], { cwd: root });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (text: Buffer) => (said.stdout += String(text)));
  child.stderr.on("data", (text: Buffer) => (said.stderr += String(text)));
  const ended = once(child, "close").then(([code, signal]) => ({ code: Number(code), signal: signal as string | null, ...said }));
  return { child, ended };
};

/** The last step that a run's log tells of: 0 before the first, −1 before the run. */
const loggedStep = (output: string): number => {
  const log = join(output, "log.jsonl");
  if (!existsSync(log)) return -1;
  const text = readFileSync(log, "utf8");
  const steps = text.match(/"type":"step-end","step":\d+/g);
  if (steps === null) return text.includes("run-start") ? 0 : -1;
  return Number(steps.at(-1)!.replace(/.*:/, ""));
};

export interface Interruption {
  readonly signal: "SIGKILL" | "SIGINT";
  /** The step that the log must have reached. */
  readonly step: number;
  /** Milliseconds to wait after that. */
  readonly delay: number;
}

/** Runs a training command in a process of its own and sends it a signal; a process that is faster must end well. */
export const interrupted = async (command: string, flags: Flags & { readonly output: string }, { signal, step, delay }: Interruption) => {
  const { child, ended } = start(command, flags);
  const watch = setInterval(() => {
    if (loggedStep(flags.output) < step) return;
    clearInterval(watch);
    setTimeout(() => child.kill(signal), delay);
  }, 2);
  const outcome = await ended;
  clearInterval(watch);
  if (outcome.signal !== signal && ![0, 130].includes(outcome.code)) throw new Error(outcome.stderr);
  return outcome;
};
