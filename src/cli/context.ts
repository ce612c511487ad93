/** @file Where a command speaks: lines for people, one JSON object for programs. It knows nothing about commands. */

/** The part of a Node stream that is needed. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface CommandContext {
  /** Standard output is for one JSON object; everything else that is said goes to standard error. */
  readonly json: boolean;
  /** Whether a person watches: lines may be redrawn, and there is somebody to ask. */
  readonly isTerminal: boolean;
  readonly colour: boolean;
  /** Width of the terminal, 80 where there is none. */
  readonly columns: number;
  /** A line for people. */
  out(line: string): void;
  /** A line about how it goes: warnings, progress. */
  err(line: string): void;
  /** Text for people as it is, without a line end. */
  write(text: string): void;
  /** What the process will exit with, 0 unless changed. */
  exitCode: number;
}

/** Everything that a context depends on; the process's own by default. */
export interface Surroundings {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  setExitCode(code: number): void;
}

export const ownSurroundings: Surroundings = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  setExitCode: (code) => {
    process.exitCode = code;
  },
};

/** Colour is for terminals; NO_COLOR and TERM=dumb turn it off, FORCE_COLOR turns it on. */
export const wantsColour = (stream: OutputStream, environment: Surroundings["environment"]): boolean => {
  if ((environment["NO_COLOR"] ?? "") !== "") return false;
  if (!["", "0"].includes(environment["FORCE_COLOR"] ?? "")) return true;
  return stream.isTTY === true && environment["TERM"] !== "dumb";
};

/** A context for one run of a command. */
export const createContext = (json: boolean, { stdout, stderr, environment }: Surroundings = ownSurroundings): CommandContext => {
  const people = json ? stderr : stdout;
  return {
    json,
    isTerminal: people.isTTY === true && environment["TERM"] !== "dumb",
    colour: wantsColour(people, environment),
    get columns() {
      return people.columns ?? 80;
    },
    out: (line) => void people.write(`${line}\n`),
    err: (line) => void stderr.write(`${line}\n`),
    write: (text) => void people.write(text),
    exitCode: 0,
  };
};
