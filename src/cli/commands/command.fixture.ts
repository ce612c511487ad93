/** @file Runs command lines in this process, for tests: nothing reaches the real streams or the exit code. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createProgram } from "../program.ts";
import { runProgram } from "../run-program.ts";

export interface Said {
  stdout: string;
  stderr: string;
  code: number;
}

/** What the program says on each stream, and its exit code; `columns` makes both streams a terminal of that width. */
export const lowrank = async (words: readonly string[], { columns }: { readonly columns?: number } = {}): Promise<Said> => {
  const said: Said = { stdout: "", stderr: "", code: 0 };
  const terminal = columns === undefined ? {} : { isTTY: true, columns };
  const surroundings = {
    stdout: { write: (text: string) => (said.stdout += text), ...terminal },
    stderr: { write: (text: string) => (said.stderr += text), ...terminal },
    environment: { NO_COLOR: "1" },
    setExitCode: (code: number) => (said.code = code),
  };
  await runProgram(createProgram(words, surroundings), words, surroundings);
  return said;
};

/** The object that a command line with `--json` prints. */
export const lowrankJson = async (words: readonly string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await lowrank([...words, "--json"])).stdout) as Record<string, unknown>;

/** A paragraph without the line ends that the terminal's width put into it. */
export const oneLine = (paragraph: string): string => paragraph.replaceAll("\n", " ").trim();

/** Copies a folder so that the copy can be written, whatever the original's permissions. */
export const copyFolder = (from: string, to: string): void => {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    if (statSync(source).isDirectory()) copyFolder(source, target);
    else writeFileSync(target, readFileSync(source));
  }
};
