import { Command } from "commander";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { LowrankError } from "../util/index.ts";
import { runProgram } from "./run-program.ts";
import { addCommand, defineCommand } from "./schema.ts";

const options = z.object({
  directory: z.string().describe("the folder to look into"),
  learningRate: z.number().positive().default(2e-4).describe("peak learning rate").meta({ group: "Training" }),
  pack: z.boolean().default(true).describe("fill rows with several examples").meta({ group: "Data" }),
  data: z.array(z.string()).default([]).describe("training data").meta({ group: "Data", placeholder: "file" }),
  fail: z.enum(["kindly", "badly", "interrupted", "quietly"]).optional().describe("how to fail"),
});

const inspect = defineCommand({
  name: "inspect",
  summary: "show what a folder holds",
  examples: ["lowrank inspect runs/tales", "lowrank inspect runs/tales --json"],
  positional: ["directory"],
  options,
  load: async () => ({
    run: async (given, context) => {
      context.out(`in ${given.directory}`);
      context.err("a warning");
      if (given.fail === "kindly") throw new LowrankError("not-found", "It is gone.", { where: given.directory, fix: "Look elsewhere." });
      if (given.fail === "badly") throw new Error("x is undefined");
      if (given.fail === "interrupted") throw new LowrankError("interrupted", "Stopped.");
      if (given.fail === "quietly") context.exitCode = 1;
      return given;
    },
  }),
});

/** Runs a command line; gives what was said on each stream and the exit code. */
const run = async (line: string, environment: Record<string, string> = {}) => {
  const said = { stdout: "", stderr: "", code: 0 };
  const program = new Command("lowrank").description("Low-rank adapters.").version("1.2.3");
  const surroundings = {
    stdout: { write: (text: string) => (said.stdout += text) },
    stderr: { write: (text: string) => (said.stderr += text) },
    environment,
    setExitCode: (code: number) => (said.code = code),
  };
  addCommand(program, inspect, surroundings);
  addCommand(program.command("bench").description("Measures."), { ...inspect, name: "train", examples: [] }, surroundings);
  await runProgram(program, line.split(" ").filter(Boolean), surroundings);
  return said;
};

describe("a command", () => {
  it("runs with its options and speaks to people", async () => {
    expect(await run("inspect runs/a")).toEqual({ stdout: "in runs/a\n", stderr: "a warning\n", code: 0 });
  });

  it("prints one object and nothing else for --json", async () => {
    const { stdout, stderr, code } = await run("inspect runs/a --learning-rate 1e-3 --no-pack --data x --data y --json");
    expect(stdout).toBe('{"directory":"runs/a","learningRate":0.001,"pack":false,"data":["x","y"]}\n');
    expect([stderr, code]).toEqual(["in runs/a\na warning\n", 0]);
  });

  it("may belong to a group", async () => {
    expect((await run("bench train a --pack")).stdout).toBe("in a\n");
    expect((await run("bench train a --zzzzzz 1")).stderr).toBe("error: Unknown option '--zzzzzz'. See `lowrank bench train --help`.\n");
  });

  it("lists its options by group in the help", async () => {
    expect((await run("inspect --help")).stdout).toBe(
      [
        "Usage: lowrank inspect [options] <directory>",
        "",
        "Show what a folder holds.",
        "",
        "Arguments:",
        "  directory                 the folder to look into (required)",
        "",
        "Training:",
        "  --learning-rate <number>  peak learning rate (default: 0.0002)",
        "",
        "Data:",
        "  --[no-]pack               fill rows with several examples (default: on)",
        "  --data <file>             training data (repeatable)",
        "",
        "Options:",
        "  --fail <name>             how to fail (kindly, badly, interrupted, quietly)",
        "",
        "General options:",
        "  --config <file>           take options from a YAML file; flags win",
        "  --json                    print one JSON object on standard output and nothing",
        "                            else there",
        "  -h, --help                show this help",
        "",
        "Examples:",
        "  $ lowrank inspect runs/tales",
        "  $ lowrank inspect runs/tales --json",
        "",
      ].join("\n"),
    );
  });
});

describe("runProgram", () => {
  it.each<[string, string, number]>([
    ["inspect a --fail kindly", "a warning\nerror: a: It is gone. Look elsewhere.\n", 1],
    [
      "inspect a --fail badly",
      "a warning\nerror: x is undefined. This was not foreseen, so it is probably a defect. Run\nagain with DEBUG=1 to see where it happened.\n",
      1,
    ],
    ["inspect a --fail interrupted", "a warning\nerror: Stopped.\n", 130],
    ["inspect a --fail quietly", "a warning\n", 1],
    [
      "inspect a --fail no",
      'error: --fail takes one of kindly, badly, interrupted, quietly, not "no". See\n`lowrank inspect --help`.\n',
      1,
    ],
    ["inspect", "error: Missing required argument 'directory'. See `lowrank inspect --help`.\n", 1],
    ["inspect a b", "error: Too many arguments for 'inspect'. Expected 1 argument but got 2. See\n`lowrank inspect --help`.\n", 1],
    [
      "inspect a --lerning-rate 1",
      "error: Unknown option '--lerning-rate' (Did you mean --learning-rate?) See\n`lowrank inspect --help`.\n",
      1,
    ],
    ["insect a", "error: Unknown command 'insect' (Did you mean inspect?) See `lowrank --help`.\n", 1],
  ])("reports %j", async (line, stderr, code) => {
    expect(await run(line)).toMatchObject({ stderr, code });
  });

  it("reports errors as one object for --json", async () => {
    const { stdout, code } = await run("inspect a --fail kindly --json");
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "not-found", message: "a: It is gone. Look elsewhere.", where: "a", fix: "Look elsewhere." },
    });
    expect(code).toBe(1);
    expect((await run("inspect --json")).stdout).toBe(
      '{"error":{"code":"invalid-argument","message":"Missing required argument \'directory\'. See `lowrank inspect --help`.","fix":"See `lowrank inspect --help`."}}\n',
    );
  });

  it("prints version and help without an error", async () => {
    expect(await run("--version")).toEqual({ stdout: "1.2.3\n", stderr: "", code: 0 });
    expect((await run("--help")).code).toBe(0);
    expect((await run("bench")).stderr).toContain("Usage: lowrank bench");
  });

  it("shows the stack to those who set DEBUG", async () => {
    expect((await run("inspect a --fail badly", { DEBUG: "1" })).stderr).toMatch(/probably a defect\.\n\nError: x is undefined\n {4}at /);
  });
});
