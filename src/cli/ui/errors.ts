/** @file Shows an error to a person: one paragraph, and the stack only for those who ask. It knows nothing about where errors come from. */
import pc from "picocolors";
import { LowrankError, messageOf } from "../../util/index.ts";
import { wrap } from "./width.ts";

export interface ErrorStyle {
  readonly columns: number;
  readonly colour: boolean;
  /** Whether to show stacks and causes. */
  readonly debug: boolean;
}

const stackOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "";
  const cause = error.cause === undefined ? "" : `\n\ncaused by ${stackOf(error.cause) || messageOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
};

/** The text for an error. One that this program did not foresee says so, and how to see more. */
export const formatError = (error: unknown, { columns, colour, debug }: ErrorStyle): string => {
  const colours = pc.createColors(colour);
  const foreseen = LowrankError.is(error);
  const title = colours.red(colours.bold("error:"));
  const message = foreseen
    ? error.message
    : `${messageOf(error).replace(/([^.!?])$/, "$1.")} This was not foreseen, so it is probably a defect.`;
  const advice = foreseen || debug ? "" : " Run again with DEBUG=1 to see where it happened.";
  const paragraph = wrap(`${title} ${message}${advice}`, Math.max(20, Math.min(columns, 120))).join("\n");
  return debug ? `${paragraph}\n\n${colours.dim(stackOf(error))}` : paragraph;
};

/** An error as the JSON object that `--json` prints. */
export const errorObject = (error: unknown): object => ({
  error: LowrankError.is(error)
    ? {
        code: error.code,
        message: error.message,
        ...(error.where !== undefined && { where: error.where }),
        ...(error.fix !== undefined && { fix: error.fix }),
      }
    : { code: "unexpected", message: messageOf(error) },
});
