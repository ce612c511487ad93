import { describe, expect, it } from "vitest";
import { createContext } from "../context.ts";
import { runEnd, runStart, stepEnd } from "./events.fixture.ts";
import { screen } from "./screen.fixture.ts";
import { trainView } from "./train-view.ts";

const watch = (isTTY: boolean, json = false) => {
  const [stdout, stderr] = [screen(100), screen(100)].map((terminal) => ({
    isTTY,
    columns: 80,
    write: terminal.write,
    lines: terminal.lines,
  }));
  const view = trainView(createContext(json, { stdout, stderr, environment: { NO_COLOR: "1" }, setExitCode: () => undefined }));
  [runStart, stepEnd(1, 4), stepEnd(2, 3), runEnd].forEach(view.listen);
  view.close();
  return { stdout: stdout.lines(), stderr: stderr.lines() };
};

describe("trainView", () => {
  it("ends with a loss plot on a terminal", () => {
    const { stdout } = watch(true);
    expect(stdout.slice(2, 5)).toEqual([
      "Finished after step 100: 102,400 tokens in 51 s, loss 2.135",
      "best held-out loss 2.201 at step 80",
      "written to runs/tales",
    ]);
    expect(stdout.slice(6)).toHaveLength(14);
    expect(stdout.at(-1)).toMatch(/^ +⠒⠒ training loss {2,}step$/);
  });

  it("is plain elsewhere, and out of the way of --json", () => {
    const plain = watch(false);
    expect(plain.stdout).toHaveLength(6);
    expect(plain.stdout[2]).toBe("step 1/100  loss 4.000  rate 1.87e-4  gradient 0.8312  2,048 tokens/s  1.31 GB  50 s left");
    expect(watch(false, true)).toEqual({ stdout: [], stderr: plain.stdout });
  });
});
