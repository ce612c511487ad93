import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { dataReady, evalEnd, runEnd, runStart, stepEnd } from "./events.fixture.ts";
import { liveView } from "./live.ts";
import { screen } from "./screen.fixture.ts";

let time: number;
const now = (): number => time;
beforeEach(() => {
  time = 0;
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

const start = [
  "SmolLM2-135M  LoRA, 4,884,480 of 139,399,680 parameters train (3.5 %)",
  "100 steps of 4 × 256 tokens, 102,400 tokens in all",
  "1,024 examples; 262,144 tokens, 43 % supervised; 12 truncated; 3 dropped; 64 held out",
];

describe("liveView", () => {
  it("tells what happens before the first update", () => {
    const terminal = screen(100);
    const view = liveView(terminal, { now });
    view.listen(runStart);
    expect(terminal.lines()).toEqual([...start.slice(0, 2), "reading data  0 ms"]);
    view.listen(dataReady);
    expect(terminal.lines().at(-1)).toBe("preparing  0 ms");
    time = 1500;
    view.listen({ type: "compile-start", shape: [4, 256] });
    expect(terminal.lines()).toEqual([...start, "compiling for 4 × 256 tokens  1.5 s"]);
    expect(terminal.isCursorShown).toBe(false);
    view.close();
  });

  it("redraws its lines under those that stay, and leaves only these", () => {
    const terminal = screen(100);
    const view = liveView(terminal, { now });
    [runStart, dataReady].forEach(view.listen);
    for (let step = 1; step <= 25; step++) {
      time = 500 * step;
      view.listen(stepEnd(step, 4 - step / 25));
    }
    expect(terminal.lines()).toEqual([
      ...start,
      "━━━━━━━━━━──────────────────────────────  25/100  25 %  38 s left  epoch 0.75  13 s",
      "loss 3.283 ██▇▇▇▆▆▅▅▄▄▃▃▂▂▁  rate 1.87e-4  gradient 0.8312",
      "2,048 tokens/s  1.31 GB",
    ]);
    view.listen(evalEnd(25, 2.9, true));
    view.listen({ type: "checkpoint-saved", step: 25, path: "runs/tales/checkpoints/step-000025", kind: "best" });
    view.say("a remark");
    expect(terminal.lines().slice(3, 6)).toEqual([
      "step 25  held-out loss 2.900  perplexity 18.17  best so far",
      "step 25  saved runs/tales/checkpoints/step-000025 (best)",
      "a remark",
    ]);
    expect(terminal.lines().at(-1)).toBe("2,048 tokens/s  1.31 GB  held out 2.900");
    view.listen(runEnd);
    view.say("afterwards");
    expect(terminal.lines().slice(6)).toEqual([
      "Finished after step 100: 102,400 tokens in 51 s, loss 2.135",
      "best held-out loss 2.201 at step 80",
      "written to runs/tales",
      "afterwards",
    ]);
    expect(terminal.isCursorShown).toBe(true);
  });

  it("redraws at most ten times a second, and once a second when nothing happens", () => {
    const written: string[] = [];
    const view = liveView({ write: (text) => written.push(text), columns: 80, colour: false }, { now });
    view.listen(runStart);
    written.length = 0;
    for (let step = 1; step <= 100; step++) {
      time += 10;
      view.listen(stepEnd(step));
    }
    expect(written).toHaveLength(10);
    time += 1000;
    vi.advanceTimersByTime(1000);
    expect(written).toHaveLength(11);
    view.close();
    vi.advanceTimersByTime(5000);
    expect(written).toHaveLength(13); // the line end and the cursor
  });

  it.each([
    [
      60,
      [
        "━━━╸────────────  22/100  22 %  39 s left  epoch 0.66  11 s",
        "loss 2.500 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  rate 1.87e-4  gradient 0.8312",
        "2,048 tokens/s  1.31 GB",
      ],
    ],
    [40, ["━━────────  22/100  22 %  39 s left", "loss 2.500 ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁", "2,048 tokens/s  1.31 GB"]],
    [20, ["━━────────  22/100", "loss 2.500 ▁▁▁▁▁▁▁…", "2,048 tokens/s"]],
    [6, ["━────", "loss…", "2,04…"]],
    [1, ["─", "…", "…"]],
  ])("fits %i columns", (columns, lines) => {
    const terminal = screen(columns);
    const view = liveView(terminal, { now });
    view.listen({ ...runStart, plan: { ...runStart.plan, model: "m" } });
    const above = terminal.lines().length;
    for (let step = 1; step <= 22; step++) {
      time += 500;
      view.listen(stepEnd(step));
    }
    expect(terminal.lines().slice(above - 1)).toEqual(lines);
    view.close();
  });

  it("counts the lines anew when the terminal has become narrower", () => {
    const written: string[] = [];
    const terminal = { write: (text: string) => written.push(text), columns: 80, colour: false };
    const view = liveView(terminal, { now });
    view.listen(runStart);
    time = 1000;
    view.listen(stepEnd(50));
    terminal.columns = 40; // three lines of 75, 55 and 23 columns are now five
    time = 2000;
    view.listen(stepEnd(51));
    expect(written.at(-1)).toMatch(/^\r\x1b\[4A\x1b\[J/); // eslint-disable-line no-control-regex
    view.close();
  });

  it("gives the cursor back when the process ends before the run", () => {
    const terminal = screen(80);
    const before = process.listenerCount("exit");
    const view = liveView(terminal, { now });
    expect(process.listenerCount("exit")).toBe(before + 1);
    (process.listeners("exit").at(-1) as () => void)();
    expect(terminal.isCursorShown).toBe(true);
    view.close();
    view.close();
    expect(process.listenerCount("exit")).toBe(before);
  });
});
