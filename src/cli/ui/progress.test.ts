import { describe, expect, it } from "vitest";
import { downloadView, type DownloadProgress } from "./progress.ts";
import { screen } from "./screen.fixture.ts";

const received = (bytes: number, total = 269e6): DownloadProgress => ({
  file: "model.safetensors",
  received: bytes,
  total,
  filesDone: 1,
  filesTotal: 2,
});

const watch = (isTerminal: boolean, columns = 100) => {
  const terminal = screen(columns);
  const lines: string[] = [];
  const clock = { time: 0 };
  const err = (line: string): void => {
    lines.push(line);
    terminal.write(`${line}\n`);
  };
  const context = { isTerminal, columns, colour: false, write: terminal.write, err };
  return { view: downloadView(context, { now: () => clock.time }), terminal, lines, clock };
};

describe("downloadView", () => {
  it("redraws one line on a terminal, with the speed of this attempt", () => {
    const { view, terminal, clock } = watch(true);
    view.listen(received(100e6));
    expect(terminal.lines()).toEqual(["model.safetensors  ━━━━━━━━━───────────────  100 MB of 269 MB  file 2 of 2"]);
    clock.time = 50; // too early for another
    view.listen(received(101e6));
    clock.time = 2000;
    view.listen(received(124e6));
    expect(terminal.lines()).toEqual(["model.safetensors  ━━━━━━━━━━━─────────────  124 MB of 269 MB  12.0 MB/s  12 s left  file 2 of 2"]);
    view.listen(received(269e6));
    expect(terminal.lines()).toEqual(["model.safetensors  269 MB"]);
  });

  it("clears its line when it is closed early, and fits narrow terminals", () => {
    const { view, terminal } = watch(true, 24);
    view.listen(received(100e6));
    expect(terminal.lines()).toEqual(["model.safetensors"]);
    view.close();
    expect(terminal.lines()).toEqual([]);
  });

  it("writes a line per file elsewhere", () => {
    const { view, terminal, lines } = watch(false);
    for (const bytes of [0, 100e6, 269e6]) view.listen(received(bytes));
    view.listen({ ...received(0, 0), file: "empty" });
    view.close();
    expect(lines).toEqual(["model.safetensors  269 MB", "empty  0 B"]);
    expect(terminal.lines()).toEqual(lines);
  });
});
