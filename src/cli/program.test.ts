import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { lowrank } from "./commands/command.fixture.ts";

const commands = [
  "quickstart",
  "train",
  "pretrain",
  "evaluate",
  "generate",
  "chat",
  "classify",
  "inspect",
  "merge",
  "compose",
  "hub-compose",
  "resize",
  "extract",
  "route",
  "export",
  "import",
  "library",
  "verify",
  "bench",
];

describe("the program", () => {
  it("lists every command once, within 80 columns", async () => {
    const { stdout, code } = await lowrank(["--help"]);
    const listed = stdout.split("\n").flatMap((line) => /^ {2}([a-z-]+) {2,}/.exec(line)?.[1] ?? []);
    expect(listed).toEqual(commands);
    expect(code).toBe(0);
    const wide = stdout.split("\n").filter((line) => line.length > 80 && !line.startsWith("  $ "));
    expect(wide).toEqual([]);
  });

  const groups = ["library", "bench"];
  const inLibrary = [
    "add",
    "list",
    "search",
    "show",
    "tag",
    "alias",
    "remove",
    "gc",
    "verify",
    "diff",
    "export",
    "import",
    "push",
    "pull",
    "sync",
    "rebuild",
  ];

  it.each([
    ...commands.filter((command) => !groups.includes(command)),
    ...inLibrary.map((command) => `library ${command}`),
    "bench train",
    "bench generate",
  ])("shows the help of %s, with examples that run it", async (command) => {
    const { stdout, code } = await lowrank([...command.split(" "), "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: lowrank ${command} [options]`);
    expect(stdout).toMatch(new RegExp(`\\n {2}\\$ .*lowrank ${command}`));
  });

  it("shows what a group holds", async () => {
    const { stdout } = await lowrank(["bench", "--help"]);
    expect(stdout).toContain("Usage: lowrank bench <command> [options]\n\nMeasure speed and memory.");
    expect(stdout).toMatch(/^ {2}train {2,}measure the speed and memory of training$/m);
    expect((await lowrank(["bench"])).code).toBe(1);
  });

  it("prints the package's version", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(await lowrank(["--version"])).toEqual({ stdout: `${version}\n`, stderr: "", code: 0 });
  });

  it.each<[string, string[], string]>([
    ["a mistyped command", ["genrate", "x"], "error: Unknown command 'genrate' (Did you mean generate?) See `lowrank --help`.\n"],
    [
      "a mistyped flag",
      ["inspect", "x", "--tensor"],
      "error: Unknown option '--tensor' (Did you mean --tensors?) See `lowrank inspect --help`.\n",
    ],
    ["a missing argument", ["verify"], "error: Missing required argument 'directories'. See `lowrank verify --help`.\n"],
    [
      "a missing flag",
      ["merge", "--adapter", "x"],
      "error: --output is required: folder for the merged model, or the file for GGUF. See `lowrank merge --help`.\n",
    ],
  ])("refuses %s", async (_, words, stderr) => {
    expect(await lowrank(words, { columns: 120 })).toEqual({ stdout: "", stderr, code: 1 });
  });
});
